/** Sessions: what is live is never evicted; what is idle goes by age, by bytes and by number. */
import { describe, expect, test } from '@jest/globals';
import { type EvictionReason, Sessions } from '../../proxy/state/sessions.ts';

function house(limits: { maxIdleBytes?: number; idleMs?: number; maxIdleSessions?: number } = {}) {
  const evicted: (readonly [string, number, EvictionReason])[] = [];
  const sessions = new Sessions(
    { maxIdleBytes: 1_000, idleMs: 300_000, maxIdleSessions: 100, ...limits },
    (id, kvBytes, reason) => void evicted.push([id, kvBytes, reason]),
  );
  /** One whole request of a session, at one moment. */
  const visit = (id: string, residentBytes: number, atMs: number) => {
    sessions.begin(`key-${id}`, id, residentBytes, atMs);
    sessions.end(`key-${id}`, residentBytes, residentBytes, atMs);
  };
  const ids = () => sessions.details(1_000, 0).map(({ id }) => id);
  return { sessions, evicted, visit, ids };
}

describe('what a session holds', () => {
  test('nothing, before it was ever seen', () => {
    expect(house().sessions.view('nobody')).toEqual({ liveBytes: 0, residentBytes: 0 });
  });

  test('the sum of its live requests', () => {
    const { sessions } = house();
    sessions.begin('k', 's', 100, 0);
    sessions.begin('k', 's', 50, 1);
    expect(sessions.view('k')).toEqual({ liveBytes: 150, residentBytes: 0 });
    sessions.end('k', 100, 0, 2);
    expect(sessions.view('k')).toEqual({ liveBytes: 50, residentBytes: 0 });
  });

  test('the longest prefix that the engine kept, counted once', () => {
    const { sessions } = house();
    for (const residentBytes of [100, 300, 200]) {
      sessions.begin('k', 's', 300, 0);
      sessions.end('k', 300, residentBytes, 0);
    }
    expect(sessions.view('k')).toEqual({ liveBytes: 0, residentBytes: 300 });
    expect(sessions.totalBytes).toBe(300);
  });

  test('the union of what is live and what is resident', () => {
    const { sessions, visit } = house();
    visit('s', 300, 0);
    sessions.begin('key-s', 's', 400, 1);
    expect(sessions.totalBytes).toBe(400);
    sessions.begin('key-t', 't', 10, 1);
    expect(sessions.totalBytes).toBe(410);
  });

  test('keys tell sessions apart, whatever ids they show', () => {
    const { sessions } = house();
    sessions.begin('tenant-1/s', 's', 100, 0);
    expect(sessions.view('tenant-2/s').liveBytes).toBe(0);
  });

  test('an end without a beginning changes nothing', () => {
    const { sessions } = house();
    sessions.end('k', 100, 100, 0);
    expect([sessions.active, sessions.totalBytes]).toEqual([0, 0]);
  });
});

