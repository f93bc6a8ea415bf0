/** Which count a decision gets, and when kvgate's own may be believed. */
import { describe, expect, test } from '@jest/globals';
import type { Adapter } from '../../backend-adapters/adapter.ts';
import type { TokenBounds, TokenRange } from '../../proxy/memory/token-bounds.ts';
import type { AdmitDecision } from '../../proxy/policy/types.ts';
import { CountCache } from '../../proxy/state/counts/count-cache.ts';
import { CountWitnesses } from '../../proxy/state/counts/count-witnesses.ts';
import type { LocalCounter } from '../../proxy/state/counts/local-counter.ts';
import { PromptCounts } from '../../proxy/state/counts/prompt-counts.ts';
import { TokenCalibration } from '../../proxy/state/counts/token-calibration.ts';
import { TokenTrust } from '../../proxy/state/counts/token-trust.ts';
import type { SettledRequest } from '../../proxy/state/settled.ts';
import { requestShape, UNIFIED } from '../support/decision.ts';
import { CHAT, CHAT_ROUTE, scannedRequest } from '../support/scanned-request.ts';
import { facts, fakeAdapter, recordingLog, serving, stateWorld } from '../support/state-world.ts';
import { settle } from '../support/virtual-clock.ts';

const BOUNDS: TokenBounds = { lo: 1, expected: 30, hi: 120, source: 'bytes' };
const { signal } = new AbortController();

function exactly(tokens: number): TokenRange {
  return { lo: tokens, expected: tokens, hi: tokens };
}

/** The n-th chat of this test, long enough to tell one vocabulary from another. */
function chat(n = 0, words = 60) {
  const content = `${n} ${'hello '.repeat(words)}`;
  return scannedRequest(CHAT, { messages: [{ role: 'user', content }] });
}

/** A request, as far as its counts need it. */
interface Run {
  readonly instance?: string;
  readonly bounds?: TokenBounds;
  readonly sequences?: number;
  readonly words?: number;
  readonly model?: string;
  /** Which chat it is; else one of its own. */
  readonly n?: number;
}

interface Played {
  /** By the engine's own counter; null: it has none. */
  engine?: () => Promise<number | null>;
  /** By the tokenizer, one for each way of printing. */
  local?: readonly (TokenRange | null)[] | null;
  /** What is in the prompts. */
  traits?: string;
  vocabularyOf?: (instance: string) => string | null;
  isSampled?: boolean;
  /** Counting takes until then. */
  counting?: Promise<void>;
  sampled?: TokenBounds | null;
  instances?: readonly string[];
}

function world(played: Played = {}) {
  const { engine, instances = ['a'] } = played;
  const { pools } = stateWorld({ instances: instances.map((name) => ({ name })) });
  const { log, lines } = recordingLog();
  const asked = { engine: 0, local: 0, sampled: 0 };
  const adapter: Adapter = fakeAdapter({
    countTokens: async () => {
      asked.engine += 1;
      return engine === undefined ? null : engine();
    },
    ...(engine === undefined ? { hasNoCounter: true } : {}),
  });
  for (const name of instances) pools.update(name, { adapter, facts: facts(UNIFIED) });
  const local: LocalCounter = {
    vocabularyOf: ({ name }) =>
      played.vocabularyOf === undefined ? 'o200k_harmony' : played.vocabularyOf(name),
    isSampled: () => played.isSampled ?? false,
    counts: async () => {
      asked.local += 1;
      const { local: counts, traits = '' } = played;
      await played.counting;
      return counts === undefined || counts === null ? null : { traits, counts };
    },
    sampled: async () => {
      asked.sampled += 1;
      return played.sampled ?? null;
    },
  };
  const parts = {
    ...{ pools, local, log },
    cache: new CountCache(),
    trust: new TokenTrust(),
    calibration: new TokenCalibration(),
  };
  const counts = new PromptCounts(parts);
  const witnesses = new CountWitnesses(parts);
  let next = 0;
  const decided = (promptTokens: TokenBounds, sequences = 1) =>
    ({ charge: { sequences }, estimate: { promptTokens, outputTokens: null } }) as AdmitDecision;
  /** A request that is admitted and runs to its end. */
  const run = async (
    told: number | null,
    { instance = 'a', bounds = BOUNDS, sequences = 1, words = 60, ...asked }: Run = {},
  ) => {
    next += 1;
    const requestId = `r${next}`;
    const shape = requestShape({ promptTokens: bounds, model: asked.model ?? 'm' });
    const body = chat(asked.n ?? next, words);
    witnesses.admitted(requestId, serving(pools, instance), body, shape);
    witnesses.settled({
      requestId,
      instance,
      path: CHAT_ROUTE.path,
      shape,
      decision: decided(bounds, sequences),
      told: { promptTokens: told, cachedTokens: null },
    } as SettledRequest);
    await settle();
  };
  return {
    counts,
    witnesses,
    pools,
    lines,
    asked,
    run,
    played,
    /** null as well where nobody can count it. */
    count: async (bounds = BOUNDS, n = 0, aborted = signal, model: string | null = 'm') => {
      const shape = { promptTokens: bounds, model };
      const counter = counts.counterFor(serving(pools, 'a'), chat(n), shape);
      return counter === null ? null : counter(aborted);
    },
  };
}

