/** A request comes in and goes on with a lease, waits, or is refused; time stands still. */
import { describe, expect, test } from '@jest/globals';
import type { AdmissionResult } from '../../proxy/state/admission-result.ts';
import type { AdmissionRequest } from '../../proxy/state/judge.ts';
import type { Lease } from '../../proxy/state/lease.ts';
import { MAX_PASSES } from '../../proxy/state/queue-lane.ts';
import { PAGED, SPLIT } from '../support/decision.ts';
import { admissionRequest, facts, stateWorld } from '../support/state-world.ts';
import { settle } from '../support/virtual-clock.ts';

type World = ReturnType<typeof stateWorld>;

/** An admission under way: `result` is null while it waits. */
interface Started {
  result: AdmissionResult | null;
  readonly abort: AbortController;
}

async function start(world: World, request: AdmissionRequest): Promise<Started> {
  const started: Started = { result: null, abort: new AbortController() };
  void world.admission.admit(request, started.abort.signal).then((result) => {
    started.result = result;
  });
  await settle();
  return started;
}

function leaseOf({ result }: Started): Lease {
  if (result?.outcome !== 'admitted') throw new Error(`not admitted: ${result?.outcome}`);
  return result.admitted.lease;
}

function outcomes(...all: readonly Started[]): readonly (string | null)[] {
  return all.map(({ result }) => result?.outcome ?? null);
}

/** A request that may not be shrunk, of so many tokens in all. */
function rigid(tokens: number): AdmissionRequest {
  return admissionRequest({ shape: { hasTools: true, requestedOutputTokens: tokens - 1_000 } });
}

/** 20 ms for each token of output, nothing for a prompt. */
function teach(world: World, instance = 'a'): void {
  world.speeds.learn(instance, {
    promptTokens: 100,
    outputTokens: 100,
    ttftMs: 0,
    totalMs: 2_000,
  });
}

describe('admitting', () => {
  test('the lease is what was decided', async () => {
    const world = stateWorld();
    const started = await start(world, admissionRequest({ id: 'r-1' }));
    expect(started.result).toMatchObject({
      outcome: 'admitted',
      admitted: {
        decision: { action: 'accept', reason: 'fits', instance: 'a' },
        instance: { name: 'a' },
        queuedMs: 0,
        observed: false,
      },
    });
    expect(leaseOf(started).terms).toMatchObject({
      requestId: 'r-1',
      instance: 'a',
      sessionKey: null,
      takenAtMs: world.clock.nowMs(),
      charge: { peakUnits: 2_000 },
    });
    expect(world.ledger.totals('a').committedUnits).toBe(2_000);
  });

  test('two that come at the same moment never share room for one', async () => {
    const world = stateWorld();
    const [first, second] = [rigid(6_000), rigid(6_000)].map((request) =>
      world.admission.admit(request, new AbortController().signal),
    );
    expect(await first).toMatchObject({ outcome: 'admitted' });
    expect(world.admission.queueLength).toBe(1);
    expect(world.ledger.totals('a').committedUnits).toBe(6_000);

    const admitted = await first;
    if (admitted?.outcome === 'admitted') admitted.admitted.lease.end();
    expect(await second).toMatchObject({ outcome: 'admitted' });
    expect(world.ledger.totals('a').committedUnits).toBe(6_000);
  });

  test('a refusal takes nothing', async () => {
    const world = stateWorld();
    const started = await start(
      world,
      admissionRequest({ shape: { promptTokens: exactly(9_900) } }),
    );
    expect(started.result).toMatchObject({
      outcome: 'rejected',
      decision: { reason: 'never_fits' },
      queuedMs: 0,
    });
    expect(world.ledger.size).toBe(0);
  });

  test('a dry run takes nothing either', async () => {
    const world = stateWorld();
    const decision = await world.admission.explain(
      admissionRequest(),
      new AbortController().signal,
    );
    expect(decision).toMatchObject({ action: 'accept', instance: 'a' });
    expect(world.ledger.size).toBe(0);
    expect(world.counted).toEqual([]);
  });

  test('an engine that is gone is nobody to be admitted to', async () => {
    const world = stateWorld();
    world.pools.update('a', {
      health: { state: 'unreachable', why: 'gone', processGone: true },
    });
    const started = await start(world, admissionRequest());
    expect(started.result).toMatchObject({ decision: { reason: 'no_healthy_instance' } });
  });
});

