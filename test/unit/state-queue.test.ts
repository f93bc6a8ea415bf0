/** Who waits, in what order, and how a wait ends. */
import { describe, expect, test } from '@jest/globals';
import { Queue, type QueueExit } from '../../proxy/state/queue.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const TIMEOUT_MS = 30_000;

function line() {
  const clock = new VirtualClock();
  const queue = new Queue<string, string>(clock, TIMEOUT_MS);
  const exits: Record<string, QueueExit<string> | null> = {};
  const join = (item: string, pool = 'default', signal = new AbortController().signal) => {
    exits[item] = null;
    const waiting = { units: item.length, sequences: 1, durationMs: null };
    void queue.wait(item, pool, waiting, signal).then((exit) => {
      exits[item] = exit;
    });
  };
  /** Serves those named, and says whom it was offered. */
  const pump = (...served: readonly string[]): readonly string[] => {
    const offered: string[] = [];
    queue.pump(({ item }) => {
      offered.push(item);
      return served.includes(item) ? `${item} served` : null;
    });
    return offered;
  };
  return { clock, queue, exits, join, pump };
}

describe('order', () => {
  test('first come, first offered', () => {
    const { join, pump, queue } = line();
    for (const item of ['a', 'b', 'c']) join(item);
    expect(pump('a', 'b', 'c')).toEqual(['a', 'b', 'c']);
    expect(queue.length).toBe(0);
  });

  test('who stays blocks those behind it for the same pool, and no others', () => {
    const { join, pump, queue } = line();
    join('a', 'default');
    join('b', 'large');
    join('c', 'default');
    join('d', 'large');
    expect(pump('b', 'c', 'd')).toEqual(['a', 'b', 'd']);
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
      return item;
    });
    expect(offered).toEqual(['a']);
    expect(queue.length).toBe(1);
  });

  test('who leaves while others are served is not offered', () => {
    const { join, queue } = line();
    const leaving = new AbortController();
    join('a');
    join('b', 'default', leaving.signal);
    const offered: string[] = [];
    queue.pump(({ item }) => {
      offered.push(item);
      leaving.abort();
      return item;
    });
    expect(offered).toEqual(['a']);
  });

  test('a forecast sees those of one pool, in order', () => {
    const { join, queue } = line();
    join('one', 'default');
    join('twotwo', 'large');
    join('three', 'default');
    expect(queue.waitingFor('default').map(({ units }) => units)).toEqual([3, 5]);
    expect(queue.waitingFor('large').map(({ units }) => units)).toEqual([6]);
    expect(queue.waitingFor('other')).toEqual([]);
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
    join('a', 'default', leaving.signal);
    join('b');
    leaving.abort();
    expect(queue.length).toBe(1);
    expect(pump('a', 'b')).toEqual(['b']);
    await settle();
    expect(exits.a).toEqual({ how: 'abandoned' });
  });

  test('a client that had left before never waits', async () => {
    const { join, exits, queue, clock } = line();
    join('a', 'default', AbortSignal.abort());
    expect([queue.length, clock.pendingTimers]).toEqual([0, 0]);
    await settle();
    expect(exits.a).toEqual({ how: 'abandoned' });
  });

  test('close sends everyone away', async () => {
    const { join, exits, queue } = line();
    join('a');
    join('b', 'large');
    queue.close();
    await settle();
    expect(exits).toEqual({ a: { how: 'closed' }, b: { how: 'closed' } });
    expect(queue.length).toBe(0);
  });

  test('however it ends, no timer is left and nothing ends it again', async () => {
    const { clock, join, exits, queue, pump } = line();
    const leaving = new AbortController();
    join('served', 'default', leaving.signal);
    join('left', 'large', leaving.signal);
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