const TRUE_COUNT = [exactly(70), exactly(68)] as const;

describe('the engine', () => {
  test('is asked first, and once for the same body', async () => {
    const { count, asked } = world({ engine: async () => 42 });
    expect(await count()).toEqual({ ...exactly(42), source: 'engine' });
    expect(await count()).toEqual({ ...exactly(42), source: 'engine' });
    expect(asked.engine).toBe(1);
    await count(BOUNDS, 1);
    expect(asked.engine).toBe(2);
  });

  test('that fails gives way to the bounds, with a line in the log', async () => {
    const { count, lines } = world({ engine: () => Promise.reject(new Error('gone')) });
    expect(await count()).toBeNull();
    expect(lines).toEqual([{ level: 'debug', msg: 'Token count failed' }]);
  });

  test('is counted on by nobody after the client left', async () => {
    const { count, asked } = world({
      engine: async () => null,
      sampled: { ...BOUNDS, expected: 7 },
    });
    expect(await count(BOUNDS, 0, AbortSignal.abort())).toBeNull();
    expect([asked.local, asked.sampled]).toEqual([0, 0]);
  });

  test('in a new process is asked anew', async () => {
    const { count, asked, pools } = world({ engine: async () => 42 });
    await count();
    pools.update('a', { health: { state: 'unreachable', why: 'refused', processGone: true } });
    await count();
    expect(asked.engine).toBe(2);
  });
});

