/** The thread that counts, as it was built into dist/, with texts made to stall it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { afterAll, describe, expect, test } from '@jest/globals';
import { realClock } from '../../proxy/real-clock.ts';
import type { CountAnswer, VocabularyName } from '../../proxy/tokens/count-job.ts';
import { CountingQueue } from '../../proxy/tokens/counting-queue.ts';
import { startCountingThread } from '../../proxy/tokens/counting-thread.ts';
import { recordingLog } from '../support/state-world.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { TEXT_KINDS } from '../support/text-kinds.ts';
import { tokenizer } from '../support/tiny-gpt-oss-tokens.ts';

const BUILT = new URL('../../dist/proxy/tokens/count-worker.js', import.meta.url);
const FRAMING = { baseTokens: 128, perMessageTokens: 16 };
/** Any text is answered by then, also on a machine that is busy with other suites. */
const ANSWERED_WITHIN_MS = 1_500;
const MEGABYTE = 1_000_000;

const files = createTempFiles();
const queues: CountingQueue[] = [];
afterAll(() => {
  for (const queue of queues) queue.close();
  files.remove();
});

function startQueue(tokenizerPath: string | null = null): CountingQueue {
  const { log } = recordingLog();
  const queue = new CountingQueue(
    (events) => startCountingThread(BUILT, tokenizerPath, events),
    realClock,
    log,
  );
  queues.push(queue);
  return queue;
}

function countChat(
  queue: CountingQueue,
  content: string,
  vocabulary: VocabularyName = 'o200k_harmony',
): Promise<CountAnswer | null> {
  const body = new TextEncoder().encode(JSON.stringify({ messages: [{ role: 'user', content }] }));
  return queue.run({ task: 'prompt', vocabulary, kind: 'chat', body, framing: FRAMING });
}

const HOSTILE: readonly (readonly [string, string])[] = [
  ['32 KB of blanks', ' '.repeat(32_000)],
  ['264 KB of blanks', ' '.repeat(264_000)],
  ['32,000 characters of Chinese', '中'.repeat(32_000)],
  ['as many, all different', characters(0x4e00, 20_000, 32_000)],
  ['a megabyte of one letter', 'a'.repeat(MEGABYTE)],
  ['a megabyte of emoji', '😀'.repeat(MEGABYTE / 4)],
  ['a megabyte of capitals and small letters', 'Aa'.repeat(MEGABYTE / 2)],
  ['a megabyte of marks', 'e\u0301'.repeat(MEGABYTE / 3)],
  ['runs that are just short enough to be counted', `${'\u4e2d'.repeat(1_000)}。`.repeat(200)],
  ['what spells special tokens', '<|start|><|end|>'.repeat(20_000)],
];

function characters(from: number, count: number, length: number): string {
  return Array.from({ length }, (_, index) =>
    String.fromCharCode(from + ((index * 7_919) % count)),
  ).join('');
}

describe('texts made to stall it', () => {
  const queue = startQueue();

  test.each(HOSTILE)('%s', async (_name, text) => {
    await queue.run({ task: 'load', vocabulary: 'o200k_harmony' });
    const began = performance.now();
    const answer = await countChat(queue, text);
    expect(performance.now() - began).toBeLessThan(ANSWERED_WITHIN_MS);
    if (answer?.outcome !== 'counted') throw new Error('not counted');
    const [count] = answer.counts;
    expect(count?.lo).toBeGreaterThanOrEqual(67);
    expect(count?.hi).toBeLessThanOrEqual(Buffer.byteLength(text) + 68);
  });

  test('leave the event loop alone', async () => {
    await queue.run({ task: 'load', vocabulary: 'o200k_harmony' });
    const text = TEXT_KINDS.map((kind) => kind.text)
      .join('\n')
      .repeat(3);
    const lag = monitorEventLoopDelay({ resolution: 1 });
    lag.enable();
    const counts = [countChat(queue, text), countChat(queue, HOSTILE[3]?.[1] ?? '')];
    const answers = await Promise.all(counts);
    lag.disable();
    expect(answers.map((answer) => answer?.outcome)).toEqual(['counted', 'counted']);
    // A few milliseconds on an idle machine; counted here it would be one block of hundreds.
    expect(lag.percentile(99) / 1e6).toBeLessThan(50);
  });
});