function exactly(tokens: number) {
  return { lo: tokens, expected: tokens, hi: tokens, source: 'engine' } as const;
}

describe('tokens', () => {
  const between = (lo: number, hi: number) => ({
    lo,
    expected: hi,
    hi,
    source: 'bytes' as const,
  });
  interface Counting {
    readonly what: string;
    readonly lo: number;
    readonly hi: number;
    readonly counted: number | null;
    readonly takenUnits?: number;
    readonly calls: number;
    readonly promptTokens: number;
  }
  test.each<Counting>([
    { what: 'both ends fit', lo: 10, hi: 1_000, counted: 400, calls: 0, promptTokens: 1_000 },
    { what: 'they differ', lo: 10, hi: 9_900, counted: 400, calls: 1, promptTokens: 400 },
    {
      what: 'they differ and nobody can count',
      lo: 10,
      hi: 9_900,
      counted: null,
      calls: 1,
      promptTokens: 9_900,
    },
    {
      what: 'both wait, and the count may let one in',
      lo: 600,
      hi: 1_000,
      counted: 650,
      takenUnits: 9_500,
      calls: 1,
      promptTokens: 650,
    },
  ])('$what: counted $calls times', async (given) => {
    const world = stateWorld();
    if (given.takenUnits !== undefined) world.take('a', given.takenUnits, 0);
    let calls = 0;
    const decision = await world.admission.explain(
      admissionRequest({
        shape: { promptTokens: between(given.lo, given.hi), hasTools: true },
        countTokens: async () => {
          calls += 1;
          return given.counted === null ? null : between(given.counted, given.counted);
        },
      }),
      new AbortController().signal,
    );
    expect(calls).toBe(given.calls);
    expect(decision.promptTokens).toBe(given.promptTokens);
  });

  test('where nobody can count, the lease is taken without waiting for a turn', async () => {
    const world = stateWorld();
    const request = admissionRequest({
      shape: { promptTokens: between(10, 9_000), requestedOutputTokens: 100 },
      countTokens: null,
    });
    const admitted = world.admission.admit(request, new AbortController().signal);
    expect(world.ledger.totals('a').sequences).toBe(1);
    expect(await admitted).toMatchObject({ outcome: 'admitted' });
  });

  test('what media take is not left to the count of an engine', async () => {
    const world = stateWorld();
    const decision = await world.admission.explain(
      admissionRequest({
        shape: { promptTokens: { ...between(10, 9_900), source: 'media' }, hasTools: true },
        countTokens: async () => between(10, 10),
      }),
      new AbortController().signal,
    );
    expect(decision.promptTokens).toBe(9_900);
  });

  test('a client that leaves while its prompt is counted takes nothing', async () => {
    const world = stateWorld();
    const request = admissionRequest({
      shape: { promptTokens: between(10, 9_900) },
      countTokens: async () => {
        started.abort.abort();
        return between(10, 10);
      },
    });
    const started: Started = { result: null, abort: new AbortController() };
    const result = await world.admission.admit(request, started.abort.signal);
    expect(result).toEqual({ outcome: 'abandoned' });
    expect(world.ledger.size).toBe(0);
  });
});

