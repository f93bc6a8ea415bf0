/** What is asked of the thread for a request, and what is not. */
import { expect, test } from '@jest/globals';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { TokenBounds } from '../../proxy/memory/token-bounds.ts';
import type { CountAnswer, CountJob } from '../../proxy/tokens/count-job.ts';
import { CountingQueue } from '../../proxy/tokens/counting-queue.ts';
import { workerCounter } from '../../proxy/tokens/worker-counter.ts';
import { FOUR_BYTE_MODEL, UNIFIED } from '../support/decision.ts';
import { CHAT, scannedRequest } from '../support/scanned-request.ts';
import { facts, recordingLog, serving, stateWorld } from '../support/state-world.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const BOUNDS: TokenBounds = { lo: 1, expected: 30, hi: 1_000, source: 'bytes' };
const COUNTS = { traits: 'tools', counts: [{ lo: 7, expected: 7, hi: 7 }] };

function answerTo(job: CountJob): CountAnswer {
  switch (job.task) {
    case 'load':
      return { outcome: 'loaded' };
    case 'sample':
      return { outcome: 'sampled', tokensPerByte: 0.5 };
    case 'prompt':
      return { outcome: 'counted', ...COUNTS };
  }
}

/** An instance of a model with or without a vocabulary of its own, and the jobs that were posted. */
function world({ tokenizer, hasFile }: { tokenizer: ModelSpec['tokenizer']; hasFile: boolean }) {
  const { pools } = stateWorld();
  const layout = { ...UNIFIED, spec: { ...FOUR_BYTE_MODEL, tokenizer } };
  pools.update('a', { facts: facts(layout) });
  const jobs: CountJob[] = [];
  const queue = new CountingQueue(
    ({ answered }) => ({
      post({ job }) {
        if (job.task !== 'load') jobs.push(job);
        queueMicrotask(() => answered(answerTo(job)));
      },
      end: () => {},
    }),
    new VirtualClock(),
    recordingLog().log,
  );
  return { counter: workerCounter(queue, hasFile), instance: serving(pools, 'a'), jobs };
}

function chat(chars: number) {
  return scannedRequest(CHAT, { messages: [{ role: 'user', content: 'x'.repeat(chars) }] });
}

test.each([
  { tokenizer: 'o200k_harmony', hasFile: false, vocabulary: 'o200k_harmony' },
  { tokenizer: 'o200k_harmony', hasFile: true, vocabulary: 'o200k_harmony' },
  { tokenizer: null, hasFile: true, vocabulary: 'file' },
  { tokenizer: null, hasFile: false, vocabulary: null },
] as const)('$tokenizer, a file: $hasFile', async ({ tokenizer, hasFile, vocabulary }) => {
  const { counter, instance, jobs } = world({ tokenizer, hasFile });
  expect(counter.vocabularyOf(instance)).toBe(vocabulary);
  const counts = await counter.counts(instance, chat(10));
  expect(counts).toEqual(vocabulary === null ? null : COUNTS);
  expect(jobs.map((job) => job.vocabulary)).toEqual(vocabulary === null ? [] : [vocabulary]);
});

test.each([
  { tokenizer: 'o200k_harmony', longestBytes: 1024 ** 2 },
  { tokenizer: null, longestBytes: 256 * 1024 },
] as const)('longer than $longestBytes bytes: samples', async ({ tokenizer, longestBytes }) => {
  const { counter, instance, jobs } = world({ tokenizer, hasFile: true });
  const short = chat(longestBytes - 100);
  expect(await counter.counts(instance, short)).toEqual(COUNTS);
  expect(await counter.sampled(instance, short, BOUNDS)).toBeNull();
  const long = chat(longestBytes);
  expect(await counter.counts(instance, long)).toBeNull();
  expect(await counter.sampled(instance, long, BOUNDS)).toEqual({ ...BOUNDS, expected: 500 });
  const job = jobs.at(-1);
  if (job?.task !== 'sample') throw new Error('nothing was sampled');
  expect(job.slices).toHaveLength(16);
  for (const slice of job.slices) expect(slice.buffer.byteLength).toBeLessThanOrEqual(1_027);
});
