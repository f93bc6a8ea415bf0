/** A client that left frees nothing; the engine does, seen, predicted, or dead. */
import { describe, expect, test } from '@jest/globals';
import type { EngineReading } from '../../backend-adapters/adapter.ts';
import { reading, serving, stateWorld } from '../support/state-world.ts';

function world() {
  const made = stateWorld();
  const { clock, drains, pools, ledger } = made;
  /** A reading that was started so long ago and has just come in. */
  const confirm = (change: Partial<EngineReading>, startedMsAgo = 0) => {
    const nowMs = clock.nowMs();
    drains.confirm(serving(pools, 'a'), {
      reading: reading(change),
      startedAtMs: nowMs - startedMsAgo,
      finishedAtMs: nowMs,
      ownHeldUnits: 0,
      ownSequences: 0,
    });
  };
  return { ...made, confirm, size: () => ledger.size };
}

const IDLE = { runningSequences: 0, waitingSequences: 0 };

describe('confirmed by the engine', () => {
  test('by two readings in a row', () => {
    const { take, drains, clock, confirm, size } = world();
    drains.drain(take('a', 100, 100));
    clock.advance(1);
    confirm(IDLE);
    expect(size()).toBe(1);
    confirm(IDLE);
    expect(size()).toBe(0);
  });

  test('a reading that was started before the client left says nothing', () => {
    const { take, drains, clock, confirm, size } = world();
    clock.advance(1_000);
    drains.drain(take('a', 100, 100));
    clock.advance(500);
    for (let count = 0; count < 3; count += 1) confirm(IDLE, 500);
    expect(size()).toBe(1);
  });

  test.each<[string, Partial<EngineReading>]>([
    ['running', { runningSequences: 1 }],
    ['waiting inside the engine', { runningSequences: 0, waitingSequences: 1 }],
  ])('something %s in between starts the count anew', (_what, busy) => {
    const { take, drains, clock, confirm, size } = world();
    drains.drain(take('a', 100, 100));
    clock.advance(1);
    confirm(IDLE);
    confirm(busy);
    confirm(IDLE);
    expect(size()).toBe(1);
    confirm(IDLE);
    expect(size()).toBe(0);
  });

  test('an engine that does not count its sequences confirms nothing', () => {
    const { take, drains, clock, confirm, size } = world();
    drains.drain(take('a', 100, 100));
    clock.advance(1);
    for (let count = 0; count < 3; count += 1) confirm({ runningSequences: null });
    expect(size()).toBe(1);
  });

  test('sequences that surely run for others explain what is seen', () => {
    const { take, drains, clock, confirm, size } = world();
    take('a', 100, 100);
    const leaving = take('a', 100, 100);
    clock.advance(2_000);
    drains.drain(leaving);
    clock.advance(1);
    confirm({ runningSequences: 1 });
    confirm({ runningSequences: 1 });
    expect(leaving.state).toBe('ended');
    expect(size()).toBe(1);
  });

  test('one that may still be on its way to the engine explains nothing', () => {
    const { take, drains, clock, confirm } = world();
    const leaving = take('a', 100, 100);
    clock.advance(2_000);
    take('a', 100, 100);
    drains.drain(leaving);
    clock.advance(500);
    confirm({ runningSequences: 1 });
    confirm({ runningSequences: 1 });
    expect(leaving.state).toBe('draining');
  });

  test('clients that go on leaving do not keep those who left before', () => {
    const { take, drains, clock, confirm } = world();
    const first = take('a', 100, 100);
    drains.drain(first);
    for (let count = 0; count < 2; count += 1) {
      clock.advance(500);
      drains.drain(take('a', 100, 100));
      clock.advance(1);
      confirm(IDLE);
    }
    expect(first.state).toBe('ended');
  });

  test('an open lease is never ended so', () => {
    const { take, clock, confirm } = world();
    const open = take('a', 100, 100);
    clock.advance(60_000);
    for (let count = 0; count < 3; count += 1) confirm(IDLE);
    expect(open.state).toBe('open');
  });
});