describe('waiting', () => {
  test('first come, first served, as leases end', async () => {
    const world = stateWorld();
    const running = [await start(world, rigid(5_000)), await start(world, rigid(5_000))];
    const first = await start(world, rigid(8_000));
    const second = await start(world, rigid(6_000));
    expect(outcomes(first, second)).toEqual([null, null]);

    world.clock.advance(1_000);
    for (const each of running) leaseOf(each).end();
    await settle();
    expect(outcomes(first, second)).toEqual(['admitted', null]);
    expect(first.result).toMatchObject({ admitted: { queuedMs: 1_000 } });
    leaseOf(first).end();
    await settle();
    expect(outcomes(second)).toEqual(['admitted']);
    expect(world.admission.queueLength).toBe(0);
    expect(world.clock.pendingTimers).toBe(0);
  });

  test('a small one passes a large one for a while, and then what is freed is kept for that', async () => {
    const world = stateWorld();
    const running = [await start(world, rigid(5_000)), await start(world, rigid(5_000))];
    const large = await start(world, rigid(8_000));
    leaseOf(running[0] ?? large).end();
    await settle();
    const small = await start(world, rigid(2_000));
    expect(outcomes(large, small)).toEqual([null, 'admitted']);

    world.clock.advance(7_500);
    world.read('a');
    const late = await start(world, rigid(2_000));
    expect(outcomes(large, late)).toEqual([null, null]);
    leaseOf(running[1] ?? large).end();
    await settle();
    expect(outcomes(large, late)).toEqual(['admitted', null]);
    leaseOf(small).end();
    await settle();
    expect(outcomes(late)).toEqual(['admitted']);
  });

  test('newcomers that are admitted at once pass the large one as often as any, and no oftener', async () => {
    const world = stateWorld();
    world.take('a', 5_000, 0);
    const large = await start(world, rigid(8_000));
    for (let passes = 0; passes < MAX_PASSES; passes += 1) {
      leaseOf(await start(world, rigid(2_000))).end();
    }
    const late = await start(world, rigid(2_000));
    expect(outcomes(large, late)).toEqual([null, null]);
  });

  test('a tenant with nothing in line does not stand behind the flood of another', async () => {
    const world = stateWorld({ policy: { queueMax: 8 } });
    const running = await start(world, rigid(9_000));
    const flood = [];
    for (let index = 0; index < 5; index += 1) {
      flood.push(await start(world, { ...rigid(6_000), tenant: 'flood' }));
    }
    const other = await start(world, { ...rigid(6_000), tenant: 'other' });
    for (const ended of [running, flood[0]]) {
      leaseOf(ended ?? running).end();
      await settle();
    }
    expect(outcomes(other, ...flood)).toEqual(['admitted', 'admitted', null, null, null, null]);
  });

  test('a tenant whose requests hold more than was predicted is served less', async () => {
    const world = stateWorld({ policy: { queueMax: 8 } });
    // Nothing is learned yet: 2.2 s are predicted for each.
    const shape = { promptTokens: exactly(5_950), requestedOutputTokens: 50, hasTools: true };
    let running = await start(world, rigid(9_000));
    const waiting = new Map<Started, string>();
    for (const tenant of ['long', 'true', 'long', 'true', 'true', 'true']) {
      waiting.set(await start(world, admissionRequest({ shape, tenant })), tenant);
    }
    const served: string[] = [];
    while (waiting.size > 0) {
      leaseOf(running).end();
      await settle();
      const next = [...waiting].find(([each]) => each.result !== null);
      if (next === undefined) throw new Error('nobody was served');
      const [started, tenant] = next;
      running = started;
      waiting.delete(started);
      served.push(tenant);
      leaseOf(running).generated(50);
      world.clock.advance(tenant === 'long' ? 9_000 : 2_000);
      world.read('a');
    }
    expect(served).toEqual(['long', 'true', 'true', 'true', 'true', 'long']);
  });

  test('of a full queue the newest of the tenant with the most leaves for another', async () => {
    const world = stateWorld({ policy: { queueMax: 3 } });
    teach(world);
    world.take('a', 9_000, 900);
    const flood = [];
    for (let index = 0; index < 4; index += 1) {
      flood.push(await start(world, { ...rigid(1_200), tenant: 'flood' }));
    }
    expect(outcomes(...flood)).toEqual([null, null, null, 'rejected']);
    expect(flood[3]?.result).toMatchObject({ decision: { reason: 'queue_full' } });

    const other = await start(world, { ...rigid(1_200), tenant: 'other' });
    expect(outcomes(other, ...flood)).toEqual([null, null, null, 'rejected', 'rejected']);
    expect(flood[2]?.result).toMatchObject({
      decision: { reason: 'queue_full', retryAfterMs: expect.any(Number) },
    });
    expect(world.counted).toContainEqual([
      'waitedInQueue',
      { seconds: 0, outcome: 'displaced', priority: 'normal' },
    ]);
    const again = await start(world, { ...rigid(1_200), tenant: 'other' });
    expect(outcomes(again)).toEqual(['rejected']);
    expect(world.admission.queueLength).toBe(3);
  });

  test('who waits is counted when it starts to wait, and when it is admitted', async () => {
    const world = stateWorld();
    const first = await start(world, rigid(9_000));
    await start(world, rigid(9_000));
    world.clock.advance(2_500);
    leaseOf(first).end();
    await settle();
    expect(world.counted).toEqual([
      ['decided', expect.objectContaining({ action: 'accept' })],
      ['decided', expect.objectContaining({ action: 'queue' })],
      ['decided', expect.objectContaining({ action: 'accept' })],
      ['waitedInQueue', { seconds: 2.5, outcome: 'admitted', priority: 'normal' }],
    ]);
  });

  test('whoever leaves is forgotten, and those behind get their turn', async () => {
    const world = stateWorld();
    await start(world, rigid(8_000));
    const large = await start(world, rigid(9_000));
    world.clock.advance(7_500);
    world.read('a');
    const small = await start(world, rigid(2_000));
    expect(outcomes(large, small)).toEqual([null, null]);
    large.abort.abort();
    await settle();
    expect(outcomes(large, small)).toEqual(['abandoned', 'admitted']);
    expect(world.counted).toContainEqual([
      'waitedInQueue',
      { seconds: 7.5, outcome: 'left', priority: 'normal' },
    ]);
  });

  test('the deadline ends a wait with the wait that is predicted then', async () => {
    const world = stateWorld();
    teach(world);
    const first = world.take('a', 4_000, 500);
    world.take('a', 4_000, 1_000);
    const waiting = await start(world, rigid(2_000));
    expect(outcomes(waiting)).toEqual([null]);

    world.clock.advance(20_000);
    // Taken at 20 s for 1,000 tokens of 20 ms: it ends at 40 s.
    world.take('a', 4_000, 1_000);
    first.end();
    await settle();
    world.clock.advance(9_999);
    await settle();
    expect(outcomes(waiting)).toEqual([null]);
    world.clock.advance(1);
    await settle();
    expect(waiting.result).toMatchObject({
      outcome: 'rejected',
      decision: { action: 'reject', reason: 'queue_deadline', retryAfterMs: 10_000 },
      queuedMs: 30_000,
    });
    expect(world.admission.queueLength).toBe(0);
  });

  test('a wait of which nothing is known ends with an unknown one', async () => {
    const world = stateWorld();
    world.take('a', 9_000, 0);
    const waiting = await start(world, rigid(2_000));
    world.clock.advance(30_000);
    await settle();
    expect(waiting.result).toMatchObject({
      decision: { reason: 'queue_deadline', retryAfterMs: null },
    });
  });

  test('the deadline of the first in line lets those behind pass', async () => {
    const world = stateWorld();
    await start(world, rigid(8_000));
    const large = await start(world, rigid(9_000));
    world.clock.advance(10_000);
    const small = await start(world, rigid(2_000));
    world.clock.advance(19_999);
    world.read('a');
    world.clock.advance(1);
    await settle();
    expect(outcomes(large, small)).toEqual(['rejected', 'admitted']);
  });

  test('who can no longer fit at all is told so at once', async () => {
    const world = stateWorld();
    const lease = world.take('a', 9_000, 0);
    const waiting = await start(world, rigid(4_000));
    world.pools.update('a', { facts: facts({ ...SPLIT, contextTokens: 500 }) });
    lease.end();
    await settle();
    expect(waiting.result).toMatchObject({
      outcome: 'rejected',
      decision: { reason: 'never_fits' },
    });
    expect(world.counted).toContainEqual([
      'waitedInQueue',
      { seconds: 0, outcome: 'rejected', priority: 'normal' },
    ]);
  });

  test('an engine that goes away leaves the queue waiting for it', async () => {
    const world = stateWorld();
    const lease = world.take('a', 9_000, 0);
    const waiting = await start(world, rigid(4_000));
    world.pools.update('a', { health: { state: 'unreachable', why: '', processGone: true } });
    lease.end();
    await settle();
    expect(outcomes(waiting)).toEqual([null]);
    world.read('a');
    world.admission.pump();
    await settle();
    expect(outcomes(waiting)).toEqual(['admitted']);
  });

  test('a shrink may let somebody out of the queue', async () => {
    const world = stateWorld();
    const lease = world.take('a', 5_000, 0);
    world.take('a', 4_500, 0);
    const waiting = await start(
      world,
      admissionRequest({ shape: { requestedOutputTokens: 7_000 } }),
    );
    expect(outcomes(waiting)).toEqual([null]);
    lease.end();
    await settle();
    expect(waiting.result).toMatchObject({
      admitted: { decision: { action: 'shrink', grant: { outputTokens: 4_500 } } },
    });
  });

  test('nobody gets past those who wait for another pool, and they do not hold each other up', async () => {
    const world = stateWorld({
      instances: [{ name: 'a' }, { name: 'big', large: true }],
      policy: { sessionKvLimitBytes: 20_000 },
    });
    const onUsual = world.take('a', 9_500, 0);
    const onLarge = world.take('big', 9_500, 0);
    const session = { key: 'k', id: 'k' };
    const forLarge = await start(world, { ...rigid(7_000), session });
    const forUsual = await start(world, rigid(2_000));
    expect(outcomes(forLarge, forUsual)).toEqual([null, null]);

    // Room for the second, and none for the first: only `big` could take it, and that is spoken for.
    world.take('big', 2_000, 0);
    onLarge.end();
    await settle();
    expect(outcomes(forLarge, forUsual)).toEqual(['admitted', null]);
    onUsual.end();
    await settle();
    expect(forUsual.result).toMatchObject({ admitted: { instance: { name: 'a' } } });
  });

  test('who waits at home is not sent past those who wait for the large pool', async () => {
    const world = stateWorld({ instances: [{ name: 'a' }, { name: 'big', large: true }] });
    world.take('a', 9_500, 0);
    const first = world.take('big', 5_000, 0);
    world.take('big', 4_500, 0);
    const forUsual = await start(world, rigid(2_000));
    const forLarge = await start(world, { ...rigid(9_000), session: { key: 'k', id: 'k' } });
    first.end();
    await settle();
    expect(outcomes(forLarge, forUsual)).toEqual([null, null]);
  });
});

