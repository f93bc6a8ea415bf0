/** The headroom of instances over time: what moves it, what does not, and that off is off. */
import { describe, expect, test } from '@jest/globals';
import { HEADROOM_COOLDOWN_MS } from '../../proxy/policy/headroom.ts';
import { Headrooms } from '../../proxy/state/headrooms.ts';
import type { LogFields } from '../../proxy/state/log.ts';
import { isServing } from '../../proxy/state/pools.ts';
import { recordingMetrics, serving, stateWorld } from '../support/state-world.ts';

function house(enabled = true) {
  const { clock, pools, read } = stateWorld({ instances: [{ name: 'a' }, { name: 'b' }] });
  const moves: LogFields[] = [];
  const note = (msg: string, fields: LogFields = {}) => {
    if (msg === 'Headroom moved') moves.push(fields);
  };
  const log = { debug: note, info: note, warn: note, error: note };
  const { metrics, counted } = recordingMetrics();
  const headrooms = new Headrooms({ pools, clock, log, metrics }, enabled);
  pools.onChange((_, after) => headrooms.observe(after));
  const count = (preemptions: number | null) => read('a', { preemptions });
  return { clock, pools, headrooms, moves, counted, count };
}

describe('preemptions', () => {
  test('one more than at the last reading is a signal, for this instance alone', () => {
    const { headrooms, moves, counted, count } = house();
    count(3);
    expect(headrooms.shareOf('a')).toBe(1);
    count(5);
    expect([headrooms.shareOf('a'), headrooms.shareOf('b')]).toEqual([0.9, 1]);
    expect(moves).toEqual([{ instance: 'a', cause: 'preemption', from: 1, to: 0.9 }]);
    expect(counted).toEqual([['headroomMoved', 'preemption']]);
  });

  test.each<[string, readonly (number | null)[]]>([
    ['the first count', [5]],
    ['the same count', [5, 5]],
    ['a count that is missing for a moment', [5, null, 5]],
    ['an engine that started anew', [5, 0]],
  ])('%s is none', (_what, counts) => {
    const { headrooms, count } = house();
    for (const preemptions of counts) count(preemptions);
    expect(headrooms.shareOf('a')).toBe(1);
  });

  test.each(['unreachable', 'loading', 'quarantined'] as const)(
    'nor is the higher count of a process that serves after one that was %s',
    (state) => {
      const { headrooms, pools, count } = house();
      count(5);
      pools.update('a', { health: { state, why: '', processGone: true } });
      expect(pools.instances.filter(isServing)).toHaveLength(2);
      count(9);
      expect(headrooms.shareOf('a')).toBe(1);
      count(10);
      expect(headrooms.shareOf('a')).toBe(0.9);
    },
  );
});

test('a quiet time raises it step by step, each with a line', () => {
  const { headrooms, clock, moves } = house();
  headrooms.signal('a', 'preemption');
  for (let polls = 0; polls < 4 * HEADROOM_COOLDOWN_MS; polls += 500) {
    clock.advance(500);
    headrooms.refresh();
  }
  expect(moves.map(({ cause, to }) => [cause, to])).toEqual([
    ['preemption', 0.9],
    ['quiet', 0.92],
    ['quiet', 0.94],
    ['quiet', 0.96],
    ['quiet', 0.98],
  ]);
});

test('quiet that nobody looked at counts before the signal that ends it', () => {
  const { headrooms, clock, moves } = house();
  headrooms.signal('a', 'oom');
  clock.advance(5 * HEADROOM_COOLDOWN_MS);
  headrooms.signal('a', 'overflow');
  expect(moves.map(({ cause, to }) => [cause, to])).toEqual([
    ['oom', 0.7],
    ['quiet', 0.8],
    ['overflow', 0.64],
  ]);
});

describe('switched off', () => {
  test('it restores the fixed values at once, says so, and takes no signal', () => {
    const { headrooms, moves } = house();
    headrooms.signal('a', 'oom');
    headrooms.enable(false);
    expect([headrooms.enabled, headrooms.shareOf('a')]).toEqual([false, 1]);
    expect(moves.at(-1)).toEqual({ instance: 'a', cause: 'off', from: 0.7, to: 1 });
    headrooms.signal('a', 'oom');
    headrooms.refresh();
    expect(headrooms.shareOf('a')).toBe(1);
    expect(moves).toHaveLength(2);
  });

  test('and on again it begins with them, without the burst from before', () => {
    const { headrooms } = house();
    headrooms.signal('a', 'oom');
    headrooms.enable(false);
    headrooms.enable(true);
    expect(headrooms.shareOf('a')).toBe(1);
    headrooms.signal('a', 'preemption');
    expect(headrooms.shareOf('a')).toBe(0.9);
  });

  test('what was counted meanwhile is no news afterwards', () => {
    const { headrooms, count } = house(false);
    count(1);
    count(7);
    headrooms.enable(true);
    count(7);
    expect(headrooms.shareOf('a')).toBe(1);
  });
});

describe('the capacity', () => {
  function pool() {
    const world = stateWorld({ dynamicThresholds: true });
    const capacity = () => world.capacities.of(serving(world.pools, 'a'));
    const pressure = () => world.capacities.pressureOf(serving(world.pools, 'a'), 0, 2_000);
    return { ...world, capacity, pressure };
  }

  test('that leases may fill is smaller, and what could ever fit is not', () => {
    const { headrooms, capacity, pressure, take } = pool();
    take('a', 1_000, 1_000);
    const before = pressure();
    headrooms.signal('a', 'oom');
    expect(capacity()).toEqual({ state: 'known', units: 7_000, aloneUnits: 10_000 });
    expect(pressure()).toBe(before);
    headrooms.enable(false);
    expect(capacity()).toEqual({ state: 'known', units: 10_000, aloneUnits: 10_000 });
  });

  test('is whole for whoever finds the instance empty', () => {
    const { headrooms, capacity, take } = pool();
    headrooms.signal('a', 'oom');
    const lease = take('a', 1_000, 1_000);
    expect(capacity()).toMatchObject({ units: 7_000 });
    lease.end();
    expect(capacity()).toMatchObject({ units: 10_000 });
  });

  test('that is lowered for want of readings is lowered once more', () => {
    const { headrooms, capacity, take, clock } = pool();
    take('a', 1_000, 1_000);
    headrooms.signal('a', 'oom');
    clock.advance(6_000);
    expect(capacity()).toMatchObject({ state: 'conservative', units: 6_300, aloneUnits: 10_000 });
  });
});
