/** The promise of 95 %, kept whatever outputs do. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { randomStream } from '../../backend-adapters/simulated-server/hash.ts';
import {
  type Coverage,
  coveredShare,
  keptOver,
  TARGET_COVERAGE,
  UNTRACKED,
  withOutcome,
} from '../../proxy/policy/coverage.ts';

const after = (outcomes: readonly number[], from: Coverage = UNTRACKED) =>
  outcomes.reduce(
    (coverage, missed) => withOutcome(coverage, { given: missed, now: missed }),
    from,
  );

test('nothing is told before the first outcome', () => {
  expect(coveredShare(UNTRACKED)).toBeNull();
  expect(UNTRACKED.share).toBe(TARGET_COVERAGE);
});

test('a miss asks for more, a hit for a little less', () => {
  expect(after([1]).share).toBeCloseTo(0.9595, 9);
  expect(after([0]).share).toBeCloseTo(0.9495, 9);
});

test('one miss in twenty leaves it where it is', () => {
  const twenty = Array.from({ length: 20 }, (_, index) => (index === 7 ? 1 : 0));
  expect(after(twenty).share).toBeCloseTo(TARGET_COVERAGE, 9);
  expect(coveredShare(after(twenty))).toBeCloseTo(0.95, 9);
});

test('coverage is told of the latest, and what is long ago is forgotten', () => {
  const bad = after(Array.from({ length: 1_000 }, () => 1));
  expect(coveredShare(bad)).toBe(0);
  const good = after(
    Array.from({ length: 1_000 }, () => 0),
    bad,
  );
  expect(coveredShare(good)).toBe(1);
});

test('a cut output counts by how likely it was longer', () => {
  expect(coveredShare(after([0.25, 0.75]))).toBe(0.5);
});

test('told is what the given forecast missed; what moves the share is what the present one would', () => {
  const coverage = withOutcome(UNTRACKED, { given: 1, now: 0 });
  expect(coveredShare(coverage)).toBe(0);
  expect(coverage.share).toBeLessThan(TARGET_COVERAGE);
});

describe('where learning pauses', () => {
  test.each([
    ['a correction that chance explains is let go', 0.978, 0.95],
    ['to either side', 0.922, 0.95],
    ['a larger one is kept', 0.99, 0.99],
    ['to either side', 0.7, 0.7],
  ])('%s (%d)', (_what, share, kept) => {
    const coverage = { ...after([0, 1]), share };
    expect(keptOver(coverage)).toEqual({ ...coverage, share: kept });
  });

  test('nineteen of twenty are let go where nothing changes', () => {
    const random = randomStream(11);
    let coverage = UNTRACKED;
    let letGo = 0;
    const rounds = 40_000;
    for (let round = 0; round < rounds; round += 1) {
      const missed = random() > coverage.share ? 1 : 0;
      coverage = withOutcome(coverage, { given: missed, now: missed });
      if (keptOver(coverage).share === TARGET_COVERAGE) letGo += 1;
    }
    expect(letGo / rounds).toBeGreaterThan(0.93);
    expect(letGo / rounds).toBeLessThan(0.97);
  });
});

describe('forecasts that are off by a factor', () => {
  // Ranks of the outputs within the sample, were it of one kind; the sample is off by a power.
  test.each([
    ['outputs grew', 0.4],
    ['outputs shrank', 3],
  ])('%s: the misses still come to 5 %%', (_what, power) => {
    const random = randomStream(7);
    let coverage = UNTRACKED;
    let misses = 0;
    const rounds = 4_000;
    for (let round = 0; round < rounds; round += 1) {
      const missed = random() ** power > coverage.share ? 1 : 0;
      misses += missed;
      coverage = withOutcome(coverage, { given: missed, now: missed });
    }
    expect(misses / rounds).toBeCloseTo(0.05, 2);
  });
});

test('the share stays one, and coverage between none and all', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 1_200 }),
      (outcomes) => {
        const coverage = after(outcomes);
        expect(coverage.share).toBeGreaterThanOrEqual(0.5);
        expect(coverage.share).toBeLessThanOrEqual(1);
        expect(coveredShare(coverage)).toBeGreaterThanOrEqual(-1e-9);
        expect(coveredShare(coverage)).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 30 },
  );
});
