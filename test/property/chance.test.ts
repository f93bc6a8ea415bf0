/** The chance of an overrun: its bound against what really comes of it, counted and drawn. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chargeOf } from '../../proxy/memory/charge.ts';
import { Future } from '../../proxy/policy/chance.ts';
import { lengthCurve } from '../../proxy/policy/length-curve.ts';
import {
  futureOf,
  INTERVALS,
  type RequestFuture,
  type RequestInTime,
} from '../../proxy/policy/request-future.ts';
import { UNIFIED } from '../support/decision.ts';

const CAPACITY = 10_000;

/** Holds `units` in every interval, and still runs in each with the same chance. */
function steady(units: number, runs: number): RequestFuture {
  return {
    units: Array<number>(INTERVALS).fill(units),
    runs: Array<number>(INTERVALS).fill(runs),
  };
}

const steadyRequest = fc.record({
  units: fc.integer({ min: 1, max: 4_000 }),
  runs: fc.double({ min: 0, max: 1, noNaN: true }),
});

/** The chance that the sum of those that run is beyond the room, by going through all cases. */
function exactOverrun(requests: readonly { units: number; runs: number }[], room: number): number {
  const [first, ...rest] = requests;
  if (first === undefined) return room < 0 ? 1 : 0;
  return (
    first.runs * exactOverrun(rest, room - first.units) +
    (1 - first.runs) * exactOverrun(rest, room)
  );
}

function futureWith(requests: readonly { units: number; runs: number }[]): Future {
  const future = new Future(CAPACITY);
  for (const { units, runs } of requests) future.add(steady(units, runs));
  return future;
}

