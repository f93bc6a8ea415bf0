/** What was learned outlives the process, and nothing that lies in its place can stop the next one. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import { LearnedState, type StateStore } from '../../proxy/state/lengths/learned-state.ts';
import { LengthForecasts } from '../../proxy/state/lengths/length-forecasts.ts';
import { groupsFrom, snapshotOf } from '../../proxy/state/lengths/length-snapshot.ts';
import { requestShape } from '../support/decision.ts';
import { CHAT } from '../support/scanned-request.ts';
import { recordingLog } from '../support/state-world.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const KEY = lengthKey(requestShape(), CHAT, 1_000);

function teach(lengths: LengthForecasts, count: number): void {
  for (let index = 1; index <= count; index += 1) {
    lengths.learn(KEY, { outputTokens: index, endedBy: 'itself', forecastQ95Tokens: 95 });
  }
}

/** A folder that is a variable. */
class MemoryStore implements StateStore {
  text: string | null;
  writes = 0;
  failing = false;
  readonly setAsides: string[] = [];

  constructor(text: string | null = null) {
    this.text = text;
  }
  async read() {
    return this.text;
  }
  async write(text: string) {
    if (this.failing) throw new Error('disk full');
    this.text = text;
    this.writes += 1;
  }
  async setAside() {
    this.setAsides.push(this.text ?? '');
    this.text = null;
    return `corrupt-${this.setAsides.length}`;
  }
}

function world(store: StateStore) {
  const lengths = new LengthForecasts();
  const clock = new VirtualClock();
  const { log, lines } = recordingLog();
  return { lengths, clock, lines, state: new LearnedState({ store, lengths, clock, log }) };
}

const levels = (lines: readonly { readonly level: string }[]) => lines.map(({ level }) => level);

describe('saving', () => {
  test('every 30 s, where there is anything new, and at the end', async () => {
    const store = new MemoryStore();
    const { lengths, clock, state } = world(store);
    state.start();
    clock.advance(30_000);
    await settle();
    expect(store.writes).toBe(0);
    teach(lengths, 20);
    for (const writes of [1, 1]) {
      clock.advance(30_000);
      await settle();
      expect(store.writes).toBe(writes);
    }
    teach(lengths, 1);
    await state.stop();
    expect([store.writes, clock.pendingTimers]).toEqual([2, 0]);
  });

  test('that fails is told of once, and tried again', async () => {
    const store = new MemoryStore();
    const { lengths, clock, state, lines } = world(store);
    store.failing = true;
    teach(lengths, 20);
    state.start();
    for (let round = 0; round < 3; round += 1) {
      clock.advance(30_000);
      await settle();
    }
    expect(levels(lines)).toEqual(['warn']);
    store.failing = false;
    await state.stop();
    expect(store.writes).toBe(1);
  });
});

test('the next process forecasts the same, and goes on from there', async () => {
  const store = new MemoryStore();
  const first = world(store);
  teach(first.lengths, 1_500);
  await first.state.save();
  const second = world(store);
  await second.state.restore();
  expect(second.lengths.forecast(KEY)).toEqual(first.lengths.forecast(KEY));
  expect(second.lengths.summaries()).toEqual(first.lengths.summaries());
  for (const { lengths } of [first, second]) teach(lengths, 300);
  expect(second.lengths.summaries()).toEqual(first.lengths.summaries());
});

describe('what can not be used is set aside, and nothing is learned', () => {
  const group = { group: '[]', outputs: [1, -2], coverage: fresh() };
  const stateOf = (change: object) =>
    JSON.stringify({ version: 1, lengths: [{ ...group, ...change }] });
  function fresh() {
    const none = { count: 0, missed: 0 };
    return { share: 0.95, running: none, before: none };
  }

  test.each<[string, string]>([
    ['no JSON', '{"version":1,"lengths":[{"gr'],
    ['empty', ''],
    ['no object', 'null'],
    ['of another version', '{"version":2,"lengths":[]}'],
    ['without lengths', '{"version":1}'],
    ['with too many groups', JSON.stringify({ version: 1, lengths: Array(300).fill(group) })],
    ['with a group of no known name', stateOf({ group: '["m",1]' })],
    ['with a name that is not written as ours', stateOf({ group: '[ ]' })],
    ['with a group twice', JSON.stringify({ version: 1, lengths: [group, group] })],
    ['with a length of 0', stateOf({ outputs: [0] })],
    ['with a length that is none', stateOf({ outputs: [1e300] })],
    ['with half a token', stateOf({ outputs: [1.5] })],
    ['with too many lengths', stateOf({ outputs: Array(2_000).fill(1) })],
    ['with a share beyond 1', stateOf({ coverage: { ...fresh(), share: 2 } })],
    [
      'with more misses than outcomes',
      stateOf({ coverage: { ...fresh(), before: { count: 1, missed: 2 } } }),
    ],
    [
      'with a negative count',
      stateOf({ coverage: { ...fresh(), before: { count: -1, missed: -2 } } }),
    ],
  ])('%s', async (_what, text) => {
    const store = new MemoryStore(text);
    const { lengths, state, lines } = world(store);
    await state.restore();
    expect([store.setAsides, lengths.groups.size, levels(lines)]).toEqual([[text], 0, ['warn']]);
  });

  test('what is sound is not', async () => {
    const store = new MemoryStore(stateOf({}));
    const { lengths, state } = world(store);
    await state.restore();
    expect([store.setAsides, lengths.groups.size]).toEqual([[], 1]);
  });
});

describe('properties', () => {
  /** Snapshots as they are written, with one value anywhere in them replaced. */
  const nearly = fc
    .tuple(
      fc.array(fc.integer({ min: -5_000, max: 5_000 }), { maxLength: 60 }),
      fc.jsonValue(),
      fc.nat(6),
    )
    .map(([outputs, value, where]) => {
      const lengths = new LengthForecasts();
      for (const sample of outputs) {
        const outcome = { outputTokens: Math.abs(sample), forecastQ95Tokens: null } as const;
        lengths.learn(KEY, { ...outcome, endedBy: sample > 0 ? 'itself' : 'set_limit' });
      }
      const [first, ...others] = structuredClone(snapshotOf(lengths.groups));
      const changes = [
        {},
        { group: value },
        { outputs: value },
        { coverage: value },
        { outputs: [value] },
        { coverage: { ...first?.coverage, share: value } },
        { coverage: { ...first?.coverage, running: value } },
      ];
      return first === undefined ? [value] : [{ ...first, ...changes[where] }, ...others];
    });

  test('nothing that may lie there throws, and what is taken gives forecasts that rise', () => {
    fc.assert(
      fc.property(fc.oneof(nearly, fc.jsonValue()), fc.nat({ max: 6_000 }), (json, generated) => {
        const restored = groupsFrom(json);
        if (!restored.ok) return;
        const lengths = new LengthForecasts();
        for (const [name, group] of restored.groups) lengths.groups.put(name, group);
        lengths.summaries();
        const forecast = lengths.forecast(KEY, generated);
        if (forecast === null) return;
        const { q50Tokens, q95Tokens, q99Tokens } = forecast;
        expect(q50Tokens).toBeGreaterThan(generated);
        expect(q95Tokens).toBeGreaterThanOrEqual(q50Tokens);
        expect(q99Tokens).toBeGreaterThanOrEqual(q95Tokens);
      }),
    );
  });
});
