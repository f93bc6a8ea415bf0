/** What leases may fill of a GPU that weights, a margin and others share. */
import { describe, expect, test } from '@jest/globals';
import { type GpuBudgetInput, gpuBudget, leasableBytes } from '../../proxy/policy/budget.ts';

/** 1,000 bytes, of which 150 stay free by the threshold; 200 bytes of weights. */
const IDLE: GpuBudgetInput = {
  totalBytes: 1_000,
  usedBytes: 200,
  floorBytes: 200,
  heldHighWaterBytes: 0,
  gpuMemoryThreshold: 0.85,
  safetyReserveBytes: 100,
};

describe('gpuBudget', () => {
  test.each<{
    what: string;
    change: Partial<GpuBudgetInput>;
    alone: number;
    foreign: number;
  }>([
    { what: 'idle: threshold less weights', change: {}, alone: 650, foreign: 0 },
    {
      what: 'the reserve where it is more than the threshold leaves free',
      change: { safetyReserveBytes: 300 },
      alone: 500,
      foreign: 0,
    },
    {
      what: 'what leases hold for the first time is foreign until the ledger knows of it',
      change: { usedBytes: 300 },
      alone: 650,
      foreign: 100,
    },
    {
      what: 'use up to the high-water mark is the own allocator',
      change: { usedBytes: 500, heldHighWaterBytes: 300 },
      alone: 650,
      foreign: 0,
    },
    {
      what: 'beyond it, another process',
      change: { usedBytes: 501, heldHighWaterBytes: 300 },
      alone: 650,
      foreign: 1,
    },
    {
      what: 'a high-water mark that was never reached hides nothing but itself',
      change: { usedBytes: 100, heldHighWaterBytes: 300 },
      alone: 650,
      foreign: 0,
    },
    {
      what: 'weights that leave no room',
      change: { floorBytes: 900, usedBytes: 900 },
      alone: 0,
      foreign: 0,
    },
    {
      what: 'a reserve larger than the GPU',
      change: { safetyReserveBytes: 2_000 },
      alone: 0,
      foreign: 0,
    },
    {
      what: 'a fraction of a byte is not there',
      change: { totalBytes: 999 },
      alone: 649,
      foreign: 0,
    },
  ])('$what', ({ change, alone, foreign }) => {
    expect(gpuBudget({ ...IDLE, ...change })).toEqual({
      aloneBytes: alone,
      foreignBytes: foreign,
    });
  });
});

test.each<[string, number, number, number]>([
  ['nobody else', 0, 0, 650],
  ['a foreign process', 150, 0, 500],
  ['a neighbour that may grow beyond what it uses', 100, 400, 250],
  ['a neighbour that uses what it was promised', 400, 400, 250],
  ['a foreign process beside such a neighbour', 500, 400, 150],
  ['more than there is', 700, 0, 0],
])('leasableBytes: %s', (_what, foreignBytes, neighbourBytes, leasable) => {
  expect(leasableBytes({ aloneBytes: 650, foreignBytes }, neighbourBytes)).toBe(leasable);
});
