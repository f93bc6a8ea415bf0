/** Starts the worker thread. */
import { Worker } from 'node:worker_threads';
import type { CountAnswer, Posted } from './count-job.ts';
import type { CountingThread, ThreadEvents } from './counting-queue.ts';

/** o200k_harmony takes 112 MB; a large tokenizer.json 260 MB, and twice that while it loads. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 1024 };

/**
 * @param file count-worker.js, as built
 * @param tokenizerPath the file of `--tokenizer`
 */
export function startCountingThread(
  file: URL,
  tokenizerPath: string | null,
  events: ThreadEvents,
): CountingThread {
  const worker = new Worker(file, {
    workerData: { tokenizerPath },
    resourceLimits: RESOURCE_LIMITS,
    name: 'kvgate-tokens',
  });
  // Counting is no reason to stay alive.
  worker.unref();
  worker.on('message', (answer: CountAnswer) => events.answered(answer));
  worker.on('error', (error) => events.ended(String(error)));
  worker.on('exit', (code) => events.ended(`exit code ${code}`));
  return {
    post(posted: Posted) {
      const { job, budgetMs } = posted;
      if (job.task !== 'prompt') {
        worker.postMessage(posted);
        return;
      }
      // A copy to hand over: the body is still to be sent, and its memory may be a part of something larger.
      const body = new Uint8Array(job.body);
      worker.postMessage({ job: { ...job, body }, budgetMs }, [body.buffer]);
    },
    end() {
      worker.removeAllListeners();
      // A listener is needed still: an error without one would end the process.
      worker.on('error', () => {});
      void worker.terminate();
    },
  };
}