describe('a session', () => {
  const session = { key: 'tenant/s', id: 's' };

  test('holds what its leases hold, and then what the engine keeps', async () => {
    const world = stateWorld();
    const started = await start(world, admissionRequest({ session }));
    expect(world.sessions.view('tenant/s')).toEqual({ liveBytes: 8_000, residentBytes: 0 });
    leaseOf(started).generated(500);
    leaseOf(started).end();
    expect(world.sessions.view('tenant/s')).toEqual({ liveBytes: 0, residentBytes: 6_000 });
  });

  test('its own requests make it busy until they end', async () => {
    const world = stateWorld();
    const tools = { hasTools: true, requestedOutputTokens: 2_000 };
    const first = await start(world, admissionRequest({ session, shape: tools }));
    const second = await start(world, admissionRequest({ session, shape: tools }));
    expect(second.result).toMatchObject({ decision: { reason: 'session_busy' } });
    leaseOf(first).end();
    const third = await start(world, admissionRequest({ session, shape: tools }));
    expect(outcomes(third)).toEqual(['admitted']);
  });

  test('is up to date when a lease that ends lets the next one in', async () => {
    const world = stateWorld({ policy: { sessionKvLimitBytes: 24_000 } });
    const tools = { hasTools: true, requestedOutputTokens: 4_500 };
    const first = await start(world, admissionRequest({ session, shape: tools }));
    const waiting = await start(world, admissionRequest({ shape: tools }));
    expect(outcomes(waiting)).toEqual([null]);
    leaseOf(first).end();
    await settle();
    expect(world.sessions.view('tenant/s').liveBytes).toBe(0);
    expect(outcomes(waiting)).toEqual(['admitted']);
  });
});

