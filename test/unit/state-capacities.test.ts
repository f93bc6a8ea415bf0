/** What leases may fill of an instance, and how full it is, whatever can be read of it. */
import { describe, expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { DynamicLayout } from '../../proxy/memory/kv-layout.ts';
import { FOUR_BYTE_MODEL } from '../support/decision.ts';
import { serving, stateWorld, type WorldOptions } from '../support/state-world.ts';

const DYNAMIC: DynamicLayout = {
  model: 'dynamic',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  attention: 'flash',
};

/** A GPU of 1,000 bytes of which 900 may be used. */
function dynamicWorld(options: WorldOptions = {}) {
  const made = stateWorld({ instances: [{ name: 'a', layout: DYNAMIC }], ...options });
  const capacity = (name = 'a') => made.capacities.of(serving(made.pools, name));
  const pressure = (name = 'a') =>
    made.capacities.pressureOf(serving(made.pools, name), 0, made.ledger.totals(name).heldUnits);
  /** A lease that holds so many bytes from the beginning on. */
  const hold = (bytes: number, instance = 'a') =>
    made.ledger.take({
      requestId: 'r',
      instance,
      layout: DYNAMIC,
      charge: {
        ...chargeOf(DYNAMIC, 1, 1, 1, 1),
        prefillUnits: bytes,
        peakUnits: bytes,
        finalUnits: bytes,
      },
      sessionKey: null,
      streams: true,
      takenAtMs: made.clock.nowMs(),
    });
  return { ...made, capacity, pressure, hold };
}

function poolWorld(options: WorldOptions = {}) {
  const made = stateWorld(options);
  const capacity = () => made.capacities.of(serving(made.pools, 'a'));
  const pressure = (others = 0) =>
    made.capacities.pressureOf(
      serving(made.pools, 'a'),
      others,
      made.ledger.totals('a').committedUnits,
    );
  return { ...made, capacity, pressure };
}

describe('a dynamic instance', () => {
  test('has what its weights leave of the threshold', () => {
    const { source, capacity } = dynamicWorld();
    source.sample({ A: 200 });
    expect(capacity()).toEqual({ state: 'known', units: 700, aloneUnits: 700 });
  });

  test('keeps what its allocator kept', () => {
    const { source, capacity, hold } = dynamicWorld();
    source.sample({ A: 200 });
    hold(300).end();
    source.sample({ A: 500 });
    expect(capacity()).toEqual({ state: 'known', units: 700, aloneUnits: 700 });
  });

  test('loses what another process takes, for as long as it does', () => {
    const { source, capacity } = dynamicWorld();
    source.sample({ A: 200 });
    source.sample({ A: 450 });
    expect(capacity()).toEqual({ state: 'known', units: 450, aloneUnits: 700 });
    source.sample({ A: 200 });
    expect(capacity()).toMatchObject({ units: 700 });
  });

  test('a lease that begins after a sample does not explain what was in use before', () => {
    const { source, capacity, hold } = dynamicWorld();
    source.sample({ A: 200 });
    source.sample({ A: 450 });
    hold(300);
    expect(capacity()).toMatchObject({ units: 450 });
    source.sample({ A: 750 });
    expect(capacity()).toMatchObject({ units: 450 });
  });

  test('has as much as the tightest of its GPUs', () => {
    const { source, capacity } = dynamicWorld({ gpu: { gpuOf: () => [0, 1] } });
    source.sample({ A: 200, B: 300 });
    expect(capacity()).toMatchObject({ units: 600 });
  });

  test('learns no floor while its engine is not up: weights are on their way', () => {
    const { source, capacity, pools, read } = dynamicWorld();
    pools.update('a', { health: { state: 'loading', why: '' } });
    source.sample({ A: 10 });
    source.sample({ A: 150 });
    read('a');
    source.sample({ A: 200 });
    expect(capacity()).toEqual({ state: 'known', units: 700, aloneUnits: 700 });
  });

  test('has no budget of the time before its engine was up', () => {
    const { source, capacity, pools, read } = dynamicWorld();
    pools.update('a', { health: { state: 'loading', why: '' } });
    source.sample({ A: 10 });
    read('a');
    expect(capacity()).toMatchObject({ state: 'blind' });
    source.sample({ A: 200 });
    expect(capacity()).toMatchObject({ state: 'known', units: 700 });
  });

  test('forgets no weights when its engine is started anew', () => {
    const { source, capacity, pools, read } = dynamicWorld();
    source.sample({ A: 200 });
    pools.update('a', { health: { state: 'unreachable', why: '', processGone: true } });
    source.sample({ A: 10 });
    read('a');
    source.sample({ A: 200 });
    expect(capacity()).toEqual({ state: 'known', units: 700, aloneUnits: 700 });
  });

  test('a process that is gone kept nothing: what is in use then is not its own', () => {
    const { source, capacity, hold, ledger } = dynamicWorld();
    source.sample({ A: 200 });
    hold(300).end();
    ledger.forgetHighWater('a');
    source.sample({ A: 400 });
    expect(capacity()).toMatchObject({ units: 500 });
  });

  test('shares a GPU with another of ours: what one was promised the other has not', () => {
    const { source, capacity, hold } = dynamicWorld({
      instances: [
        { name: 'a', layout: DYNAMIC },
        { name: 'b', layout: DYNAMIC },
      ],
    });
    source.sample({ A: 400 });
    const lease = hold(300, 'b');
    expect(capacity('a')).toMatchObject({ units: 200, aloneUnits: 500 });
    expect(capacity('b')).toMatchObject({ units: 500 });
    // The other's allocator keeps it.
    lease.end();
    source.sample({ A: 700 });
    expect(capacity('a')).toMatchObject({ units: 200 });
    expect(capacity('b')).toMatchObject({ units: 500 });
  });

  test.each<[string, 'ledger' | 'reject' | 'pass', object]>([
    ['a lowered budget', 'ledger', { state: 'conservative', units: 630, aloneUnits: 700 }],
    ['nothing', 'reject', { state: 'blind' }],
    ['anything', 'pass', { state: 'unlimited' }],
  ])('stale readings admit %s with --on-stale %s', (_what, onStale, expected) => {
    const { source, capacity, clock } = dynamicWorld({ memory: { onStale } });
    source.sample({ A: 200 });
    clock.advance(5_001);
    expect(capacity()).toMatchObject(expected);
    source.sample({ A: 200 });
    expect(capacity()).toMatchObject({ state: 'known', units: 700 });
  });

  test.each<[string, 'ledger' | 'reject' | 'pass', string]>([
    ['nothing was ever known', 'ledger', 'blind'],
    ['nothing was ever known', 'reject', 'blind'],
    ['nothing was ever known', 'pass', 'unlimited'],
  ])('%s, --on-stale %s: %s', (_what, onStale, state) => {
    const { capacity } = dynamicWorld({ memory: { onStale } });
    expect(capacity()).toMatchObject({ state });
  });

  test('a GPU that can no longer be read is not an empty one', () => {
    const { source, capacity } = dynamicWorld();
    source.sample({ A: 200 });
    source.sample({ A: null });
    expect(capacity()).toMatchObject({ state: 'conservative', units: 630 });
    source.sample({});
    expect(capacity()).toMatchObject({ state: 'conservative', units: 630 });
  });
});

describe('the pressure of a dynamic instance', () => {
  test('is what leases hold, over what they may', () => {
    const { source, pressure, hold } = dynamicWorld();
    source.sample({ A: 200 });
    hold(350);
    expect(pressure()).toBeCloseTo(0.5, 12);
  });

  test('is none while idle, however much the allocator kept', () => {
    const { source, pressure, hold } = dynamicWorld();
    source.sample({ A: 200 });
    hold(600).end();
    source.sample({ A: 800 });
    expect(pressure()).toBe(0);
  });

  test('counts what others took', () => {
    const { source, pressure } = dynamicWorld();
    source.sample({ A: 200 });
    source.sample({ A: 340 });
    expect(pressure()).toBeCloseTo(0.2, 12);
  });

  test('is unknown before the first sample', () => {
    expect(dynamicWorld().pressure()).toBeNull();
  });

  test.each<[string, Readonly<Record<string, number | null>>, number | null]>([
    ['memory in use over all of it', { A: 200, B: 0 }, 0.2],
    ['of the fullest GPU', { A: 200, B: 500 }, 0.5],
    ['unknown where one of them is', { A: 200, B: null }, null],
  ])('--pressure-basis gpu: %s', (_what, sample, expected) => {
    const { source, pressure } = dynamicWorld({
      memory: { pressureBasis: 'gpu' },
      gpu: { gpuOf: () => [0, 1] },
    });
    source.sample(sample);
    expect(pressure()).toBe(expected);
  });

  test('--pressure-basis gpu: stale is unknown', () => {
    const { source, pressure, clock } = dynamicWorld({ memory: { pressureBasis: 'gpu' } });
    source.sample({ A: 200 });
    clock.advance(5_001);
    expect(pressure()).toBeNull();
  });
});

describe('an engine with a pool', () => {
  test('tells its size, and no GPU changes that', () => {
    const { capacity, source } = poolWorld();
    source.sample({ A: 999 });
    expect(capacity()).toEqual({ state: 'known', units: 10_000, aloneUnits: 10_000 });
  });

  test('that does not tell it is not limited by us', () => {
    const { capacity, pressure, read } = poolWorld();
    read('a', { capacityUnits: null });
    expect(capacity()).toMatchObject({ state: 'unlimited' });
    expect(pressure()).toBeNull();
  });

  test.each<['ledger' | 'reject' | 'pass', object]>([
    ['ledger', { state: 'conservative', units: 9_000, aloneUnits: 10_000 }],
    ['reject', { state: 'blind' }],
    ['pass', { state: 'unlimited' }],
  ])('stale, --on-stale %s', (onStale, expected) => {
    const { capacity, clock } = poolWorld({ memory: { onStale } });
    clock.advance(5_000);
    expect(capacity()).toMatchObject({ state: 'known' });
    clock.advance(1);
    expect(capacity()).toMatchObject(expected);
  });

  test('has the pressure of its forecast, others included', () => {
    const { pressure, take } = poolWorld();
    take('a', 5_000, 2_000);
    expect(pressure()).toBeCloseTo(0.7, 12);
    expect(pressure(3_500)).toBeCloseTo(1.05, 12);
  });

  test('is under no more pressure for want of readings', () => {
    const { pressure, take, clock } = poolWorld();
    take('a', 8_000, 2_000);
    clock.advance(60_000);
    expect(pressure()).toBe(1);
  });
});
