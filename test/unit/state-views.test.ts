/** The world as a decision sees it. */
import { describe, expect, test } from '@jest/globals';
import { CHAT } from '../support/scanned-request.ts';
import { serving, stateWorld } from '../support/state-world.ts';

const NOBODY = () => [];

function viewOf(world: ReturnType<typeof stateWorld>, name = 'a') {
  return world.views.instance(serving(world.pools, name));
}

test('pools with their healthy instances, the usual ones first', () => {
  const world = stateWorld({
    instances: [{ name: 'big', large: true }, { name: 'a' }, { name: 'b' }, { name: 'c' }],
  });
  world.pools.update('b', { health: { state: 'loading', why: '' } });
  world.pools.update('c', { adapter: null });
  const waiting = [{ units: 1, sequences: 1, durationMs: null }];
  const seen = world.views.pools(CHAT, (pool) => (pool === 'large' ? waiting : []));
  expect(seen.map(({ name, large }) => [name, large])).toEqual([
    ['default', false],
    ['large', true],
  ]);
  expect(seen.map(({ instances }) => instances.map(({ name }) => name))).toEqual([['a'], ['big']]);
  expect(seen.map((pool) => pool.waiting)).toEqual([[], waiting]);
});

test('a pool without a healthy instance is still a pool', () => {
  const world = stateWorld();
  world.pools.update('a', { health: { state: 'unreachable', why: '', processGone: false } });
  expect(world.views.pools(CHAT, NOBODY)).toMatchObject([{ name: 'default', instances: [] }]);
});

test('what is promised, in flight and allowed', () => {
  const world = stateWorld();
  world.take('a', 1_000, 500);
  world.take('a', 200, 100);
  expect(viewOf(world)).toMatchObject({
    name: 'a',
    capacity: { state: 'known', units: 10_000 },
    committedUnits: 1_800,
    sequences: 2,
    maxSequences: 4,
    concurrencyCap: null,
    level: 'low',
  });
});

describe('others', () => {
  test.each<{
    what: string;
    usedUnits: number | null;
    runningSequences: number | null;
    units: number;
    sequences: number;
  }>([
    {
      what: 'just ours',
      usedUnits: 1_000,
      runningSequences: 1,
      units: 0,
      sequences: 0,
    },
    {
      what: 'more than ours',
      usedUnits: 1_300,
      runningSequences: 3,
      units: 300,
      sequences: 2,
    },
    {
      what: 'less than ours: it is not here yet, or shares a prefix',
      usedUnits: 10,
      runningSequences: 0,
      units: 0,
      sequences: 0,
    },
    {
      what: 'not told',
      usedUnits: null,
      runningSequences: null,
      units: 0,
      sequences: 0,
    },
  ])('$what', ({ usedUnits, runningSequences, units, sequences }) => {
    const world = stateWorld();
    const lease = world.take('a', 1_000, 500);
    world.read('a', { usedUnits, runningSequences });
    expect(world.views.others(serving(world.pools, 'a'))).toEqual({ units, sequences });
    // They are taken off what there was at the reading, not off what there is now.
    lease.end();
    expect(viewOf(world)).toMatchObject({ committedUnits: units, sequences });
  });

  test('nothing before the first reading', () => {
    const world = stateWorld();
    world.pools.update('a', { latest: null });
    expect(world.views.others(serving(world.pools, 'a'))).toEqual({ units: 0, sequences: 0 });
    expect(viewOf(world).maxSequences).toBeNull();
  });
});

describe('ends of leases', () => {
  const tenMsAToken = {
    promptTokens: 100,
    outputTokens: 100,
    ttftMs: 0,
    totalMs: 1_000,
    endedBy: 'itself',
  } as const;

  test('unknown until something was learned', () => {
    const world = stateWorld();
    world.take('a', 1_000, 500);
    expect(viewOf(world).freeing).toEqual([{ atMs: null, units: 1_500, sequences: 1 }]);
  });

  test('from the beginning of the lease', () => {
    const world = stateWorld();
    world.speeds.learn('a', tenMsAToken);
    const takenAtMs = world.clock.nowMs();
    world.take('a', 1_000, 500);
    world.clock.advance(1_000);
    expect(viewOf(world).freeing).toEqual([
      { atMs: takenAtMs + 5_000, units: 1_500, sequences: 1 },
    ]);
  });

  test('overdue is unknown again, not at once', () => {
    const world = stateWorld();
    world.speeds.learn('a', tenMsAToken);
    world.take('a', 1_000, 500);
    world.clock.advance(5_000);
    expect(viewOf(world).freeing).toMatchObject([{ atMs: null }]);
  });
});

test('the level follows what is promised and what others hold', () => {
  const world = stateWorld();
  world.take('a', 8_000, 1_000);
  expect(world.views.refreshLevel(serving(world.pools, 'a'))).toEqual({
    before: 'low',
    after: 'low',
  });
  world.read('a', { usedUnits: 9_700 });
  // 9,000 promised and 1,700 of others in a pool of 10,000.
  expect(world.views.refreshLevel(serving(world.pools, 'a'))).toEqual({
    before: 'low',
    after: 'high',
  });
});
