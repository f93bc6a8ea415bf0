/** Idle sessions go before the pressure crosses into the next level, as many as it lacks, and no more. */
import { describe, expect, test } from '@jest/globals';
import { unitBytes } from '../../proxy/memory/charge.ts';
import { PreEviction } from '../../proxy/state/pre-eviction.ts';
import { Sessions } from '../../proxy/state/sessions.ts';
import { UNIFIED } from '../support/decision.ts';
import { POOL_THRESHOLDS, recordingLog, serving, stateWorld } from '../support/state-world.ts';

const POLL_MS = 500;
/** Of the pool of 10,000 tokens. */
const POOL_BYTES = 10_000 * (unitBytes(UNIFIED) ?? 0);

/** A pool whose pressure a test plays by what others hold of it, and ten idle sessions on it. */
function house({ residentShare = 0.01 } = {}) {
  const world = stateWorld();
  const { clock, pools, levels, views, capacities, read } = world;
  const { log, lines: said } = recordingLog();
  const evicted: { readonly id: string; readonly atMs: number }[] = [];
  const released: string[] = [];
  const sessions = new Sessions(
    { maxIdleBytes: 10 * POOL_BYTES, idleMs: 300_000, maxIdleSessions: 100 },
    (id) => void evicted.push({ id, atMs: clock.nowMs() }),
    ({ key }) => void released.push(key),
  );
  const residentBytes = residentShare * POOL_BYTES;
  for (let index = 0; index < 10; index += 1) {
    sessions.begin(`key-${index}`, `s${index}`, residentBytes, clock.nowMs());
    sessions.end(`key-${index}`, residentBytes, residentBytes, clock.nowMs(), 'a');
  }
  const preEviction = new PreEviction(
    { capacities, levels, sessions, clock, log },
    { ...POOL_THRESHOLDS, medium: 0.9 },
  );
  /** One reading at this pressure, half a second after the one before. */
  const poll = (pressure: number) => {
    clock.advance(POLL_MS);
    read('a', { usedUnits: Math.round(pressure * 10_000) });
    views.refreshLevel(serving(pools, 'a'));
    preEviction.observe(serving(pools, 'a'));
    return clock.nowMs();
  };
  return { ...world, said, sessions, evicted, released, poll };
}

describe('a ramp', () => {
  test('evicts before the crossing, least recently used first, and nothing once it has come to rest', () => {
    const { evicted, released, said, poll } = house();
    let crossedAtMs = Number.POSITIVE_INFINITY;
    // 0.02 a second, from 0.7 to 0.92: 0.9 is crossed after ten seconds.
    for (let pressure = 0.7; pressure <= 0.92; pressure += 0.01) {
      const nowMs = poll(pressure);
      if (pressure > 0.9) crossedAtMs = Math.min(crossedAtMs, nowMs);
    }
    const untilCrossing = evicted.length;
    expect(untilCrossing).toBeGreaterThanOrEqual(5);
    expect(said.every(({ msg }) => msg === 'Memory pressure ahead')).toBe(true);
    expect(said.length).toBeGreaterThanOrEqual(1);
    for (const { atMs } of evicted) expect(atMs).toBeLessThan(crossedAtMs);
    for (let rest = 0; rest < 60; rest += 1) poll(0.92);
    expect(evicted).toHaveLength(untilCrossing);
    expect(evicted.map(({ id }) => id)).toEqual(evicted.map((_, index) => `s${index}`));
    expect(released).toEqual(evicted.map((_, index) => `key-${index}`));
  });

  test.each([
    ['small sessions, until they make up for it', 0.05, 4],
    ['one large session, and no other for the same forecast', 0.2, 1],
  ])('evicts what the forecast lacks: %s', (_what, residentShare, count) => {
    const { evicted, poll } = house({ residentShare });
    // 0.04 a second: at its last sample 0.88, so that 0.18 will lack of 0.9 in five seconds.
    for (let index = 0; index < 12; index += 1) poll(0.66 + 0.02 * index);
    expect(evicted).toHaveLength(count);
  });

  test('that stays below the next level within the horizon evicts nothing', () => {
    const { evicted, poll } = house();
    for (let index = 0; index < 40; index += 1) poll(0.3 + 0.005 * index);
    expect(evicted).toEqual([]);
  });

  test('leaves sessions alone that are live, or resident elsewhere', () => {
    const { sessions, evicted, poll, clock } = house({ residentShare: 0.2 });
    sessions.begin('key-0', 's0', 1, clock.nowMs());
    sessions.begin('key-1', 's1', 1, clock.nowMs());
    sessions.end('key-1', 1, 1, clock.nowMs(), 'b');
    for (let index = 0; index < 12; index += 1) poll(0.66 + 0.02 * index);
    expect(evicted.map(({ id }) => id)).toEqual(['s2']);
  });
});

describe('nothing is evicted', () => {
  test('on a flat line, however close to the next level', () => {
    const { evicted, poll } = house();
    for (let index = 0; index < 200; index += 1) poll(0.899);
    expect(evicted).toEqual([]);
  });

  test('by noise around one: half an hour of it, five hundredths below the next level', () => {
    const { evicted, poll } = house();
    let seed = 7;
    const jitter = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return (seed / 2 ** 31 - 0.5) * 0.04;
    };
    for (let index = 0; index < 3_600; index += 1) poll(0.85 + jitter());
    expect(evicted).toEqual([]);
  });

  test('by one large request that comes', () => {
    const { evicted, poll } = house();
    for (let index = 0; index < 12; index += 1) poll(0.5);
    for (let index = 0; index < 24; index += 1) poll(0.85);
    expect(evicted).toEqual([]);
  });
});