const TEN_MS_A_TOKEN = {
  promptTokens: 1,
  outputTokens: 100,
  ttftMs: 0,
  totalMs: 1_000,
  endedBy: 'itself',
} as const;

describe('by the time it takes', () => {
  test('twice the predicted duration, from the beginning', () => {
    const { take, drains, clock, speeds } = world();
    speeds.learn('a', TEN_MS_A_TOKEN);
    const lease = take('a', 100, 400);
    clock.advance(3_000);
    drains.drain(lease);
    clock.advance(4_999);
    expect(lease.state).toBe('draining');
    clock.advance(1);
    expect(lease.state).toBe('ended');
  });

  test('at least a second, for a request that should be over', () => {
    const { take, drains, clock, speeds } = world();
    speeds.learn('a', TEN_MS_A_TOKEN);
    const lease = take('a', 100, 10);
    clock.advance(60_000);
    drains.drain(lease);
    clock.advance(999);
    expect(lease.state).toBe('draining');
    clock.advance(1);
    expect(lease.state).toBe('ended');
  });

  test('not while the engine is seen to be at work on it', () => {
    const { take, drains, clock, speeds, confirm } = world();
    speeds.learn('a', TEN_MS_A_TOKEN);
    take('a', 100, 100);
    const lease = take('a', 100, 100);
    drains.drain(lease);
    clock.advance(1_500);
    confirm({ runningSequences: 2 });
    clock.advance(60_000);
    expect(lease.state).toBe('draining');
    // One of the two is gone: it may be this one, and its time was up long ago.
    confirm({ runningSequences: 1 });
    clock.advance(1_000);
    expect(lease.state).toBe('ended');
  });

  test('ten minutes at most, whatever is seen', () => {
    const { take, drains, clock, speeds, confirm } = world();
    speeds.learn('a', TEN_MS_A_TOKEN);
    const lease = take('a', 100, 100);
    drains.drain(lease);
    clock.advance(1);
    confirm({ runningSequences: 5 });
    clock.advance(599_998);
    expect(lease.state).toBe('draining');
    clock.advance(1_000);
    expect(lease.state).toBe('ended');
  });

  test('ten minutes where nothing was learned', () => {
    const { take, drains, clock } = world();
    const lease = take('a', 100, 10);
    drains.drain(lease);
    clock.advance(599_999);
    expect(lease.state).toBe('draining');
    clock.advance(1);
    expect(lease.state).toBe('ended');
  });
});

describe('housekeeping', () => {
  test('a lease that ends otherwise leaves no timer, and is not ended twice', () => {
    const { take, drains, clock, ledger } = world();
    let twice = 0;
    ledger.onEndedTwice(() => {
      twice += 1;
    });
    const before = clock.pendingTimers;
    const lease = take('a', 100, 10);
    drains.drain(lease);
    expect(clock.pendingTimers).toBe(before + 1);
    lease.end();
    expect(clock.pendingTimers).toBe(before);
    clock.advance(1_000_000);
    expect(twice).toBe(0);
  });

  test('to drain what drains or has ended changes nothing', () => {
    const { take, drains, clock } = world();
    const before = clock.pendingTimers;
    const lease = take('a', 100, 10);
    drains.drain(lease);
    const since = lease.drainingSinceMs;
    clock.advance(10);
    drains.drain(lease);
    expect([lease.drainingSinceMs, clock.pendingTimers]).toEqual([since, before + 1]);
    lease.end();
    drains.drain(lease);
    expect([lease.state, clock.pendingTimers]).toEqual(['ended', before]);
  });
});

test('a process that is gone holds nothing: what drained there is over, what is open is not ours to end', () => {
  const { take, drains } = stateWorld({ instances: [{ name: 'a' }, { name: 'b' }] });
  const [left, open, elsewhere] = [take('a', 1, 1), take('a', 1, 1), take('b', 1, 1)];
  drains.drain(left);
  drains.drain(elsewhere);
  drains.processGone('a');
  expect([left, open, elsewhere].map(({ state }) => state)).toEqual(['ended', 'open', 'draining']);
});