describe('eviction', () => {
  test('by bytes: the least recently used goes first', () => {
    const { sessions, evicted, visit, ids } = house();
    visit('a', 400, 0);
    visit('b', 400, 1);
    visit('a', 400, 2);
    visit('c', 400, 3);
    expect(evicted).toEqual([['b', 400, 'lru']]);
    expect(ids()).toEqual(['c', 'a']);
    expect(sessions.totalBytes).toBe(800);
  });

  test('exactly the limit stays', () => {
    const { evicted, visit } = house();
    visit('a', 600, 0);
    visit('b', 400, 1);
    expect(evicted).toEqual([]);
  });

  test('one that alone is more than all may keep goes as well', () => {
    const { sessions, evicted, visit } = house();
    visit('huge', 1_001, 0);
    expect(evicted).toEqual([['huge', 1_001, 'lru']]);
    expect([sessions.active, sessions.totalBytes]).toEqual([0, 0]);
  });

  test('sessions that keep nothing are counted, and cost nothing', () => {
    const { sessions, evicted, visit } = house();
    for (let count = 0; count < 50; count += 1) visit(`s${count}`, 0, count);
    expect(evicted).toEqual([]);
    expect([sessions.active, sessions.totalBytes]).toEqual([50, 0]);
  });

  test('by number', () => {
    const { sessions, evicted, visit, ids } = house({ maxIdleSessions: 2 });
    visit('a', 10, 0);
    visit('b', 10, 1);
    visit('c', 10, 2);
    expect(evicted).toEqual([['a', 10, 'lru']]);
    expect(ids()).toEqual(['c', 'b']);
    expect(sessions.totalBytes).toBe(20);
  });

  test('by age, to the millisecond', () => {
    const { sessions, evicted, visit } = house({ idleMs: 1_000 });
    visit('a', 10, 0);
    visit('b', 10, 500);
    sessions.sweep(999);
    expect(evicted).toEqual([]);
    sessions.sweep(1_000);
    expect(evicted).toEqual([['a', 10, 'idle']]);
    sessions.sweep(10_000);
    expect(sessions.active).toBe(0);
  });

  test('a visit makes a session young again', () => {
    const { sessions, evicted, visit } = house({ idleMs: 1_000 });
    visit('a', 10, 0);
    visit('a', 10, 900);
    sessions.sweep(1_899);
    expect(evicted).toEqual([]);
  });

  test('what is live is never evicted: not by age, bytes or number', () => {
    const { sessions, evicted, visit } = house({ idleMs: 1_000, maxIdleSessions: 1 });
    visit('busy', 900, 0);
    sessions.begin('key-busy', 'busy', 5_000, 0);
    for (let count = 0; count < 5; count += 1) visit(`s${count}`, 900, 1);
    sessions.sweep(1_000_000);
    expect(sessions.view('key-busy')).toEqual({ liveBytes: 5_000, residentBytes: 900 });
    expect(evicted.map(([id]) => id)).not.toContain('busy');
    expect(sessions.active).toBe(1);
  });

  test('one that wakes up is no longer among the idle, whose bytes go with it', () => {
    const { sessions, evicted, visit } = house();
    visit('a', 600, 0);
    sessions.begin('key-a', 'a', 10, 1);
    visit('b', 600, 2);
    expect(evicted).toEqual([]);
    sessions.end('key-a', 10, 0, 3);
    expect(evicted).toEqual([['b', 600, 'lru']]);
  });

  test('a hundred thousand ids stay bounded', () => {
    const { sessions, visit, evicted } = house({ maxIdleSessions: 1_000, maxIdleBytes: 1e9 });
    for (let count = 0; count < 100_000; count += 1) visit(`s${count}`, 1, count);
    expect(sessions.active).toBe(1_000);
    expect(sessions.totalBytes).toBe(1_000);
    expect(evicted).toHaveLength(99_000);
  });
});

describe('evicting for memory', () => {
  const resident = () => {
    const released: unknown[] = [];
    const evicted: unknown[] = [];
    const sessions = new Sessions(
      { maxIdleBytes: 1e9, idleMs: 300_000, maxIdleSessions: 100 },
      (...eviction) => void evicted.push(eviction),
      (session) => void released.push(session),
    );
    for (const [index, instance] of ['a', 'b', 'a', 'a'].entries()) {
      sessions.begin(`key-${index}`, `s${index}`, 100, index);
      sessions.end(`key-${index}`, 100, 100, index, instance);
    }
    return { sessions, evicted, released };
  };

  test('takes the least recently used of the instance, until they make up for it', () => {
    const { sessions, evicted, released } = resident();
    expect(sessions.evictFor(101, 'a', 'pressure')).toBe(200);
    expect(evicted).toEqual([
      ['s0', 100, 'pressure'],
      ['s2', 100, 'pressure'],
    ]);
    expect(released).toEqual([
      { key: 'key-0', instance: 'a', kvBytes: 100 },
      { key: 'key-2', instance: 'a', kvBytes: 100 },
    ]);
    expect(sessions.totalBytes).toBe(200);
  });

  test('never takes one that is live, or nothing of which is resident', () => {
    const { sessions, evicted } = resident();
    for (const index of [0, 2, 3]) sessions.begin(`key-${index}`, `s${index}`, 100, 10);
    sessions.begin('key-new', 'new', 100, 11);
    sessions.end('key-new', 100, 0, 11, 'a');
    expect(sessions.evictFor(1e9, 'a', 'pressure')).toBe(0);
    expect(evicted).toEqual([]);
  });

  test('is for the instance that served a session last', () => {
    const { sessions, evicted } = resident();
    sessions.begin('key-0', 's0', 100, 10);
    sessions.end('key-0', 100, 100, 10, 'b');
    sessions.evictFor(1e9, 'b', 'pressure');
    expect(evicted.map((eviction) => (eviction as unknown[])[0])).toEqual(['s1', 's0']);
  });
});

test('details tell of live sessions first, then of the latest idle ones, as many as asked', () => {
  const { sessions, visit } = house();
  visit('old', 10, 0);
  visit('new', 20, 1_000);
  sessions.begin('key-live', 'live', 30, 2_000);
  expect(sessions.details(2, 5_000)).toEqual([
    {
      id: 'live',
      kvBytes: 30,
      liveBytes: 30,
      residentBytes: 0,
      requests: 1,
      ageMs: 3_000,
      idleMs: 0,
    },
    {
      id: 'new',
      kvBytes: 20,
      liveBytes: 0,
      residentBytes: 20,
      requests: 1,
      ageMs: 4_000,
      idleMs: 4_000,
    },
  ]);
});
