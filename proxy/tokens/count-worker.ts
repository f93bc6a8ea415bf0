/** The worker thread: loads vocabularies and counts, one job at a time. */
import { parentPort, workerData } from 'node:worker_threads';
import type { CountAnswer, CountJob, Posted, VocabularyName } from './count-job.ts';
import { countPrompt } from './count-prompt.ts';
import { densityOf } from './text-sample.ts';
import type { Vocabulary } from './token-count.ts';

const loaded = new Map<VocabularyName, Vocabulary>();

/** Each only when it is wanted: together they would take 400 MB. */
async function load(name: VocabularyName): Promise<Vocabulary> {
  if (name === 'o200k_harmony') return (await import('./o200k.ts')).o200k;
  const { tokenizerPath } = workerData as { readonly tokenizerPath: string | null };
  if (tokenizerPath === null) throw new Error('no --tokenizer was given');
  return (await import('./tokenizer-file.ts')).loadTokenizerFile(tokenizerPath);
}

async function answer(job: CountJob, deadlineMs: number): Promise<CountAnswer> {
  const vocabulary = loaded.get(job.vocabulary) ?? (await load(job.vocabulary));
  loaded.set(job.vocabulary, vocabulary);
  switch (job.task) {
    case 'load':
      return { outcome: 'loaded' };
    case 'sample':
      return {
        outcome: 'sampled',
        tokensPerByte: densityOf(job.slices, vocabulary, deadlineMs),
      };
    case 'prompt': {
      const counted = countPrompt(job, vocabulary, deadlineMs);
      return counted === null
        ? { outcome: 'unknown', why: 'its printed form is not known' }
        : { outcome: 'counted', ...counted };
    }
  }
}

parentPort?.on('message', ({ job, budgetMs }: Posted) => {
  const failed = (error: unknown): CountAnswer => ({
    outcome: 'unknown',
    why: error instanceof Error ? error.message.slice(0, 200) : String(error).slice(0, 200),
  });
  void answer(job, performance.now() + budgetMs)
    .catch(failed)
    .then((told) => parentPort?.postMessage(told));
});
