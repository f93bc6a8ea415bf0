/** Who waits, in what order, who may pass whom, and how a wait ends. */
import { describe, expect, test } from '@jest/globals';
import { type Place, Queue, type QueueExit } from '../../proxy/state/queue.ts';
import { MAX_PASSES, MAX_TRIES_BEHIND, PASSING_SHARE } from '../../proxy/state/queue-lane.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const TIMEOUT_MS = 30_000;

type Joining = Partial<Place> & { readonly units?: number; readonly signal?: AbortSignal };

function line() {
  const clock = new VirtualClock();
  const queue = new Queue<string, string>(clock, TIMEOUT_MS);
  const exits: Record<string, QueueExit<string> | null> = {};
  const join = (item: string, joining: Joining = {}) => {
    const { units = 1, signal = new AbortController().signal, ...place } = joining;
    exits[item] = null;
    const waiting = { units, sequences: 1, durationMs: null };
    const turn = { tenant: 't', priority: 'normal', cost: 1 } as const;
    void queue.wait(item, { pool: 'default', waiting, ...turn, ...place }, signal).then((exit) => {
      exits[item] = exit;
    });
  };
  /** Has those named served, and says whom it offered a turn. */
  const pump = (...served: readonly string[]): readonly string[] => {
    const offered: string[] = [];
    queue.pump(({ item }) => {
      offered.push(item);
      if (item.startsWith('aside')) return { how: 'aside' };
      if (!served.includes(item)) return { how: 'short' };
      return { how: 'served', result: `${item} served`, holds: !item.startsWith('told') };
    });
    return offered;
  };
  return { clock, queue, exits, join, pump };
}

/** What the line of the default pool is to a newcomer of this tenant: units, and whether it may pass. */
function ahead(
  { queue }: ReturnType<typeof line>,
  tenant: string,
  priority: Place['priority'] = 'normal',
) {
  const waiting = queue.aheadOf({ tenant, priority }, 'default');
  return { units: waiting.map(({ units }) => units), passable: waiting[0]?.passable === true };
}

describe('order', () => {
  test('of one tenant: first come, first offered', () => {
    const { join, pump, queue } = line();
    for (const item of ['a', 'b', 'c']) join(item);
    expect(pump('a', 'b', 'c')).toEqual(['a', 'b', 'c']);
    expect(queue.length).toBe(0);
  });

  test('tenants take turns, and what was served is owed the next time', () => {
    const { join, pump } = line();
    for (const item of ['a1', 'a2', 'a3', 'a4']) join(item, { tenant: 'a', cost: 2 });
    expect(pump('a1')).toEqual(['a1', 'a2']);
    for (const item of ['b1', 'b2']) join(item, { tenant: 'b', cost: 1, units: 0.5 });
    expect(pump('a2', 'a3', 'a4', 'b1', 'b2')).toEqual(['a2', 'b1', 'b2', 'a3', 'a4']);
  });

  test('each pool has a line of its own', () => {
    const { join, pump, queue } = line();
    join('a', { units: 9 });
    join('b', { pool: 'large' });
    join('c', { units: 9 });
    join('d', { pool: 'large' });
    expect(pump('b', 'd')).toEqual(['a', 'b', 'd']);
    expect(queue.length).toBe(2);
    expect(pump('a')).toEqual(['a', 'c']);
  });

  test('who was served is not offered again', async () => {
    const { join, pump, exits } = line();
    join('a');
    join('b');
    pump('a');
    expect(pump()).toEqual(['b']);
    await settle();
    expect(exits).toEqual({ a: { how: 'served', result: 'a served' }, b: null });
  });

  test('who comes while others are served waits for the next time', () => {
    const { join, queue } = line();
    join('a');
    const offered: string[] = [];
    queue.pump(({ item }) => {
      offered.push(item);
      if (item === 'a') join('late');
      return { how: 'served', result: item, holds: true };
    });
    expect(offered).toEqual(['a']);
    expect(queue.length).toBe(1);
  });

  test('who leaves while others are served is not offered', () => {
    const { join, queue } = line();
    const leaving = new AbortController();
    join('a');
    join('b', { signal: leaving.signal });
    const offered: string[] = [];
    queue.pump(({ item }) => {
      offered.push(item);
      leaving.abort();
      return { how: 'served', result: item, holds: true };
    });
    expect(offered).toEqual(['a']);
  });

  test('a newcomer sees those of the pool who are served before it', () => {
    const waiting = line();
    waiting.join('a1', { tenant: 'a', units: 1 });
    waiting.join('elsewhere', { tenant: 'a', units: 6, pool: 'large' });
    waiting.join('a2', { tenant: 'a', units: 2 });
    waiting.join('a3', { tenant: 'a', units: 3 });
    expect(ahead(waiting, 'a').units).toEqual([1, 2, 3]);
    expect(ahead(waiting, 'b').units).toEqual([1]);
    expect(ahead(waiting, 'b', 'high').units).toEqual([]);
    expect(waiting.queue.aheadOf({ tenant: 'a', priority: 'normal' }, 'other')).toEqual([]);
  });

  test('what was really held changes the order, and is forgotten with the last who waits', () => {
    const { join, pump, queue } = line();
    const turn = { tenant: 'a', priority: 'normal', cost: 1 } as const;
    for (const item of ['a1', 'a2']) join(item, { tenant: 'a' });
    for (const item of ['b1', 'b2', 'b3', 'b4']) join(item, { tenant: 'b' });
    pump('a1');
    queue.trueUp(turn, 'default', 4);
    // It owes 4 by now; of b three are worth 3.
    expect(pump('b1', 'b2', 'b3', 'b4', 'a2')).toEqual(['b1', 'b2', 'b3', 'b4', 'a2']);
    queue.trueUp(turn, 'default', 100);
    join('a3', { tenant: 'a' });
    join('b5', { tenant: 'b' });
    expect(pump('a3', 'b5')).toEqual(['a3', 'b5']);
  });
});

