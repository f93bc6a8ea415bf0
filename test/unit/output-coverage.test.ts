/**
 * The bar of the output length forecast: q95 covers 95 % of the outputs, by at
 * most one point more or less, learned on the first half and checked on the second.
 */
import { describe, expect, test } from '@jest/globals';
import { expectAccuracy } from '../support/accuracy.ts';
import { driftingRows, steadyRows } from '../support/drifting-lengths.ts';
import {
  coverageInFlight,
  coverageOn,
  givenTrace,
  readTrace,
  type TraceCoverage,
} from '../support/trace-coverage.ts';

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function expectBar(what: string, seen: TraceCoverage): void {
  expectAccuracy({
    part: `output length, ${what}`,
    bar: 'q95 covers 95 % ± 1',
    seen: `${percent(seen.coverage)}; each 1,000 in a row ${percent(seen.leastCoverage)} to ${percent(seen.mostCoverage)}; mean q95 ${Math.round(seen.meanQ95Tokens)} tokens`,
    against: `${seen.checkedRows} outputs; one q95 of the first half: ${percent(seen.plainCoverage)}, ${seen.plainQ95Tokens} tokens`,
    holds: Math.abs(seen.coverage - 0.95) <= 0.01,
  });
}

describe.each([1, 2, 3])('a workload that changes, seed %d', (seed) => {
  const seen = coverageOn(driftingRows(12_000, seed));

  test('the bar holds', () => expectBar(`drifting, seed ${seed}`, seen));

  test('also for any 1,000 in a row, by three points', () => {
    expect(seen.leastCoverage).toBeGreaterThan(0.92);
    expect(seen.mostCoverage).toBeLessThan(0.98);
  });

  test('where one plain quantile of the first half fails it', () => {
    expect(Math.abs(seen.plainCoverage - 0.95)).toBeGreaterThan(0.01);
  });
});

describe.each([256, 1_024])('with %d requests in flight', (inFlight) => {
  const seen = coverageInFlight(steadyRows(12_000, 5), inFlight);

  test('coverage holds, and does not swing', () => {
    expect(Math.abs(seen.coverage - 0.95)).toBeLessThanOrEqual(0.01);
    expect(seen.leastCoverage).toBeGreaterThan(0.92);
    expect(seen.mostCoverage).toBeLessThan(0.98);
  });
});

const trace = givenTrace();
const why = trace === null ? ' (skipped: KVGATE_TRACE names no file)' : '';

(trace === null ? describe.skip : describe)(`the trace of KVGATE_TRACE${why}`, () => {
  const seen = trace === null ? null : coverageOn(readTrace(trace));

  test('the bar holds', () => {
    if (seen === null) throw new Error('no trace');
    expectBar('Azure conversations', seen);
  });

  test('also with nothing learned any more after the first half', () => {
    expect(Math.abs((seen?.frozenCoverage ?? 0) - 0.95)).toBeLessThanOrEqual(0.01);
  });

  test('at less than one quantile for all would reserve', () => {
    expect(seen?.meanQ95Tokens).toBeLessThan(seen?.plainQ95Tokens ?? 0);
  });
});