describe('what fits with a chance', () => {
  test('never overruns with more than that chance', () => {
    fc.assert(
      fc.property(
        fc.array(steadyRequest, { maxLength: 9 }),
        steadyRequest,
        fc.constantFrom(0.3, 0.05, 1e-3, 1e-6),
        (requests, candidate, chance) => {
          const { units, runs } = candidate;
          if (!futureWith(requests).fits(steady(units, runs), CAPACITY, chance)) return;
          // Rounding of logarithms is of no account beside the bound.
          expect(exactOverrun([...requests, candidate], CAPACITY)).toBeLessThanOrEqual(
            chance * (1 + 1e-6),
          );
        },
      ),
      { numRuns: 400 },
    );
  });

  test('fits as well with more room, as a smaller one, and with a larger chance', () => {
    fc.assert(
      fc.property(
        fc.array(steadyRequest, { maxLength: 9 }),
        steadyRequest,
        fc.integer({ min: 0, max: CAPACITY }),
        (requests, { units, runs }, room) => {
          const future = futureWith(requests);
          if (!future.fits(steady(units, runs), room, 1e-3)) return;
          expect(future.fits(steady(units, runs), room + 100, 1e-3)).toBe(true);
          expect(future.fits(steady(units * 0.9, runs), room, 1e-3)).toBe(true);
          expect(future.fits(steady(units, runs * 0.9), room, 1e-3)).toBe(true);
          expect(future.fits(steady(units, runs), room, 1e-2)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('with nothing known of the requests is what fits with all of them running', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4_000 }), { maxLength: 9 }), (sizes) => {
        const future = futureWith(sizes.map((units) => ({ units, runs: 1 })));
        const sum = sizes.reduce((total, units) => total + units, 0);
        const room = CAPACITY - sum;
        if (room >= 0) expect(future.fits(steady(room, 1), CAPACITY, 1e-6)).toBe(true);
        expect(future.fits(steady(Math.max(0, room) + 1, 1), CAPACITY, 0.2)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });

  test('is told by a peak that lies between what is expected and all', () => {
    fc.assert(
      fc.property(fc.array(steadyRequest, { minLength: 1, maxLength: 30 }), (requests) => {
        const future = futureWith(requests);
        const peak = future.peakUnits(1e-6);
        const all = requests.reduce((sum, { units }) => sum + units, 0);
        expect(peak).toBeLessThanOrEqual(all);
        expect(peak).toBeGreaterThanOrEqual(future.expectedPeakUnits - 1e-6);
        expect(future.peakUnits(1e-2)).toBeLessThanOrEqual(peak + 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  test('is as it was once what was added is taken back', () => {
    fc.assert(
      fc.property(fc.array(steadyRequest, { maxLength: 9 }), steadyRequest, (requests, extra) => {
        const future = futureWith(requests);
        const before = future.peakUnits(1e-6);
        future.add(steady(extra.units, extra.runs));
        future.remove(steady(extra.units, extra.runs));
        expect(future.peakUnits(1e-6)).toBeCloseTo(before, 3);
      }),
      { numRuns: 100 },
    );
  });

  test('sums that no number can hold fit nothing', () => {
    const future = futureWith(Array.from({ length: 100 }, () => ({ units: 9_000, runs: 0.9 })));
    expect(future.fits(steady(1, 1), CAPACITY, 0.5)).toBe(false);
    expect(future.peakUnits(1e-6)).toBeGreaterThan(CAPACITY);
  });
});

/** Outputs of 1 to 400 tokens, short ones more often. */
const CURVE = lengthCurve(
  Array.from({ length: 1_000 }, (_, index) => Math.ceil(400 * ((index + 1) / 1_000) ** 2)),
);

function request(change: Partial<RequestInTime> = {}): RequestInTime {
  return {
    layout: UNIFIED,
    charge: chargeOf(UNIFIED, 500, 1_000, 1, 1),
    generatedTokens: { least: 0, most: 0 },
    phase: 'decode',
    prefillSteps: 0,
    curve: CURVE,
    doubt: 0,
    ...change,
  };
}

describe('the future of a request', () => {
  test('bounds what it holds at every step while it runs, and how likely that is', () => {
    const { units, runs } = futureOf(request());
    expect(units[0]).toBe(508);
    expect(runs[0]).toBe(1);
    expect(units).toEqual(units.toSorted((a, b) => a - b));
    expect(units.at(-1)).toBe(1_500);
    expect(runs).toEqual(runs.toSorted((a, b) => b - a));
  });

  test('ends at its limit', () => {
    const charge = chargeOf(UNIFIED, 500, 100, 1, 1);
    const { units, runs } = futureOf(request({ charge, curve: null }));
    expect(Math.max(...units)).toBe(600);
    expect(runs.length).toBeLessThan(INTERVALS);
    expect(runs.every((share) => share === 1)).toBe(true);
  });

  test('begins later by as long as its prefill may take', () => {
    const soon = futureOf(request({ phase: 'prefill', prefillSteps: 0 }));
    const late = futureOf(request({ phase: 'prefill', prefillSteps: 60 }));
    for (const [index, share] of late.runs.entries()) {
      expect(share).toBeGreaterThanOrEqual(soon.runs[index] ?? 0);
    }
    const never = futureOf(request({ phase: 'prefill', prefillSteps: Number.POSITIVE_INFINITY }));
    expect([...never.runs].every((share) => share === 1)).toBe(true);
  });

  test('whose output is not seen covers all that may have been generated by now', () => {
    // Whatever is longer than 10 tokens has 1,000.
    const curve = lengthCurve([...Array<number>(900).fill(10), ...Array<number>(100).fill(1_000)]);
    const seen = futureOf(request({ curve, generatedTokens: { least: 500, most: 500 } }));
    const unseen = futureOf(request({ curve, generatedTokens: { least: 0, most: 500 } }));
    for (const [index, share] of seen.runs.entries()) {
      expect(unseen.runs[index]).toBeGreaterThanOrEqual(share);
    }
  });

  test('of several sequences is the most they may ever hold', () => {
    const charge = chargeOf(UNIFIED, 500, 1_000, 1, 2);
    const { units, runs } = futureOf(request({ charge }));
    expect([...units].every((held) => held === charge.peakUnits)).toBe(true);
    expect([...runs].every((share) => share === 1)).toBe(true);
  });

  test('added up for many, is kept by outputs drawn from the same lengths', () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648;
    };
    // As many as fit with a chance of 1 in 10.
    const own = futureOf(request());
    const future = new Future(40_000);
    let count = 0;
    while (future.fits(own, 40_000, 0.1)) {
      future.add(own);
      count += 1;
    }
    const worstCase = Math.floor(40_000 / 1_500);
    expect(count).toBeGreaterThan(2 * worstCase);

    let overruns = 0;
    for (let round = 0; round < 1_000; round += 1) {
      const lengths = Array.from({ length: count }, () => Math.ceil(400 * random() ** 2));
      lengths.sort((a, b) => a - b);
      // The sum is highest just before one of them ends.
      const peak = lengths.reduce((most, length, index) => {
        return Math.max(most, (lengths.length - index) * (500 + length));
      }, 0);
      if (peak > 40_000) overruns += 1;
    }
    expect(overruns / 1_000).toBeLessThanOrEqual(0.1);
  });
});
