/** What a dynamic instance may fill where the driver tells the memory of each process. */
import { describe, expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { DynamicLayout } from '../../proxy/memory/kv-layout.ts';
import { FOUR_BYTE_MODEL } from '../support/decision.ts';
import { serving, stateWorld, type WorldOptions } from '../support/state-world.ts';
import { settle } from '../support/virtual-clock.ts';

const DYNAMIC: DynamicLayout = {
  model: 'dynamic',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  attention: 'flash',
};
const ENGINE = 41;
const WORKER = 42;
const STRANGER = 7;

/** A GPU of 1,000 bytes of which 900 may be used, and an engine of two processes on it. */
async function world(options: WorldOptions = {}) {
  const made = stateWorld({
    instances: [{ name: 'a', layout: DYNAMIC }],
    findProcesses: async () => new Set([ENGINE, WORKER]),
    ...options,
  });
  const capacity = () => made.capacities.of(serving(made.pools, 'a'));
  const pressure = () => made.capacities.pressureOf(serving(made.pools, 'a'), 0, 0);
  const hold = (bytes: number) =>
    made.ledger.take({
      requestId: 'r',
      instance: 'a',
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
  /** A round: what each process holds, and what is in use beyond that. */
  const sample = (bytes: Readonly<Record<number, number | null>>, unlisted = 0) => {
    const processes = Object.entries(bytes).map(([pid, usedBytes]) => ({
      pid: Number(pid),
      usedBytes,
    }));
    const used = processes.reduce((sum, { usedBytes }) => sum + (usedBytes ?? 0), unlisted);
    made.source.sample({ A: used }, { A: processes });
  };
  /** The engine is found by the second sample. */
  const start = async (...first: Parameters<typeof sample>) => {
    sample(...first);
    await settle();
    sample(...first);
  };
  return { ...made, capacity, pressure, hold, sample, start };
}

const known = (units: number, aloneUnits: number) => ({ state: 'known', units, aloneUnits });

describe('foreign memory', () => {
  test('lowers the budget within one poll, and gives it back within one', async () => {
    const { start, sample, capacity, pressure } = await world();
    await start({ [ENGINE]: 150, [WORKER]: 50 });
    expect(capacity()).toEqual(known(700, 700));
    sample({ [ENGINE]: 150, [WORKER]: 50, [STRANGER]: 250 });
    expect(capacity()).toEqual(known(450, 700));
    expect(pressure()).toBeCloseTo(250 / 700, 12);
    sample({ [ENGINE]: 150, [WORKER]: 50 });
    expect(capacity()).toEqual(known(700, 700));
  });

  test('is not hidden by memory that leases once held and the engine gave back', async () => {
    const { start, sample, capacity, hold } = await world();
    await start({ [ENGINE]: 200 });
    hold(300).end();
    sample({ [ENGINE]: 200, [STRANGER]: 300 });
    expect(capacity()).toEqual(known(400, 700));
  });

  test('may belong to nobody that is listed', async () => {
    const { start, sample, capacity } = await world();
    await start({ [ENGINE]: 200 });
    sample({ [ENGINE]: 200 }, 100);
    expect(capacity()).toEqual(known(600, 700));
  });

  test('that is listed without its memory counts by what is in use', async () => {
    const { start, sample, capacity } = await world();
    await start({ [ENGINE]: 200 });
    sample({ [ENGINE]: 200, [STRANGER]: null }, 100);
    expect(capacity()).toEqual(known(600, 700));
  });

  test('that has grown since the memory of the GPU was read counts as it is listed', async () => {
    const { start, sample, capacity } = await world();
    await start({ [ENGINE]: 200 });
    sample({ [ENGINE]: 200, [STRANGER]: 250 }, -100);
    expect(capacity()).toEqual(known(450, 700));
  });

  test('that was there before is part of the floor, and is free when it leaves', async () => {
    const { start, sample, capacity, pressure } = await world();
    await start({ [ENGINE]: 200, [STRANGER]: 300 });
    expect(capacity()).toEqual(known(400, 400));
    expect(pressure()).toBe(0);
    sample({ [ENGINE]: 200 });
    expect(capacity()).toEqual(known(700, 700));
  });
});

describe('the engine itself', () => {
  test('keeps what its allocator kept', async () => {
    const { start, sample, capacity, hold } = await world();
    await start({ [ENGINE]: 200 });
    hold(300).end();
    sample({ [ENGINE]: 500 });
    expect(capacity()).toEqual(known(700, 700));
  });

  test('beyond what leases explain is charged at once, and learned once none is live', async () => {
    const { start, sample, capacity, hold } = await world();
    await start({ [ENGINE]: 200 });
    const lease = hold(100);
    sample({ [ENGINE]: 400 });
    expect(capacity()).toEqual(known(600, 700));
    lease.end();
    // What it holds now is its allocator's: twice what leases held.
    sample({ [ENGINE]: 400 });
    expect(capacity()).toEqual(known(700, 700));
    hold(200);
    sample({ [ENGINE]: 600 });
    expect(capacity()).toEqual(known(700, 700));
    sample({ [ENGINE]: 650 });
    expect(capacity()).toEqual(known(650, 700));
  });

  test('never is believed to keep more than any allocator does: somebody else asks it', async () => {
    const { start, sample, capacity, hold } = await world();
    await start({ [ENGINE]: 200 });
    hold(100).end();
    sample({ [ENGINE]: 200 + 400 });
    expect(capacity()).toEqual(known(700 - (400 - 310), 700));
  });
});

describe('where it can not be told who holds what', () => {
  test.each<[string, WorldOptions]>([
    ['the engine is on another host', { findProcesses: async () => null }],
    ['its processes are not on the GPU', { findProcesses: async () => new Set([999]) }],
  ])('%s: floor and high-water mark decide', async (_what, options) => {
    const { start, sample, capacity, hold } = await world(options);
    await start({ [ENGINE]: 200 });
    hold(300).end();
    sample({ [ENGINE]: 200, [STRANGER]: 400 });
    expect(capacity()).toEqual(known(600, 700));
  });

  test('the driver does not tell the engine’s own', async () => {
    const { start, sample, capacity } = await world();
    await start({ [ENGINE]: null }, 200);
    sample({ [ENGINE]: null }, 300);
    expect(capacity()).toEqual(known(600, 700));
  });

  test('a reading without processes falls back to the floor that was seen all along', async () => {
    const { start, sample, source, capacity } = await world();
    await start({ [ENGINE]: 200, [STRANGER]: 100 });
    sample({ [ENGINE]: 200, [STRANGER]: 150 });
    expect(capacity()).toEqual(known(550, 600));
    source.sample({ A: 350 });
    expect(capacity()).toEqual(known(550, 600));
  });
});
