/** What leases may fill of a GPU that weights, a margin and others share. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type GpuBudgetInput,
  gpuBudget,
  learnedAllocatorRatio,
  leasableBytes,
  MAX_ALLOCATOR_RATIO,
  type MeasuredBudgetInput,
  measuredBudget,
} from '../../proxy/policy/budget.ts';

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

/** The same GPU with 200 bytes of own floor and 100 of others'. */
const MEASURED: MeasuredBudgetInput = {
  totalBytes: 1_000,
  ownBytes: 200,
  ownFloorBytes: 200,
  othersBytes: 100,
  othersFloorBytes: 100,
  heldHighWaterBytes: 0,
  allocatorRatio: 1,
  gpuMemoryThreshold: 0.85,
  safetyReserveBytes: 100,
};

describe('measuredBudget', () => {
  test.each<{
    what: string;
    change: Partial<MeasuredBudgetInput>;
    alone: number;
    foreign: number;
  }>([
    { what: 'idle: threshold less both floors', change: {}, alone: 550, foreign: 0 },
    { what: 'others beyond their floor', change: { othersBytes: 350 }, alone: 550, foreign: 250 },
    {
      what: 'a high-water mark hides nothing of others',
      change: { othersBytes: 350, heldHighWaterBytes: 400 },
      alone: 550,
      foreign: 250,
    },
    {
      what: 'own use up to the ratio times the high-water mark',
      change: { ownBytes: 350, heldHighWaterBytes: 100, allocatorRatio: 1.5 },
      alone: 550,
      foreign: 0,
    },
    {
      what: 'own use beyond it, rounded up',
      change: { ownBytes: 351, heldHighWaterBytes: 101, allocatorRatio: 1.49 },
      alone: 550,
      foreign: 1,
    },
    {
      what: 'floors that leave no room',
      change: { othersFloorBytes: 700, othersBytes: 700 },
      alone: 0,
      foreign: 0,
    },
  ])('$what', ({ change, alone, foreign }) => {
    expect(measuredBudget({ ...MEASURED, ...change })).toEqual({
      aloneBytes: alone,
      foreignBytes: foreign,
    });
  });
});

describe('learnedAllocatorRatio', () => {
  test.each<[string, number, Partial<MeasuredBudgetInput>, number]>([
    ['nothing was ever held', 1, { ownBytes: 900 }, 1],
    ['less was kept than held', 1, { ownBytes: 250, heldHighWaterBytes: 100 }, 1],
    ['more was kept than held', 1, { ownBytes: 350, heldHighWaterBytes: 100 }, 1.5],
    ['it never falls', 2, { ownBytes: 350, heldHighWaterBytes: 100 }, 2],
    ['it has an end', 1, { ownBytes: 900, heldHighWaterBytes: 100 }, MAX_ALLOCATOR_RATIO],
  ])('%s', (_what, ratio, change, expected) => {
    expect(learnedAllocatorRatio(ratio, { ...MEASURED, ...change })).toBe(expected);
  });

  test('where neither hides anything, measured and inferred budgets agree', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000),
        fc.nat(1_000),
        fc.nat(1_000),
        fc.nat(1_000),
        (own, ownFloor, others, heldHighWaterBytes) => {
          const ownBytes = ownFloor + own;
          const common = { totalBytes: 5_000, gpuMemoryThreshold: 0.9, safetyReserveBytes: 0 };
          const measured = measuredBudget({
            ...common,
            ...{ ownBytes, ownFloorBytes: ownFloor, othersBytes: others, othersFloorBytes: 0 },
            ...{ heldHighWaterBytes, allocatorRatio: 1 },
          });
          const inferred = gpuBudget({
            ...common,
            ...{ usedBytes: ownBytes + others, floorBytes: ownFloor, heldHighWaterBytes },
          });
          expect(measured.aloneBytes).toBe(inferred.aloneBytes);
          // What others hold can hide behind the mark only where nobody measures.
          expect(measured.foreignBytes).toBeGreaterThanOrEqual(inferred.foreignBytes);
          if (own >= heldHighWaterBytes) expect(measured).toEqual(inferred);
        },
      ),
    );
  });
});
