/** Counts prompts in the worker; here is only what must be done before and after. */
import type { ScannedRequest } from '../../backend-adapters/adapter.ts';
import { sampled } from '../memory/token-bounds.ts';
import type { LocalCounter } from '../state/counts/local-counter.ts';
import type { ServingInstance } from '../state/pools.ts';
import type { VocabularyName } from './count-job.ts';
import type { CountingQueue } from './counting-queue.ts';
import { slicesOf } from './text-sample.ts';

/** A body that is counted whole takes half a second at most, one by a tokenizer.json the same. */
const LONGEST_BODY_BYTES: Readonly<Record<VocabularyName, number>> = {
  o200k_harmony: 1024 ** 2,
  file: 256 * 1024,
};

/** Members that hold the text of a prompt, whatever the API. */
const TEXT_MEMBERS = ['messages', 'system', 'instructions', 'input', 'prompt', 'tools'];

/** @param hasFile whether there is a `--tokenizer`, which then counts for all models but gpt-oss */
export function workerCounter(queue: CountingQueue, hasFile: boolean): LocalCounter {
  const vocabularyOf = ({ facts }: ServingInstance): VocabularyName | null =>
    facts.layout.spec?.tokenizer ?? (hasFile ? 'file' : null);
  const isSampled = (instance: ServingInstance, { body }: ScannedRequest): boolean => {
    const vocabulary = vocabularyOf(instance);
    return vocabulary !== null && body.length > LONGEST_BODY_BYTES[vocabulary];
  };
  return {
    vocabularyOf,
    isSampled,

    async counts(instance, request) {
      const vocabulary = vocabularyOf(instance);
      if (vocabulary === null || isSampled(instance, request)) return null;
      const { route, body } = request;
      const { framing } = instance.facts;
      const job = { task: 'prompt', vocabulary, kind: route.kind, body, framing } as const;
      const answer = await queue.run(job);
      if (answer?.outcome !== 'counted') return null;
      const { traits, counts } = answer;
      return { traits, counts };
    },

    async sampled(instance, request, bounds) {
      const vocabulary = vocabularyOf(instance);
      if (vocabulary === null || !isSampled(instance, request)) return null;
      const slices = slicesOf(request.body, textMembers(request));
      const answer = await queue.run({ task: 'sample', vocabulary, slices });
      return answer?.outcome === 'sampled' ? sampled(bounds, answer.tokensPerByte) : null;
    },
  };
}

function textMembers({ object }: ScannedRequest) {
  return TEXT_MEMBERS.flatMap((name) => object.members.get(name) ?? []);
}
