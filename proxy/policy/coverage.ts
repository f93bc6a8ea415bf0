/**
 * Keeps a forecast's coverage at what it promises. Adaptive conformal inference
 * (Gibbs and Candes, 2021): after each outcome the share that is asked of the
 * samples moves by `STEP` x (missed - `TARGET_MISSES`), so that over n outcomes
 * the misses come to the target within about 1 / (n x STEP), whatever the
 * outputs do meanwhile.
 *
 * What moves it is whether the forecast as it is by now would have missed, not
 * the one that was given: many requests are forecast before the first of them
 * ends, and a share that is moved by what it was so long ago swings ever wider.
 */

export interface Coverage {
  /** What to ask of the samples so that the promise is kept. */
  readonly share: number;
  /** Outcomes of the running window and of the one before it. */
  readonly running: Outcomes;
  readonly before: Outcomes;
}

export interface Outcomes {
  readonly count: number;
  /** May be a fraction: see `missOf`. */
  readonly missed: number;
}

export const TARGET_COVERAGE = 0.95;
const TARGET_MISSES = 1 - TARGET_COVERAGE;
/** Large enough to follow a drift within some hundred outcomes; chance then moves it by `CHANCE`. */
const STEP = 0.01;
/**
 * How far chance alone takes the share from where it belongs, two standard
 * deviations: near there it is a walk of steps of variance STEP^2 x p (1 - p)
 * that falls back by STEP x its distance.
 */
const CHANCE = 2 * Math.sqrt((STEP * TARGET_MISSES * TARGET_COVERAGE) / 2);
/** Below it nothing is a forecast of the long ones any more. */
export const LEAST_SHARE = 0.5;
/** Coverage is told of the last one to two of these. */
export const WINDOW_OUTCOMES = 500;

const NONE: Outcomes = { count: 0, missed: 0 };

export const UNTRACKED: Coverage = { share: TARGET_COVERAGE, running: NONE, before: NONE };

/** 0 for an output that was covered, 1 for a longer one, between where that is not known. */
export interface Missed {
  /** By the forecast that was given. */
  readonly given: number;
  /** By the one that would be given now; null where that is not known. */
  readonly now: number | null;
}

export function withOutcome(
  { share, running, before }: Coverage,
  { given, now }: Missed,
): Coverage {
  const grown = { count: running.count + 1, missed: running.missed + given };
  const isFull = grown.count >= WINDOW_OUTCOMES;
  const moved = now === null ? share : share + STEP * (now - TARGET_MISSES);
  return {
    share: Math.min(1, Math.max(LEAST_SHARE, moved)),
    running: isFull ? NONE : grown,
    before: isFull ? grown : before,
  };
}

/** Share of the latest outputs that their forecast covered; null before the first. */
export function coveredShare({ running, before }: Coverage): number | null {
  const count = running.count + before.count;
  return count === 0 ? null : 1 - (running.missed + before.missed) / count;
}

/**
 * What of it is worth keeping where learning pauses: a correction that chance
 * explains would then stay, with nothing to take it back.
 */
export function keptOver(coverage: Coverage): Coverage {
  const isChance = Math.abs(coverage.share - TARGET_COVERAGE) <= CHANCE;
  return isChance ? { ...coverage, share: TARGET_COVERAGE } : coverage;
}