describe('passing', () => {
  test('smaller ones are served while there is no room for the one whose turn it is', () => {
    const { join, pump } = line();
    join('large', { units: 9 });
    join('small', { units: 1 });
    expect(pump('small')).toEqual(['large', 'small']);
  });

  test('where a smaller one found no room, a larger one is not tried', () => {
    const { join, pump } = line();
    for (const [item, units] of Object.entries({ a: 5, b: 6, c: 5, d: 4 })) join(item, { units });
    expect(pump()).toEqual(['a', 'd']);
  });

  test('only so many are tried', () => {
    const { join, pump } = line();
    for (let index = 0; index < 20; index += 1) join(`r${index}`, { units: 20 - index });
    expect(pump()).toHaveLength(1 + MAX_TRIES_BEHIND);
  });

  test(`nobody is passed more than ${MAX_PASSES} times`, () => {
    const waiting = line();
    waiting.join('large', { units: 9 });
    const small = Array.from({ length: MAX_PASSES + 1 }, (_, index) => `r${index}`);
    for (const item of small) waiting.join(item, { tenant: item });
    expect(waiting.pump(...small)).toEqual(['large', ...small.slice(0, MAX_PASSES)]);
    expect(waiting.pump(...small)).toEqual(['large']);
    expect(ahead(waiting, 'late').passable).toBe(false);
    expect(waiting.pump('large', ...small)).toEqual(['large', `r${MAX_PASSES}`]);
  });

  test('nor for longer than a share of the longest wait', () => {
    const waiting = line();
    waiting.join('large', { units: 9 });
    waiting.join('small');
    waiting.clock.advance(PASSING_SHARE * TIMEOUT_MS - 1);
    expect(ahead(waiting, 'late')).toEqual({ units: [9], passable: true });
    waiting.clock.advance(1);
    expect(ahead(waiting, 'late')).toEqual({ units: [9], passable: false });
    expect(waiting.pump('small')).toEqual(['large']);
  });

  test('what is freed is kept for it even where somebody else is nearer to a turn by then', () => {
    const waiting = line();
    waiting.join('large', { units: 9, cost: 5 });
    waiting.clock.advance(PASSING_SHARE * TIMEOUT_MS);
    waiting.join('urgent', { priority: 'high', tenant: 'u' });
    expect(ahead(waiting, 'v', 'high')).toEqual({ units: [9, 1], passable: false });
    expect(waiting.pump('urgent')).toEqual(['large']);
    expect(waiting.pump('large', 'urgent')).toEqual(['large', 'urgent']);
  });

  test('a newcomer that is served at once passes, and owes for it', () => {
    const waiting = line();
    waiting.join('large', { units: 9, tenant: 'a' });
    const turn = { tenant: 'b', priority: 'normal', cost: 3 } as const;
    for (let passes = 0; passes < MAX_PASSES; passes += 1) {
      expect(ahead(waiting, 'c').passable).toBe(true);
      waiting.queue.servedAtOnce(turn, 'default');
    }
    expect(ahead(waiting, 'c').passable).toBe(false);
    waiting.join('c', { tenant: 'c', units: 2 });
    expect(ahead(waiting, 'b').units).toEqual([9, 2]);
  });

  test('with more before it than are tried, a newcomer waits', () => {
    const waiting = line();
    for (let index = 0; index <= MAX_TRIES_BEHIND; index += 1) waiting.join(`r${index}`);
    expect(ahead(waiting, 't').passable).toBe(false);
    expect(ahead(waiting, 'other').passable).toBe(true);
  });

  test('who waits for something else than room is not waited for', () => {
    const { join, pump, clock } = line();
    join('aside');
    clock.advance(PASSING_SHARE * TIMEOUT_MS - 1);
    for (const item of ['a', 'b']) join(item);
    expect(pump('a')).toEqual(['aside', 'a', 'b']);
  });

  test('who is told that it never fits has passed nobody and owes nothing', async () => {
    const { join, pump, exits } = line();
    join('large', { units: 9, tenant: 'a' });
    for (let index = 0; index < MAX_PASSES; index += 1) join(`told${index}`, { tenant: 'b' });
    pump(...Array.from({ length: MAX_PASSES }, (_, index) => `told${index}`));
    await settle();
    expect(exits.told0).toMatchObject({ how: 'served' });
    join('c', { tenant: 'c' });
    join('b', { tenant: 'b' });
    expect(pump('b', 'c')).toEqual(['large', 'c', 'b']);
  });
});

