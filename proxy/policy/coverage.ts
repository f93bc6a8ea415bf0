/**
 * Keeps a forecast's coverage at what it promises. Adaptive conformal inference
 * (Gibbs and Candes, 2021): after each outcome the share that is asked of the
 * samples moves by `STEP` x (missed - `TARGET_MISSES`), so that over n outcomes
 * the misses come to the target within about 1 / (n x STEP), whatever the
 * outputs do meanwhile.
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
/** Large enough to follow a drift within some hundred outcomes, small enough that chance does not move it. */
const STEP = 0.01;
/** Below it nothing is a forecast of the long ones any more. */
export const LEAST_SHARE = 0.5;
/** Coverage is told of the last one to two of these. */
export const WINDOW_OUTCOMES = 500;

const NONE: Outcomes = { count: 0, missed: 0 };

export const UNTRACKED: Coverage = { share: TARGET_COVERAGE, running: NONE, before: NONE };

/** @param missed 0 for an output that was covered, 1 for a longer one, between where that is not known */
export function withOutcome({ share, running, before }: Coverage, missed: number): Coverage {
  const grown = { count: running.count + 1, missed: running.missed + missed };
  const isFull = grown.count >= WINDOW_OUTCOMES;
  return {
    share: Math.min(1, Math.max(LEAST_SHARE, share + STEP * (missed - TARGET_MISSES))),
    running: isFull ? NONE : grown,
    before: isFull ? grown : before,
  };
}

/** Share of the latest outputs that their forecast covered; null before the first. */
export function coveredShare({ running, before }: Coverage): number | null {
  const count = running.count + before.count;
  return count === 0 ? null : 1 - (running.missed + before.missed) / count;
}
