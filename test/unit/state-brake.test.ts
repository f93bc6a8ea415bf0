/** The brake watches what leases come to hold, and acts before the engine must; the engine is a pool of 10,000 cells. */
import { describe, expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import { beginReading } from '../../proxy/state/begin-reading.ts';
import type { Lease } from '../../proxy/state/lease.ts';
import { MAX_TAKEN_BACK, resumedRequest } from '../../proxy/state/resumed.ts';
import { PAGED, SPLIT, UNIFIED } from '../support/decision.ts';
import {
  admissionRequest,
  reading,
  serving,
  stateWorld,
  type WorldOptions,
} from '../support/state-world.ts';
import { settle } from '../support/virtual-clock.ts';

/** A world whose brake acts: who went, in order, and who has answered. */
function brakeWorld(options: WorldOptions = {}) {
  const world = stateWorld(options);
  const went: (readonly ['back' | 'ended', Lease])[] = [];
  const answered = new Set<Lease>();
  const goes = (how: 'back' | 'ended') => (lease: Lease) => {
    went.push([how, lease]);
    world.drains.drain(lease);
  };
  world.brake.actThrough({
    hasAnswered: (lease) => answered.has(lease),
    takeBack: goes('back'),
    endStream: goes('ended'),
  });
  world.pools.onChange((before, after) => {
    if (after.latest === before.latest) return;
    world.drains.confirm(after, after.latest ?? never());
    world.brake.readingTaken(after);
    world.admission.pump();
  });
  /** A lease that was promised 100 tokens of output; in time they may become more. */
  const take = (promptTokens: number, streams = true) => {
    world.clock.advance(1);
    return world.ledger.take({
      requestId: 'r',
      instance: 'a',
      layout: UNIFIED,
      charge: chargeOf(UNIFIED, promptTokens, 100, 1, 1),
      sessionKey: null,
      streams,
      takenAtMs: world.clock.nowMs(),
    });
  };
  return { ...world, went, answered, take, serving: () => serving(world.pools, 'a') };
}

function never(): never {
  throw new Error('a reading is there');
}

describe('as requests outgrow what was foreseen', () => {
  test('it lets them be as long as the next 32 tokens of each fit', () => {
    const world = brakeWorld();
    const [stream] = [world.take(4_000), world.take(5_000)];
    // 5,032 of the other and 4,968 of this one.
    stream.generated(936);
    expect([world.went, world.brake.isOn('a')]).toEqual([[], false]);
    stream.generated(937);
    expect(world.went).toHaveLength(1);
  });

  test('whoever has sent nothing goes first, and nobody is admitted meanwhile', () => {
    const world = brakeWorld();
    const [stream, silent] = [world.take(4_000), world.take(5_000)];
    world.answered.add(stream);
    stream.generated(950);
    expect(world.went).toEqual([['back', silent]]);
    expect(world.brake.isOn('a')).toBe(true);
    expect(world.counted).toContainEqual(['brakeActed', 'take_back']);
    const { concurrencyCap, sequences } = world.views.instance(world.serving());
    expect([concurrencyCap, sequences]).toEqual([2, 2]);
    // One that leaves already is not made to go again.
    stream.generated(960);
    expect(world.went).toHaveLength(1);
  });

  test('a stream is ended only where nothing else is left', () => {
    const world = brakeWorld();
    const [older, younger] = [world.take(4_000), world.take(5_000)];
    for (const lease of [older, younger]) {
      world.answered.add(lease);
      lease.generated(1);
    }
    older.generated(950);
    expect(world.went).toEqual([['ended', younger]]);
  });

  test('it is released when the engine has let go', () => {
    const world = brakeWorld();
    const [stream, silent] = [world.take(4_000), world.take(5_000)];
    world.answered.add(stream);
    stream.generated(950);
    // The second of them ends the lease, and the third is the first without it.
    for (const _ of [1, 2, 3]) {
      expect(world.brake.isOn('a')).toBe(true);
      world.clock.advance(2_000);
      world.read('a', { runningSequences: 1, usedUnits: 4_950 });
    }
    expect([silent.state, world.brake.isOn('a')]).toEqual(['ended', false]);
    expect(world.lines.map(({ msg }) => msg)).toEqual([
      'Emergency brake on',
      'Request taken back',
      'Emergency brake off',
    ]);
  });
});

describe('by what the engine shows', () => {
  test('another client that fills the pool brings it on, once', () => {
    const world = brakeWorld();
    const stream = world.take(4_000);
    world.answered.add(stream);
    const silent = world.take(1_000);
    stream.generated(1);
    world.read('a', { runningSequences: 3, usedUnits: 9_900 });
    expect(world.went).toEqual([]);
    world.read('a', { runningSequences: 3, usedUnits: 9_980 });
    expect(world.went).toEqual([['back', silent]]);
    world.read('a', { runningSequences: 3, usedUnits: 9_980 });
    expect(world.went).toHaveLength(1);
  });

  test('what a request that is not streamed has come to is seen there', () => {
    const world = brakeWorld();
    world.speeds.learn('a', { promptTokens: 1, outputTokens: 1_000, ttftMs: 0, totalMs: 1e6 });
    const whole = [world.take(5_000, false), world.take(4_900, false)];
    world.clock.advance(10);
    world.read('a', { runningSequences: 2, usedUnits: 9_900 });
    expect(world.went).toEqual([]);
    world.read('a', { runningSequences: 2, usedUnits: 9_990 });
    expect(world.went).toEqual([['back', whole[1]]]);
  });

  test('our own can never be more than they were granted', () => {
    const world = brakeWorld();
    world.take(5_000, false);
    world.take(4_800, false);
    world.read('a', { runningSequences: 2, usedUnits: 12_000 });
    expect(world.went).toEqual([]);
  });

  test('what ended while it was read is no room for others', () => {
    const world = brakeWorld();
    world.answered.add(world.take(4_000));
    const ended = world.take(5_000);
    const endReading = beginReading(world.pools, world.ledger, world.clock, 'a');
    ended.end();
    endReading(reading({ runningSequences: 1, usedUnits: 4_000, capacityUnits: 10_000 }), {});
    const silent = world.take(6_500);
    expect(world.went).toEqual([['back', silent]]);
  });

  test('an engine that does not let go is no engine with room', () => {
    const world = brakeWorld();
    const [stream, silent] = [world.take(4_000), world.take(5_000)];
    world.answered.add(stream);
    stream.generated(950);
    expect(world.went).toEqual([['back', silent]]);
    world.clock.advance(500);
    world.read('a', { runningSequences: 2, usedUnits: 9_990 });
    expect(world.went).toEqual([
      ['back', silent],
      ['ended', stream],
    ]);
  });
});

describe('where there is no brake', () => {
  test.each([
    ['a paged engine preempts', { instances: [{ name: 'a', layout: PAGED }] }],
    ['a slot has its own cells', { instances: [{ name: 'a', layout: SPLIT }] }],
    [
      'nothing is known of the pool',
      { instances: [{ name: 'a', reading: { capacityUnits: null } }] },
    ],
    ['nothing may be changed', { mode: 'observe' }],
  ] as const)('%s', (_name, options) => {
    const world = brakeWorld(options);
    const layout = world.serving().facts.layout;
    const lease = world.ledger.take({
      requestId: 'r',
      instance: 'a',
      layout,
      charge: chargeOf(layout, 2_000, 1, 1, 1),
      sessionKey: null,
      streams: true,
      takenAtMs: 0,
    });
    lease.generated(20_000);
    world.brake.gpusRead();
    expect([world.went, world.brake.isOn('a')]).toEqual([[], false]);
  });
});

describe('a request that was taken back', () => {
  /** Admitted beside a stream that then outgrows its promise. */
  async function takenBack() {
    const world = brakeWorld({ policy: { degrade: 'off' } });
    const { signal } = new AbortController();
    const stream = world.take(4_000);
    world.answered.add(stream);
    const request = admissionRequest({
      shape: { hasTools: true, requestedOutputTokens: 4_000 },
    });
    const result = await world.admission.admit(request, signal);
    if (result.outcome !== 'admitted') throw new Error('there was room');
    stream.generated(4_980);
    expect(world.went).toEqual([['back', result.admitted.lease]]);
    const again = resumedRequest(request, result.admitted, world.clock.nowMs());
    return { world, stream, signal, admitted: result.admitted, request: again };
  }

  test('goes before everybody who waits, once there is room beside its old lease', async () => {
    const { world, stream, signal, admitted, request } = await takenBack();
    const order: string[] = [];
    const earlier = world.admission.admit(admissionRequest(), signal);
    void earlier.then(() => order.push('earlier'));
    const again = world.admission.readmit(request, admitted, signal);
    void again.then(() => order.push('taken back'));
    await settle();
    expect(world.admission.queueLength).toBe(2);
    admitted.lease.end();
    await settle();
    expect(order).toEqual([]);
    world.clock.advance(1_000);
    stream.end();
    await settle();
    expect(order).toEqual(['taken back', 'earlier']);
    expect(await again).toMatchObject({
      outcome: 'admitted',
      admitted: { queuedMs: 1_000, decision: { action: 'accept' } },
    });
  });

  test('waits no longer in all than anybody may', async () => {
    const { world, signal, admitted, request } = await takenBack();
    const resumed = { ...(request.resumed ?? never()), waitedMs: 29_000 };
    const again = world.admission.readmit({ ...request, resumed }, admitted, signal);
    world.clock.advance(1_000);
    expect(await again).toMatchObject({ decision: { reason: 'queue_deadline' } });
  });

  test('is refused where that happened too often', async () => {
    const { world, signal, admitted, request } = await takenBack();
    const resumed = { ...(request.resumed ?? never()), times: MAX_TAKEN_BACK + 1 };
    const again = await world.admission.readmit({ ...request, resumed }, admitted, signal);
    expect(again).toMatchObject({ outcome: 'rejected', decision: { reason: 'memory_pressure' } });
  });

  test('has waited for as long as it was in line, not while it ran', async () => {
    const { world, admitted, request } = await takenBack();
    expect(request.resumed).toMatchObject({ times: 1, waitedMs: 0 });
    world.clock.advance(500);
    const second = { ...admitted, lease: world.take(1_000), queuedMs: 501 };
    world.clock.advance(5_000);
    expect(resumedRequest(request, second, world.clock.nowMs()).resumed).toMatchObject({
      times: 2,
      waitedMs: 501,
      arrivedAtMs: request.resumed?.arrivedAtMs,
    });
  });
});
