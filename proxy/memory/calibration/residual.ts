/**
 * Layer two of calibration: what is left between measured and modelled units
 * once the layout is identified. A small error is corrected; a large one is a
 * sign that the layout is wrong, and is never stretched over.
 */
export const SLOPE_BOUNDS = { lo: 0.95, hi: 1.1 } as const;
/** Narrower than the bounds: an alarm that has been raised does not flicker. */
const CALM_BOUNDS = { lo: 0.97, hi: 1.07 } as const;
/** Fewer samples say nothing of an engine. */
const RATIOS_NEEDED = 8;

export interface Residual {
  /** To divide a capacity by: within `SLOPE_BOUNDS`, and 1 while too little was seen. */
  readonly slope: number;
  /** As measured; null while too little was seen. */
  readonly rawSlope: number | null;
}

/**
 * The median of measured over modelled units: robust against samples that are
 * far off, as long as they are fewer than half.
 * @param ratios one of each sample, 1 where the modelled range explains it
 */
export function residualOf(ratios: readonly number[]): Residual {
  const rawSlope = ratios.length < RATIOS_NEEDED ? null : median(ratios);
  if (rawSlope === null) return { slope: 1, rawSlope };
  const slope = Math.min(SLOPE_BOUNDS.hi, Math.max(SLOPE_BOUNDS.lo, rawSlope));
  return { slope, rawSlope };
}

/** Whether an error is small enough to be corrected. */
export function isCorrectable(ratio: number): boolean {
  return ratio >= SLOPE_BOUNDS.lo && ratio <= SLOPE_BOUNDS.hi;
}

/** Whether a residual calls for somebody to look, given whether it did before. */
export function isOutOfBounds({ rawSlope }: Residual, wasBefore: boolean): boolean {
  if (rawSlope === null) return wasBefore;
  return wasBefore
    ? rawSlope < CALM_BOUNDS.lo || rawSlope > CALM_BOUNDS.hi
    : !isCorrectable(rawSlope);
}

/** null of none. */
export function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? null;
  if (upper === null || sorted.length % 2 === 1) return upper;
  return ((sorted[middle - 1] ?? upper) + upper) / 2;
}
