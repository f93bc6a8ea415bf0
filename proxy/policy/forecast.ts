/**
 * Where the pressure of an instance is going: a straight line through its
 * latest samples, and what it will lack of the next level within a horizon.
 *
 *   slope     = median over all pairs of (pj - pi) / (tj - ti)      Theil-Sen
 *   intercept = median of (pi - slope x ti)
 *   S         = pairs that rise - pairs that fall                   Mann-Kendall
 *   z         = S / sqrt(n (n - 1) (2n + 5) / 18)
 *
 * Theil-Sen, for one large request that comes or goes bends a line of least
 * squares; up to 29 % of outliers do not move this one. Mann-Kendall's z tells
 * a trend from noise: a line that only jitters has z >= 3.5 once in 4,300 times,
 * and a single step (one request admitted) does not reach it.
 */
import { LEVELS, type LevelThresholds, levelRank } from './pressure.ts';
import type { Level } from './types.ts';

export interface PressureSample {
  readonly atMs: number;
  /** 1 is full; a forecast may be above. */
  readonly pressure: number;
}

export interface Trend {
  /** On the line, at the time that was asked for. */
  readonly pressureNow: number;
  readonly perMs: number;
}

export interface Crossing {
  /** Of the next level; beyond it the level rises. */
  readonly threshold: number;
  readonly inMs: number;
  /** Pressure beyond the threshold at the end of the horizon. */
  readonly lacking: number;
}

/** How far ahead it is looked: a release takes a reading or two to show, a poll is half a second. */
export const FORECAST_HORIZON_MS = 5_000;

/** What the line is drawn through: older samples are of another load. */
export const FORECAST_WINDOW_MS = 6_000;

/** In standard deviations; nine samples at least can have it, four seconds of polls. */
const CERTAIN_Z = 3.5;

/**
 * The rising trend of the samples.
 * @param samples a few dozen at most, each later than the one before
 * @returns null where they do not rise for certain: too few, flat, falling, or noise
 */
export function risingTrend(samples: readonly PressureSample[], nowMs: number): Trend | null {
  const n = samples.length;
  const slopes: number[] = [];
  let rising = 0;
  for (const [index, later] of samples.entries()) {
    for (const earlier of samples.slice(0, index)) {
      slopes.push((later.pressure - earlier.pressure) / (later.atMs - earlier.atMs));
      rising += Math.sign(later.pressure - earlier.pressure);
    }
  }
  const perMs = median(slopes);
  const z = rising / Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
  if (perMs === null || perMs <= 0 || !(z >= CERTAIN_Z)) return null;
  // Against now, where the numbers are small: clocks count from 1970.
  const pressureNow = median(
    samples.map(({ atMs, pressure }) => pressure + perMs * (nowMs - atMs)),
  );
  return pressureNow === null ? null : { pressureNow, perMs };
}

/**
 * The crossing into the next level within the horizon.
 * @param level as it is now: hysteresis may hold it above what the pressure says
 * @returns null where none is foreseen, or where there is no higher level
 */
export function crossingAhead(
  trend: Trend,
  level: Level,
  thresholds: LevelThresholds,
): Crossing | null {
  const { pressureNow, perMs } = trend;
  const next = LEVELS[levelRank(level) + 1];
  if (next === undefined || next === 'low') return null;
  const threshold = thresholds[next];
  const lacking = pressureNow + perMs * FORECAST_HORIZON_MS - threshold;
  if (lacking <= 0) return null;
  return { threshold, inMs: Math.max(0, (threshold - pressureNow) / perMs), lacking };
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle];
  if (upper === undefined) return null;
  const lower = sorted.length % 2 === 1 ? upper : sorted[middle - 1];
  return (upper + (lower ?? upper)) / 2;
}
