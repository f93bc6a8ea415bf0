/** Trends that are there, trends that are not, and where they lead. */
import { describe, expect, test } from '@jest/globals';
import { crossingAhead, FORECAST_HORIZON_MS, risingTrend } from '../../proxy/policy/forecast.ts';

const THRESHOLDS = { medium: 1, high: 1.05, critical: 1.1, emergency: 1.2 };

const START_MS = 1_800_000_000_000;

/** A sample each half second, the last of them now. */
function trendOf(...pressures: readonly number[]) {
  const samples = pressures.map((pressure, index) => ({ atMs: START_MS + 500 * index, pressure }));
  return risingTrend(samples, samples.at(-1)?.atMs ?? START_MS);
}

const ramp = (count: number, from = 0.5, step = 0.02) =>
  Array.from({ length: count }, (_, index) => from + step * index);

describe('a trend', () => {
  test('is the line of a ramp', () => {
    const trend = trendOf(...ramp(12));
    expect(trend?.pressureNow).toBeCloseTo(0.72);
    expect((trend?.perMs ?? 0) * 500).toBeCloseTo(0.02, 6);
  });

  test('is not bent by what comes and goes', () => {
    const bent = ramp(12).map((pressure, index) => (index === 7 ? 0.95 : pressure));
    expect((trendOf(...bent)?.perMs ?? 0) * 500).toBeCloseTo(0.02, 3);
  });

  test.each<[string, readonly number[]]>([
    ['nothing', []],
    ['one sample', [0.5]],
    ['too few to be sure', ramp(8)],
    ['a flat line', ramp(12, 0.9, 0)],
    ['a falling one', ramp(12, 0.9, -0.01)],
    ['a single step', [...ramp(6, 0.5, 0), ...ramp(6, 0.9, 0)]],
    ['a saw', Array.from({ length: 12 }, (_, index) => 0.9 + (index % 2) * 0.05)],
  ])('%s is none', (_what, pressures) => {
    expect(trendOf(...pressures)).toBeNull();
  });
});

describe('a crossing', () => {
  const trend = { pressureNow: 0.9, perMs: 0.04 / 1_000 };

  test('is told with its time, and with what lacks at the horizon', () => {
    const crossing = crossingAhead(trend, 'low', THRESHOLDS);
    expect(crossing?.threshold).toBe(1);
    expect(crossing?.inMs).toBeCloseTo(2_500);
    expect(crossing?.lacking).toBeCloseTo(0.9 + (0.04 * FORECAST_HORIZON_MS) / 1_000 - 1);
  });

  test('is that into the level above the one that holds', () => {
    expect(crossingAhead(trend, 'medium', THRESHOLDS)?.threshold).toBe(1.05);
  });

  test.each([
    ['beyond the horizon', { ...trend, perMs: 0.019 / 1_000 }, 'low'],
    ['above the highest level', { pressureNow: 1.3, perMs: 1 }, 'emergency'],
  ] as const)('%s is none', (_what, given, level) => {
    expect(crossingAhead(given, level, THRESHOLDS)).toBeNull();
  });
});
