/** An engine as it comes up, serves, goes away and comes back, seen from the poll. */
import { describe, expect, test } from '@jest/globals';
import type { Adapter, EngineReading, ProbeResult } from '../../backend-adapters/adapter.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import { EngineMonitor } from '../../proxy/state/engine-monitor.ts';
import { Ledger } from '../../proxy/state/ledger.ts';
import { Pools } from '../../proxy/state/pools.ts';
import { UNIFIED } from '../support/decision.ts';
import { NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, refusedConnection } from '../support/fake-engine-io.ts';
import { facts, fakeAdapter, reading, recordingLog } from '../support/state-world.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const POLL_MS = 500;
const TIMEOUT_MS = 5_000;

/** What the engine does when it is asked; a test changes it as it goes. */
interface Script {
  detect: Adapter | null;
  probe: () => Promise<ProbeResult>;
  read: () => Promise<EngineReading>;
}

function up(change: Partial<EngineReading> = {}): ProbeResult {
  return { ok: true, facts: facts(UNIFIED), reading: reading(change) };
}

function down(state: 'loading' | 'unreachable' | 'unusable', why = 'because'): ProbeResult {
  return { ok: false, state, why };
}

function monitored(cancelQuietMs = 0) {
  const clock = new VirtualClock();
  const { log, lines } = recordingLog();
  const answers: Record<string, ReturnType<typeof json> | Error> = { 'GET /health': json({}) };
  const io = fakeEngine(answers);
  const pools = new Pools([{ name: 'a', url: 'http://a.test', pool: 'default', large: false, io }]);
  const ledger = new Ledger();
  const calls = { detect: 0, probe: 0, read: 0 };
  const adapter = fakeAdapter({
    cancelQuietMs,
    async probe(lent, _hints, signal) {
      calls.probe += 1;
      signal.throwIfAborted();
      await lent.get('/health', signal).catch(() => null);
      return script.probe();
    },
    async read(lent, _facts, signal) {
      calls.read += 1;
      await lent.get('/health', signal);
      return script.read();
    },
  });
  const script: Script = {
    detect: adapter,
    probe: async () => up(),
    read: async () => reading(),
  };
  const monitor = new EngineMonitor(pools, ledger, clock, log, {
    pollIntervalMs: POLL_MS,
    probeTimeoutMs: TIMEOUT_MS,
    detect: async (lent, signal) => {
      calls.detect += 1;
      await lent.get('/health', signal).catch(() => null);
      return script.detect;
    },
    hintsFor: () => NO_HINTS,
  });
  const health = () => pools.get('a')?.health;
  /** Lets the next poll come and go. */
  const poll = async () => {
    clock.advance(POLL_MS);
    await settle();
  };
  return { clock, lines, answers, pools, ledger, calls, adapter, script, monitor, health, poll };
}