describe('a full queue', () => {
  test('sends away the newest of the tenant with the most', async () => {
    const { join, queue, exits, clock } = line();
    for (const item of ['a1', 'a2', 'a3']) join(item, { tenant: 'a' });
    join('b1', { tenant: 'b' });
    expect([queue.hasToDisplace('a'), queue.hasToDisplace('b')]).toEqual([false, true]);
    queue.displaceFor('b');
    await settle();
    expect(exits).toEqual({ a1: null, a2: null, a3: { how: 'displaced' }, b1: null });
    expect([queue.length, clock.pendingTimers]).toEqual([3, 3]);
  });
});

describe('the end of a wait', () => {
  test('each has a deadline of its own, counted from its arrival', async () => {
    const { clock, join, exits } = line();
    join('a');
    clock.advance(10_000);
    join('b');
    clock.advance(19_999);
    await settle();
    expect(exits).toEqual({ a: null, b: null });
    clock.advance(1);
    await settle();
    expect(exits).toEqual({ a: { how: 'deadline' }, b: null });
    clock.advance(10_000);
    await settle();
    expect(exits.b).toEqual({ how: 'deadline' });
  });

  test('a client that leaves is gone at once', async () => {
    const { join, exits, queue, pump } = line();
    const leaving = new AbortController();
    join('a', { signal: leaving.signal });
    join('b');
    leaving.abort();
    expect(queue.length).toBe(1);
    expect(pump('a', 'b')).toEqual(['b']);
    await settle();
    expect(exits.a).toEqual({ how: 'abandoned' });
  });

  test('a client that had left before never waits', async () => {
    const { join, exits, queue, clock } = line();
    join('a', { signal: AbortSignal.abort() });
    expect([queue.length, clock.pendingTimers]).toEqual([0, 0]);
    await settle();
    expect(exits.a).toEqual({ how: 'abandoned' });
  });

  test('close sends everyone away', async () => {
    const { join, exits, queue } = line();
    join('a');
    join('b', { pool: 'large' });
    queue.close();
    await settle();
    expect(exits).toEqual({ a: { how: 'closed' }, b: { how: 'closed' } });
    expect(queue.length).toBe(0);
  });

  test('however it ends, no timer is left and nothing ends it again', async () => {
    const { clock, join, exits, queue, pump } = line();
    const leaving = new AbortController();
    join('served', { signal: leaving.signal });
    join('left', { pool: 'large', signal: leaving.signal });
    pump('served');
    leaving.abort();
    queue.close();
    expect(clock.pendingTimers).toBe(0);
    clock.advance(TIMEOUT_MS);
    await settle();
    expect(exits).toEqual({
      served: { how: 'served', result: 'served served' },
      left: { how: 'abandoned' },
    });
  });
});