describe('own counts', () => {
  test('are not believed before the engine confirmed three of them', async () => {
    const { count, run, asked, lines } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 2; n += 1) await run(68);
    expect(await count()).toBeNull();
    expect(asked.local).toBe(2);
    await run(68);
    expect(lines.map(({ msg }) => msg)).toEqual(['Own token counts are used from now on']);
    expect(await count()).toEqual({ ...exactly(68), source: 'tokenizer' });
  });

  test('only in the way that agreed each time', async () => {
    const world_ = world({ local: [exactly(70), exactly(68), { lo: 60, expected: 66, hi: 80 }] });
    for (const told of [68, 68, 68]) await world_.run(told);
    expect(await world_.count()).toEqual({ lo: 60, expected: 68, hi: 80, source: 'tokenizer' });
    world_.played.local = [exactly(90), null, exactly(88)];
    expect(await world_.count(BOUNDS, 1)).toBeNull();
  });

  test('are never used again after one was wrong', async () => {
    const { run, count, asked, lines } = world({ local: TRUE_COUNT });
    await run(68);
    await run(69);
    for (let n = 0; n < 5; n += 1) await run(68);
    expect(await count()).toBeNull();
    expect(asked.local).toBe(2);
    expect(lines).toEqual([
      { level: 'warn', msg: "Own token counts are not used: the engine's differ" },
    ]);
  });

  test('lose the trust they had with the first prompt that had more tokens', async () => {
    const { run, count } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 3; n += 1) await run(68);
    await run(68, { bounds: { ...exactly(68), source: 'tokenizer' } });
    expect(await count(BOUNDS, 1)).not.toBeNull();
    await run(69, { bounds: { ...exactly(68), source: 'tokenizer' } });
    expect(await count(BOUNDS, 2)).toBeNull();
  });

  test('of a model that calls itself gpt-oss and counts bytes are not used', async () => {
    const { run, count } = world({ local: TRUE_COUNT });
    await run(120);
    for (let n = 0; n < 5; n += 1) await run(68);
    expect(await count()).toBeNull();
  });

  test('have to be proven again for a new process', async () => {
    const { run, count, pools } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 3; n += 1) await run(68);
    pools.update('a', { facts: { ...facts(UNIFIED), version: '2' } });
    expect(await count()).toBeNull();
    for (let n = 0; n < 3; n += 1) await run(68);
    expect(await count()).not.toBeNull();
  });

  test('have to be proven for every instance that the request may go to', async () => {
    const { run, count } = world({ local: TRUE_COUNT, instances: ['a', 'b'] });
    for (let n = 0; n < 3; n += 1) await run(68);
    expect(await count()).toBeNull();
    for (let n = 0; n < 3; n += 1) await run(70, { instance: 'b' });
    expect(await count()).toEqual({ lo: 68, expected: 68, hi: 70, source: 'tokenizer' });
  });

  test('that contradict the proven bounds are of no use', async () => {
    const { run, count } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 3; n += 1) await run(68);
    expect(await count({ ...BOUNDS, hi: 60 })).toBeNull();
  });

  test.each<[string, Played, { bounds?: TokenBounds; sequences?: number }, number | null]>([
    ['the engine counts by itself', { engine: async () => 68 }, {}, 68],
    ['the vocabulary is not known', { vocabularyOf: () => null }, {}, 68],
    ['there is media in it', {}, { bounds: { ...BOUNDS, source: 'media' } }, 68],
    ['the engine did not tell', {}, {}, null],
    ['there were several sequences', {}, { sequences: 2 }, 68],
  ])('are not made where %s', async (_why, played, request, told) => {
    const { run, asked } = world({ local: TRUE_COUNT, ...played });
    await run(told, request);
    expect(asked.local).toBe(0);
  });

  test('are not confirmed by a few words, on which many vocabularies agree', async () => {
    const { count, run, asked } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 10; n += 1) await run(68, { words: 5 });
    expect(asked.local).toBe(0);
    expect(await count()).toBeNull();
  });

  test('are not confirmed by a range that any vocabulary would be in', async () => {
    const { count, run, asked } = world({ local: [{ lo: 20, expected: 60, hi: 119 }] });
    for (let n = 0; n < 10; n += 1) await run(68);
    expect(asked.local).toBe(10);
    expect(await count()).toBeNull();
  });

  test('are given up on a route whose prompts can not be counted', async () => {
    const { run, asked, lines } = world({ local: null });
    for (let n = 0; n < 50 + 32; n += 1) await run(68);
    expect(asked.local).toBe(50 + 2);
    expect(lines).toEqual([]);
  });

  test('of requests that never end do not pile up', async () => {
    const { witnesses, pools, run, asked } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 100; n += 1) {
      const shape = { promptTokens: BOUNDS, model: 'm' };
      witnesses.admitted(`lost ${n}`, serving(pools, 'a'), chat(n), shape);
    }
    await run(68);
    expect(asked.local).toBe(1);
  });
});