describe('the life of an engine', () => {
  test('starting, loading, healthy, lost, healthy again after a fresh probe', async () => {
    const { monitor, script, health, poll, calls, pools } = monitored();
    expect(health()?.state).toBe('starting');

    script.probe = async () => down('loading', 'its model');
    await monitor.start();
    expect(health()).toEqual({ state: 'loading', why: 'its model' });
    expect(pools.spokesman).toBeNull();

    script.probe = async () => up({ capacityUnits: 7 });
    await poll();
    expect(health()).toEqual({ state: 'healthy' });
    expect(pools.get('a')).toMatchObject({
      adapter: { name: 'fake' },
      facts: { modelId: 'four-byte' },
      latest: { reading: { capacityUnits: 7 } },
    });
    // The adapter that spoke while it was loading still does.
    expect(calls).toEqual({ detect: 1, probe: 2, read: 0 });

    script.read = async () => reading({ capacityUnits: 8 });
    await poll();
    expect(pools.get('a')?.latest?.reading.capacityUnits).toBe(8);
    expect(calls).toEqual({ detect: 1, probe: 2, read: 1 });

    script.read = async () => {
      throw new Error('connection reset');
    };
    await poll();
    expect(health()).toEqual({
      state: 'unreachable',
      why: 'connection reset',
      processGone: false,
    });

    await poll();
    expect(health()).toEqual({ state: 'healthy' });
    expect(calls).toMatchObject({ probe: 3, read: 2 });
    await monitor.stop();
  });

  test('a read that says loading asks for a fresh probe', async () => {
    const { monitor, script, health, poll, calls } = monitored();
    await monitor.start();
    script.read = async () => reading({ state: 'loading' });
    await poll();
    expect(health()).toMatchObject({ state: 'loading' });
    await poll();
    expect(health()).toEqual({ state: 'healthy' });
    expect(calls.probe).toBe(2);
    await monitor.stop();
  });

  test('what comes back after an unsuccessful probe may be another engine', async () => {
    const { monitor, script, poll, calls, pools } = monitored();
    await monitor.start();
    script.read = () => Promise.reject(new Error('gone'));
    script.probe = async () => down('unreachable');
    await poll();
    await poll();
    expect(pools.get('a')?.adapter).toBeNull();
    script.detect = fakeAdapter({ name: 'another', probe: async () => up() });
    await poll();
    expect(pools.get('a')).toMatchObject({
      adapter: { name: 'another' },
      health: { state: 'healthy' },
    });
    expect(calls.detect).toBe(2);
    await monitor.stop();
  });

  test('nobody known answers', async () => {
    const { monitor, script, health } = monitored();
    script.detect = null;
    await monitor.start();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: false });
    await monitor.stop();
  });

  test('what can not be guarded is asked again, in case it changes', async () => {
    const { monitor, script, health, poll } = monitored();
    script.probe = async () => down('unusable', 'a router');
    await monitor.start();
    expect(health()).toEqual({ state: 'unusable', why: 'a router' });
    script.probe = async () => up();
    await poll();
    expect(health()).toEqual({ state: 'healthy' });
    await monitor.stop();
  });

  test('a state that lasts is logged once', async () => {
    const { monitor, script, poll, lines } = monitored();
    script.probe = async () => down('unreachable');
    await monitor.start();
    await poll();
    await poll();
    script.probe = async () => down('loading');
    await poll();
    await poll();
    script.probe = async () => up();
    await poll();
    expect(lines.map(({ msg }) => msg)).toEqual([
      'Backend unreachable',
      'Backend loading',
      'Backend healthy',
    ]);
    await monitor.stop();
  });
});

describe('a refused connection', () => {
  test('means that the process is gone, found by a read', async () => {
    const { monitor, answers, health, poll } = monitored();
    await monitor.start();
    answers['GET /health'] = new Error('no answer', { cause: refusedConnection() });
    await poll();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: true });
    await monitor.stop();
  });

  test('or by the probe that follows', async () => {
    const { monitor, script, answers, health, poll } = monitored();
    await monitor.start();
    script.read = () => Promise.reject(new Error('connection reset'));
    script.probe = async () => down('unreachable');
    await poll();
    expect(health()).toMatchObject({ processGone: false });
    answers['GET /health'] = refusedConnection();
    await poll();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: true });
    await monitor.stop();
  });

  test('or while nobody knows which engine it is', async () => {
    const { monitor, script, answers, health } = monitored();
    script.detect = null;
    answers['GET /health'] = refusedConnection();
    await monitor.start();
    expect(health()).toMatchObject({ processGone: true });
    await monitor.stop();
  });
});

