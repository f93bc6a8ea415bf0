/** When there will be room: timelines worked out by hand. */
import { describe, expect, test } from '@jest/globals';
import { type Candidate, predictWaitMs } from '../../proxy/policy/predict-wait.ts';
import type { Freeing, InstanceView, Waiting } from '../../proxy/policy/types.ts';
import { instanceView, known } from '../support/decision.ts';

function candidate(
  freeing: readonly Freeing[],
  wanted: { units: number; sequences?: number },
  change: Partial<InstanceView> = {},
): Candidate {
  const committedUnits = freeing.reduce((sum, { units }) => sum + units, 0);
  const sequences = freeing.reduce((sum, lease) => sum + lease.sequences, 0);
  return {
    instance: instanceView({ capacity: known(100), committedUnits, sequences, freeing, ...change }),
    wanted: { units: wanted.units, sequences: wanted.sequences ?? 1 },
  };
}

function lease(atMs: number | null, units: number): Freeing {
  return { atMs, units, sequences: 1 };
}

function ahead(units: number, durationMs: number | null): Waiting {
  return { units, sequences: 1, durationMs };
}

const NOW_MS = 1_000;

describe('predictWaitMs', () => {
  test.each<{
    what: string;
    candidates: readonly Candidate[];
    waiting?: readonly Waiting[];
    waitMs: number | null;
  }>([
    { what: 'room now', candidates: [candidate([], { units: 100 })], waitMs: 0 },
    {
      what: 'the first end is enough',
      candidates: [candidate([lease(3_000, 60), lease(2_000, 40)], { units: 40 })],
      waitMs: 1_000,
    },
    {
      what: 'it takes both',
      candidates: [candidate([lease(3_000, 60), lease(2_000, 40)], { units: 41 })],
      waitMs: 2_000,
    },
    {
      what: 'a lease that should have ended already ends now',
      candidates: [candidate([lease(500, 100)], { units: 1 })],
      waitMs: 0,
    },
    {
      what: 'an unknown end that is not needed',
      candidates: [candidate([lease(null, 60), lease(2_000, 40)], { units: 40 })],
      waitMs: 1_000,
    },
    {
      what: 'an unknown end that is',
      candidates: [candidate([lease(null, 60), lease(2_000, 40)], { units: 41 })],
      waitMs: null,
    },
    {
      what: 'use of others never ends',
      candidates: [candidate([lease(2_000, 40)], { units: 41 }, { committedUnits: 100 })],
      waitMs: null,
    },
    {
      what: 'a slot, not units',
      candidates: [
        candidate([lease(2_000, 1), lease(1_500, 1)], { units: 1 }, { maxSequences: 2 }),
      ],
      waitMs: 500,
    },
    {
      what: 'two slots',
      candidates: [
        candidate(
          [lease(2_000, 1), lease(1_500, 1)],
          { units: 1, sequences: 2 },
          { maxSequences: 2 },
        ),
      ],
      waitMs: 1_000,
    },
    {
      what: 'the sooner of two instances',
      candidates: [
        candidate([lease(5_000, 100)], { units: 10 }),
        candidate([lease(4_000, 100)], { units: 10 }),
      ],
      waitMs: 3_000,
    },
    {
      what: 'behind one that takes the room first and holds it for 500 ms',
      candidates: [candidate([lease(2_000, 100)], { units: 60 })],
      waiting: [ahead(60, 500)],
      waitMs: 1_500,
    },
    {
      what: 'beside one that leaves enough',
      candidates: [candidate([lease(2_000, 100)], { units: 40 })],
      waiting: [ahead(60, 500)],
      waitMs: 1_000,
    },
    {
      what: 'never before the one ahead, though its own room is free now',
      candidates: [candidate([lease(2_000, 90)], { units: 10 })],
      waiting: [ahead(60, 500)],
      waitMs: 1_000,
    },
    {
      what: 'behind one of unknown length that leaves no room',
      candidates: [candidate([lease(2_000, 100)], { units: 60 })],
      waiting: [ahead(60, null)],
      waitMs: null,
    },
    {
      what: 'behind one that itself waits for something unknown',
      candidates: [candidate([lease(null, 100)], { units: 1 })],
      waiting: [ahead(60, 500)],
      waitMs: null,
    },
    {
      what: 'the one ahead takes the sooner instance, so it is the other one',
      candidates: [
        candidate([lease(2_000, 100)], { units: 60 }),
        candidate([lease(2_200, 100)], { units: 60 }),
      ],
      waiting: [ahead(60, 10_000)],
      waitMs: 1_200,
    },
    {
      what: 'a queue of three, one after the other',
      candidates: [candidate([lease(2_000, 100)], { units: 100 })],
      waiting: [ahead(100, 300), ahead(100, 300), ahead(100, 300)],
      waitMs: 1_900,
    },
    { what: 'nobody to wait for', candidates: [], waitMs: null },
  ])('$what', ({ candidates, waiting = [], waitMs }) => {
    expect(predictWaitMs(candidates, waiting, NOW_MS)).toBe(waitMs);
  });

  test('leaves what it was given as it was', () => {
    const given = candidate([lease(3_000, 60), lease(2_000, 40)], { units: 80 });
    const before = structuredClone(given);
    predictWaitMs([given], [ahead(50, 100)], NOW_MS);
    expect(given).toEqual(before);
  });
});