test('a body is counted out of the memory that it is a part of, and stays as it was', async () => {
  const queue = startQueue();
  const text = '{"prompt":"one two three"}';
  const body = Buffer.concat([Buffer.alloc(5_000), Buffer.from(text)]).subarray(5_000);
  const job = { task: 'prompt', vocabulary: 'o200k_harmony', kind: 'completion' } as const;
  const answer = await queue.run({ ...job, body, framing: FRAMING });
  expect(answer).toMatchObject({ counts: [{ hi: 3 }, { hi: 3 }] });
  expect(body.toString()).toBe(text);
});

test('a megabyte of tool results does not stall it', async () => {
  const queue = startQueue();
  await queue.run({ task: 'load', vocabulary: 'o200k_harmony' });
  const messages = Array.from({ length: 9_000 }, (_, index) => [
    { role: 'assistant', tool_calls: [{ id: `${index}`, function: { name: 'f' } }] },
    { role: 'tool', tool_call_id: `${index}`, content: 'x' },
  ]).flat();
  const body = new TextEncoder().encode(JSON.stringify({ messages }));
  const job = { task: 'prompt', vocabulary: 'o200k_harmony', kind: 'chat' } as const;
  const began = performance.now();
  const answer = await queue.run({ ...job, body, framing: FRAMING });
  expect(performance.now() - began).toBeLessThan(ANSWERED_WITHIN_MS);
  expect(answer?.outcome).toBe('counted');
});

test('samples of a long text tell what it has', async () => {
  const queue = startQueue();
  const { densityOf, slicesOf } = await import('../../proxy/tokens/text-sample.ts');
  const { o200k } = await import('../../proxy/tokens/o200k.ts');
  const { scanObject, bytesOf } = await import('../support/scan-json.ts');
  const errors = TEXT_KINDS.map(({ text }) => {
    const prompt = text.repeat(10);
    const body = bytesOf(JSON.stringify({ model: 'm', prompt }));
    const members = [scanObject(body).members.get('prompt') ?? []].flat();
    const sampled = densityOf(slicesOf(body, members), o200k, Number.POSITIVE_INFINITY);
    const { expected } = o200k.count(prompt, Number.POSITIVE_INFINITY);
    return Math.abs(sampled / (expected / Buffer.byteLength(prompt)) - 1);
  }).sort((a, b) => a - b);
  const at = (share: number) => errors[Math.floor(errors.length * share)];
  expect(at(0.5)).toBeLessThan(0.02);
  expect(at(0.9)).toBeLessThan(0.1);
  const slices = [new TextEncoder().encode('one two three')];
  const answer = await queue.run({ task: 'sample', vocabulary: 'o200k_harmony', slices });
  expect(answer).toEqual({ outcome: 'sampled', tokensPerByte: 3 / 13 });
});

describe('a tokenizer.json', () => {
  test('counts what it knows: here a byte is a token', async () => {
    const queue = startQueue(files.write('tokenizer.json', JSON.stringify(tokenizer())));
    const body = new TextEncoder().encode(JSON.stringify({ prompt: 'Größe <|end|>' }));
    const job = { task: 'prompt', vocabulary: 'file', kind: 'completion', body } as const;
    expect(await queue.run({ ...job, framing: FRAMING })).toEqual({
      outcome: 'counted',
      traits: '',
      counts: [{ lo: 9, expected: 9, hi: 9 }],
    });
    expect(await countChat(queue, 'abcdef', 'file')).toEqual({
      outcome: 'counted',
      traits: '',
      counts: [{ lo: 4, expected: 6 + 144, hi: 6 + 144 + 2 }],
    });
  });

  test.each([
    ['is none', '{"a":1}', /model/],
    ['is no JSON', 'tokens', /JSON/],
  ])('that %s says why', async (_name, content, why) => {
    const queue = startQueue(files.write('bad.json', content));
    const answer = await queue.run({ task: 'load', vocabulary: 'file' });
    expect(answer).toEqual({ outcome: 'unknown', why: expect.stringMatching(why) });
  });
});

test('a body that is no JSON is not counted, and the thread goes on', async () => {
  const queue = startQueue();
  const body = new TextEncoder().encode('{');
  const job = { task: 'prompt', vocabulary: 'o200k_harmony', kind: 'chat', body } as const;
  expect(await queue.run({ ...job, framing: FRAMING })).toMatchObject({ outcome: 'unknown' });
  expect(await countChat(queue, 'hi')).toMatchObject({ outcome: 'counted' });
});