describe('an engine under suspicion', () => {
  test('gets no work until it has generated a token, and is left alone longer each time', async () => {
    const { monitor, script, adapter, pools, health, clock, calls } = monitored();
    await monitor.start();
    let tokens = 0;
    const failing = async () => {
      tokens += 1;
      return `answer ${tokens}`;
    };
    pools.update('a', { adapter: { ...adapter, tryOneToken: failing } });
    monitor.suspect('a', 'out of memory');
    expect(health()).toEqual({ state: 'quarantined', why: 'out of memory' });
    await settle();
    expect(health()).toEqual({ state: 'quarantined', why: 'out of memory; answer 1' });
    expect(clock.nextTimerInMs).toBe(1_000);
    for (const [pauseMs, attempts] of [
      [1_000, 2],
      [2_000, 3],
      [4_000, 4],
    ] as const) {
      clock.advance(pauseMs);
      await settle();
      expect(tokens).toBe(attempts);
    }
    expect(calls.read).toBe(0);

    script.probe = async () => up({ capacityUnits: 9 });
    pools.update('a', { adapter: { ...adapter, tryOneToken: async () => null } });
    clock.advance(8_000);
    await settle();
    expect(health()).toEqual({ state: 'healthy' });
    expect(pools.get('a')?.latest?.reading.capacityUnits).toBe(9);
    expect(clock.nextTimerInMs).toBe(POLL_MS);
    await monitor.stop();
  });

  test('that dies while it is asked for a token is unreachable, and asked again', async () => {
    const { monitor, script, adapter, pools, health, poll } = monitored();
    await monitor.start();
    script.probe = async () => down('unreachable', 'gone');
    pools.update('a', { adapter: { ...adapter, tryOneToken: async () => null } });
    monitor.suspect('a', 'out of memory');
    await settle();
    expect(health()).toMatchObject({ state: 'unreachable', why: 'gone' });
    script.detect = fakeAdapter({ probe: async () => up(), tryOneToken: async () => 'no token' });
    await poll();
    expect(health()).toMatchObject({ state: 'quarantined' });
    await monitor.stop();
  });

  test('is one whose process was gone, but not one that never served', async () => {
    const { monitor, answers, script, health, poll } = monitored();
    script.detect = fakeAdapter({
      probe: async () => up(),
      read: async (io, _facts, signal) => {
        await io.get('/health', signal);
        return reading();
      },
      tryOneToken: async () => 'no token',
    });
    await monitor.start();
    // It never served before: nothing to prove.
    expect(health()).toEqual({ state: 'healthy' });
    answers['GET /health'] = refusedConnection();
    await poll();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: true });
    await poll();
    expect(health()).toMatchObject({ state: 'quarantined' });
    await monitor.stop();
  });

  test('is one whose process was gone, also where its connections broke off first', async () => {
    const { monitor, answers, script, health, poll } = monitored();
    script.detect = fakeAdapter({
      probe: (io, _hints, signal) =>
        io.get('/health', signal).then(
          () => up(),
          () => down('unreachable'),
        ),
      read: async (io, _facts, signal) => {
        await io.get('/health', signal);
        return reading();
      },
      tryOneToken: async () => 'no token',
    });
    await monitor.start();
    answers['GET /health'] = new Error('socket hang up');
    await poll();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: false });
    answers['GET /health'] = refusedConnection();
    await poll();
    expect(health()).toMatchObject({ state: 'unreachable', processGone: true });
    answers['GET /health'] = json({});
    await poll();
    expect(health()).toMatchObject({ state: 'quarantined' });
    await monitor.stop();
  });

  test('a token that never comes is waited for a minute', async () => {
    const { monitor, adapter, pools, clock, health } = monitored();
    await monitor.start();
    pools.update('a', {
      adapter: {
        ...adapter,
        tryOneToken: (_io, _facts, signal) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => resolve(String(signal.reason)));
          }),
      },
    });
    monitor.suspect('a', 'out of memory');
    await settle();
    clock.advance(59_999);
    await settle();
    expect(health()).toEqual({ state: 'quarantined', why: 'out of memory' });
    clock.advance(1);
    await settle();
    expect(health()).toMatchObject({ why: expect.stringContaining('no token within 60000 ms') });
    await monitor.stop();
  });
});