describe('--mode observe', () => {
  test('reports a refusal and lets the request go as it came, at its full size', async () => {
    const world = stateWorld({ mode: 'observe' });
    world.take('a', 9_500, 0);
    const started = await start(world, rigid(7_000));
    expect(started.result).toMatchObject({
      outcome: 'admitted',
      admitted: {
        observed: true,
        reported: { action: 'queue' },
        decision: { action: 'accept', grant: { outputTokens: null, sampling: {} } },
      },
    });
    expect(leaseOf(started).terms.charge.peakUnits).toBe(7_000);
    expect(world.counted).toEqual([['decided', expect.objectContaining({ action: 'queue' })]]);
  });

  test('a shrink that is only reported does not lower the reservation', async () => {
    const world = stateWorld({ mode: 'observe' });
    world.take('a', 8_500, 0);
    const started = await start(world, admissionRequest());
    expect(started.result).toMatchObject({ admitted: { reported: { action: 'shrink' } } });
    expect(leaseOf(started).terms.charge.peakUnits).toBe(2_000);
  });

  test('goes where it would have been sent', async () => {
    const world = stateWorld({
      mode: 'observe',
      instances: [{ name: 'a' }, { name: 'big', large: true }],
    });
    world.take('a', 9_500, 0);
    const started = await start(world, rigid(2_000));
    expect(started.result).toMatchObject({
      admitted: { instance: { name: 'big' }, reported: { action: 'route' } },
    });
  });

  test('an unlimited answer of a contained engine counts for its whole context', async () => {
    const world = stateWorld({ mode: 'observe', instances: [{ name: 'a', layout: PAGED }] });
    const started = await start(
      world,
      admissionRequest({ shape: { requestedOutputTokens: null } }),
    );
    expect(leaseOf(started).terms.charge.peakUnits).toBe(10_000);
  });

  test('with nobody to send it to it is refused', async () => {
    const world = stateWorld({ mode: 'observe' });
    world.pools.update('a', { health: { state: 'loading', why: '' } });
    const started = await start(world, admissionRequest());
    expect(started.result).toMatchObject({ decision: { reason: 'no_healthy_instance' } });
  });
});

test('close sends the queue away and refuses what comes', async () => {
  const world = stateWorld();
  await start(world, rigid(9_000));
  const waiting = await start(world, rigid(9_000));
  world.admission.close();
  await settle();
  const late = await start(world, admissionRequest({ shape: { requestedOutputTokens: 10 } }));
  const draining = { outcome: 'rejected', decision: { reason: 'draining', retryAfterMs: 5_000 } };
  expect(waiting.result).toMatchObject(draining);
  expect(late.result).toMatchObject(draining);
  expect(world.admission.queueLength).toBe(0);
});
