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
  return {
    knows: (instance) => vocabularyOf(instance) !== null,

    async counts(instance, { route, body }) {
      const vocabulary = vocabularyOf(instance);
      if (vocabulary === null || body.length > LONGEST_BODY_BYTES[vocabulary]) return null;
      const { kind } = route;
      const { framing } = instance.facts;
      // A copy, since it is handed over; and its memory may be a part of something larger.
      const copy = new Uint8Array(body);
      const job = { task: 'prompt', vocabulary, kind, body: copy, framing } as const;
      const answer = await queue.run(job);
      return answer?.outcome === 'counted' ? answer.counts : null;
    },

    async sampled(instance, request, bounds) {
      const vocabulary = vocabularyOf(instance);
      if (vocabulary === null || request.body.length <= LONGEST_BODY_BYTES[vocabulary]) return null;
      const slices = slicesOf(request.body, textMembers(request));
      const answer = await queue.run({ task: 'sample', vocabulary, slices });
      return answer?.outcome === 'sampled' ? sampled(bounds, answer.tokensPerByte) : null;
    },
  };
}

function textMembers({ object }: ScannedRequest) {
  return TEXT_MEMBERS.flatMap((name) => object.members.get(name) ?? []);
}