describe('data-parallel ranks', () => {
  const ranked = (units: readonly number[]): ProbeResult => {
    const ranks = units.map((capacityUnits) => reading({ capacityUnits }));
    const result = up({ ranks });
    return result.ok ? { ...result, facts: { ...result.facts, ranks: ranks.length } } : result;
  };
  const capacities = ({ pools }: Pick<ReturnType<typeof monitored>, 'pools'>) =>
    pools.instances.map(({ name, rank, latest, health: { state } }) => [
      name,
      rank,
      latest?.reading.capacityUnits ?? null,
      state,
    ]);

  test('are instances, each with its own reading and health', async () => {
    const world = monitored();
    const { monitor, script, poll, calls } = world;
    script.probe = async () => ranked([10, 20]);
    await monitor.start();
    expect(capacities(world)).toEqual([
      ['a', 0, 10, 'healthy'],
      ['a#1', 1, 20, 'healthy'],
    ]);
    script.read = async () =>
      reading({ ranks: [reading({ capacityUnits: 11 }), reading({ capacityUnits: 21 })] });
    await poll();
    expect(calls.read).toBe(1);
    expect(capacities(world)).toEqual([
      ['a', 0, 11, 'healthy'],
      ['a#1', 1, 21, 'healthy'],
    ]);
    script.read = () => Promise.reject(new Error('connection reset'));
    await poll();
    expect(capacities(world).map(([, , , state]) => state)).toEqual(['unreachable', 'unreachable']);
    await monitor.stop();
  });

  test('come and go with the engine', async () => {
    const world = monitored();
    const { monitor, script, poll } = world;
    script.probe = async () => ranked([10, 20, 30]);
    await monitor.start();
    expect(capacities(world)).toHaveLength(3);
    script.read = () => Promise.reject(new Error('restarted'));
    await poll();
    script.probe = async () => up({ capacityUnits: 5 });
    await poll();
    expect(capacities(world)).toEqual([['a', null, 5, 'healthy']]);
    await monitor.stop();
  });

  test('any of them under suspicion takes the whole engine out', async () => {
    const world = monitored();
    const { monitor, script, adapter, pools } = world;
    script.probe = async () => ranked([10, 20]);
    await monitor.start();
    const doubtful = { ...adapter, tryOneToken: async () => 'no token' };
    for (const { name } of pools.instances) pools.update(name, { adapter: doubtful });
    monitor.suspect('a#1', 'out of memory');
    expect(capacities(world).map(([, , , state]) => state)).toEqual(['quarantined', 'quarantined']);
    await settle();
    await monitor.stop();
  });
});

describe('one probe at a time', () => {
  test('who asks meanwhile joins the one under way', async () => {
    const { monitor, script, calls } = monitored();
    let answer: (result: ProbeResult) => void = () => {};
    script.probe = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const started = monitor.start();
    await settle();
    const joined = [monitor.probeNow('a'), monitor.probeNow('a')];
    await settle();
    expect(calls.probe).toBe(1);
    answer(up());
    await Promise.all([started, ...joined]);
    expect(calls).toMatchObject({ probe: 1, read: 0 });
    await monitor.stop();
  });

  test('who asks between polls is answered at once, and the next poll is put off', async () => {
    const { monitor, clock, calls, poll } = monitored();
    await monitor.start();
    clock.advance(400);
    await monitor.probeNow('a');
    expect(calls.read).toBe(1);
    clock.advance(499);
    await settle();
    expect(calls.read).toBe(1);
    clock.advance(1);
    await settle();
    expect(calls.read).toBe(2);
    await poll();
    expect(calls.read).toBe(3);
    expect(clock.pendingTimers).toBe(1);
    await monitor.stop();
  });

  test('an unknown name is nobody', async () => {
    const { monitor, calls } = monitored();
    await monitor.probeNow('nobody');
    expect(calls).toEqual({ detect: 0, probe: 0, read: 0 });
    await monitor.stop();
  });
});