describe('own counts are trusted for what was confirmed, and nothing else', () => {
  const proven = async (played: Played = {}) => {
    const world_ = world({ local: TRUE_COUNT, ...played });
    for (let n = 0; n < 3; n += 1) await world_.run(68);
    expect(await world_.count()).not.toBeNull();
    return world_;
  };

  test('not for another model that the same server has', async () => {
    const { count, run } = await proven();
    expect(await count(BOUNDS, 1, signal, 'another')).toBeNull();
    await run(500, { model: 'another' });
    expect(await count(BOUNDS, 1)).not.toBeNull();
  });

  test('not for prompts with something else in them, until these are confirmed too', async () => {
    const { count, run, played } = await proven();
    played.traits = 'tools';
    expect(await count(BOUNDS, 1)).toBeNull();
    for (let n = 0; n < 3 * 16; n += 1) await run(68);
    expect(await count(BOUNDS, 1)).not.toBeNull();
  });

  test('not by the same body again and again', async () => {
    const { count, run } = world({ local: TRUE_COUNT });
    for (let n = 0; n < 5; n += 1) await run(68, { n: 1 });
    expect(await count()).toBeNull();
  });

  test('not where another instance has another vocabulary', async () => {
    const vocabularyOf = (name: string) => (name === 'a' ? 'o200k_harmony' : 'file');
    const { count, run } = world({ local: TRUE_COUNT, instances: ['a', 'b'], vocabularyOf });
    for (const instance of ['a', 'b']) {
      for (let n = 0; n < 3; n += 1) await run(68, { instance });
    }
    expect(await count()).toBeNull();
  });

  test('not of a model that was changed without a word: one prompt of sixteen is compared', async () => {
    const { count, run, lines } = await proven();
    for (let n = 0; n < 16; n += 1) await run(200);
    expect(lines.map(({ level }) => level)).toEqual(['info', 'warn']);
    expect(await count(BOUNDS, 1)).toBeNull();
  });

  test('not when trust is lost while it is counted', async () => {
    let counted = () => {};
    const { count, run, played } = await proven();
    played.counting = new Promise((resolve) => {
      counted = resolve;
    });
    const counting = count(BOUNDS, 1);
    await run(69, { bounds: { ...exactly(68), source: 'tokenizer' } });
    counted();
    expect(await counting).toBeNull();
  });
});

test('an instance that stays down does not cost the others what is remembered of them', async () => {
  const { count, pools, asked } = world({ engine: async () => 42, instances: ['a', 'b'] });
  const health = { state: 'unreachable', why: 'refused', processGone: true } as const;
  pools.update('b', { health });
  await count();
  for (let poll = 0; poll < 3; poll += 1) pools.update('b', { health });
  await count();
  expect(asked.engine).toBe(1);
});

test('a count by an engine that was replaced meanwhile is not remembered', async () => {
  let answer = (_tokens: number) => {};
  const first = new Promise<number>((resolve) => {
    answer = resolve;
  });
  const replies = [() => first, async () => 50];
  const { count, pools, asked } = world({ engine: () => (replies.shift() ?? (async () => 50))() });
  const counting = count();
  pools.update('a', { health: { state: 'unreachable', why: 'refused', processGone: true } });
  answer(42);
  await counting;
  expect(await count()).toMatchObject({ hi: 50 });
  expect(asked.engine).toBe(2);
});

test.each<[string, Played, boolean]>([
  ['the engine counts', { engine: async () => 1 }, true],
  ['its text would be sampled', { isSampled: true }, true],
  ['own counts are not trusted yet', {}, false],
])('whether anybody can count a prompt is known at once: %s', (_name, played, can) => {
  const { counts, pools } = world(played);
  const shape = { promptTokens: BOUNDS, model: 'm' };
  const counter = counts.counterFor(serving(pools, 'a'), chat(), shape);
  expect(counter !== null).toBe(can);
});

test('text that is too long to count is sampled', async () => {
  const sampled: TokenBounds = { ...BOUNDS, expected: 99 };
  const { count } = world({ sampled, isSampled: true });
  expect(await count()).toEqual(sampled);
});

describe('what is expected of a prompt', () => {
  const long: TokenBounds = { lo: 4, expected: 250, hi: 1_000, source: 'bytes' };

  test('follows the median of what the engine counted', async () => {
    const { counts, run } = world();
    for (let n = 0; n < 7; n += 1) await run(500, { bounds: long });
    expect(counts.expected('a', long)).toEqual(long);
    await run(999, { bounds: long });
    expect(counts.expected('a', long)).toEqual({ ...long, expected: 500, calibration: 2 });
    expect(counts.expected('b', long)).toEqual(long);
  });

  test('is learned of what was expected without it', async () => {
    const { counts, run } = world();
    for (let n = 0; n < 100; n += 1) await run(500, { bounds: counts.expected('a', long) });
    expect(counts.expected('a', long).expected).toBe(500);
  });

  test('stays between the bounds, and is of bytes alone', async () => {
    const { counts, run } = world();
    for (let n = 0; n < 8; n += 1) await run(1_000, { bounds: { ...long, expected: 10 } });
    expect(counts.expected('a', long)).toMatchObject({ lo: 4, expected: 1_000, hi: 1_000 });
    const media: TokenBounds = { ...long, source: 'media' };
    expect(counts.expected('a', media)).toBe(media);
  });
});