test('an engine that does not answer is given up after the timeout', async () => {
  const { monitor, adapter, pools, clock, health, poll } = monitored();
  await monitor.start();
  pools.update('a', {
    adapter: {
      ...adapter,
      read: (_io, _facts, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    },
  });
  await poll();
  clock.advance(TIMEOUT_MS - 1);
  await settle();
  expect(health()).toEqual({ state: 'healthy' });
  clock.advance(1);
  await settle();
  expect(health()).toMatchObject({ state: 'unreachable', why: 'no answer within 5000 ms' });
  await monitor.stop();
});

test.each<[string, true | undefined, boolean, string]>([
  ['is not lost while it works on a request that is not streamed', true, false, 'healthy'],
  ['is lost while it streams', true, true, 'unreachable'],
  ['is lost where engines answer all the time', undefined, false, 'unreachable'],
])('an engine that falls silent %s', async (_, mute, streams, expected) => {
  const { monitor, adapter, pools, ledger, clock, health, poll } = monitored();
  await monitor.start();
  ledger.take({
    requestId: 'r',
    instance: 'a',
    layout: UNIFIED,
    charge: chargeOf(UNIFIED, 100, 100, 1, 1),
    sessionKey: null,
    streams,
    takenAtMs: 0,
  });
  pools.update('a', {
    adapter: {
      ...adapter,
      ...(mute === undefined ? {} : { muteWhileGenerating: mute }),
      read: (_io, _facts, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    },
  });
  await poll();
  clock.advance(TIMEOUT_MS);
  await settle();
  expect(health()?.state).toBe(expected);
  await monitor.stop();
});

describe('the pause between reads', () => {
  function withDraining(cancelQuietMs: number) {
    const made = monitored(cancelQuietMs);
    const lease = made.ledger.take({
      requestId: 'r',
      instance: 'a',
      layout: UNIFIED,
      charge: chargeOf(UNIFIED, 100, 100, 1, 1),
      sessionKey: null,
      streams: true,
      takenAtMs: 0,
    });
    return { ...made, lease };
  }

  test.each<[string, number, boolean, number]>([
    ['an engine that our reads distract is left alone while one drains', 1_200, true, 1_200],
    ['but not while none does', 1_200, false, POLL_MS],
    ['an engine that they do not distract', 0, true, POLL_MS],
    ['never shorter than the poll interval', 100, true, POLL_MS],
  ])('%s', async (_what, cancelQuietMs, drains, pauseMs) => {
    const { monitor, clock, lease } = withDraining(cancelQuietMs);
    if (drains) lease.drain(0);
    await monitor.start();
    expect(clock.nextTimerInMs).toBe(pauseMs);
    await monitor.stop();
  });
});

test('a reading is stamped with the most that our own leases may have held meanwhile', async () => {
  const { monitor, ledger, script, clock, pools, poll } = monitored();
  await monitor.start();
  const take = () =>
    ledger.take({
      requestId: 'r',
      instance: 'a',
      layout: UNIFIED,
      charge: chargeOf(UNIFIED, 100, 100, 1, 1),
      sessionKey: null,
      streams: true,
      takenAtMs: 0,
    });
  const before = take();
  script.read = async () => {
    clock.advance(20);
    before.end();
    take();
    take();
    return reading();
  };
  await poll();
  expect(pools.get('a')?.latest).toMatchObject({
    startedAtMs: POLL_MS,
    finishedAtMs: POLL_MS + 20,
    ownHeldUnits: 200,
    ownSequences: 2,
  });
  await monitor.stop();
});

describe('stop', () => {
  test('leaves no timer, and nothing is asked any more', async () => {
    const { monitor, clock, calls, poll } = monitored();
    await monitor.start();
    await monitor.stop();
    expect(clock.pendingTimers).toBe(0);
    await poll();
    await monitor.probeNow('a');
    expect(calls.read).toBe(0);
    expect(clock.pendingTimers).toBe(0);
  });

  test('ends a probe that is under way, and blames nobody for it', async () => {
    const { monitor, adapter, pools, lines, health, poll } = monitored();
    await monitor.start();
    pools.update('a', {
      adapter: {
        ...adapter,
        read: (_io, _facts, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          }),
      },
    });
    await poll();
    await monitor.stop();
    expect(health()).toEqual({ state: 'healthy' });
    expect(lines.filter(({ level }) => level === 'warn')).toEqual([]);
  });
});
