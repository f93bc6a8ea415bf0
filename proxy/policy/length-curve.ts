/**
 * How long outputs are, from those seen, cut ones included. An output that ran
 * into a limit is a lower bound: the share of outputs longer than t is the
 * product-limit estimate of Kaplan and Meier (1958), S(t) = product over the
 * lengths x <= t of (1 - ended at x / still running at x), to which a cut
 * output counts as running until its cut and as nothing after it. Without cuts
 * this is the plain share of the sample.
 */

/**
 * One output, in tokens: positive where it ended by itself, negative where it
 * was cut at that length. Never 0.
 */
export type LengthSample = number;

export interface LengthCurve {
  /** Samples that it was made from. */
  readonly samples: number;
  /** Lengths at which outputs ended by themselves, ascending; equal ones once. */
  readonly endsAt: readonly number[];
  /** For each of them: the share of all outputs that is longer. */
  readonly longer: readonly number[];
  /** The longest sample, however it ended. */
  readonly longestTokens: number;
  /** Of outputs as far as the sample goes: the area under the curve up to the longest. */
  readonly meanTokens: number;
}

/** Lengths beyond it are no output of any engine; sums of two of them are still exact. */
export const MAX_LENGTH_TOKENS = 2 ** 30;

/** Orders samples as the curve needs them: by length, and of equal ones the cut ones last. */
export function bySampleLength(a: LengthSample, b: LengthSample): number {
  return Math.abs(a) - Math.abs(b) || b - a;
}

/** @param sorted by `bySampleLength` */
export function lengthCurve(sorted: ArrayLike<LengthSample>): LengthCurve {
  const samples = sorted.length;
  const endsAt: number[] = [];
  const longer: number[] = [];
  let share = 1;
  let [meanTokens, before] = [0, 0];
  for (let index = 0; index < samples; ) {
    const length = sorted[index] ?? 0;
    let ended = 0;
    while (index + ended < samples && sorted[index + ended] === length) ended += 1;
    if (length > 0) {
      meanTokens += share * (length - before);
      before = length;
      share *= 1 - ended / (samples - index);
      endsAt.push(length);
      longer.push(share);
    }
    index += ended;
  }
  const longestTokens = Math.abs(sorted[samples - 1] ?? 0);
  meanTokens += share * (longestTokens - before);
  return { samples, endsAt, longer, longestTokens, meanTokens };
}

/** The share of outputs that is longer than `tokens`. */
export function shareLonger({ endsAt, longer }: LengthCurve, tokens: number): number {
  const after = firstAbove(endsAt, tokens);
  return after === 0 ? 1 : (longer[after - 1] ?? 0);
}

/**
 * The length that a share of the outputs longer than `generatedTokens` does not
 * exceed. Where the sample can't tell (its longest were cut, or it has too few
 * for a share so close to 1) it is twice the longest seen: so a limit that was
 * set from this curve can grow again, and no unseen length is taken for known.
 * @param share 0 to 1; above what the sample holds: see above
 */
export function lengthAt(curve: LengthCurve, share: number, generatedTokens = 0): number {
  const { endsAt, longer, longestTokens } = curve;
  const mayBeLonger = (1 - share) * shareLonger(curve, generatedTokens);
  const least = firstAbove(endsAt, generatedTokens);
  if (mayBeLonger > 0 || share === 1) {
    let [low, high] = [least, longer.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      // Rounding must not skip the length at which the share is met exactly.
      if ((longer[middle] ?? 0) <= mayBeLonger + 1e-12) high = middle;
      else low = middle + 1;
    }
    const found = endsAt[low];
    if (found !== undefined) return found;
  }
  return Math.min(MAX_LENGTH_TOKENS, 2 * Math.max(longestTokens, generatedTokens, 1));
}

/**
 * The share to ask the curve for so that the next output, one more draw of the
 * same kind, is covered with the wanted one: (n + 1) / n of it, the correction
 * of split conformal prediction.
 */
export function shareForNext({ samples }: LengthCurve, wanted: number): number {
  return samples === 0 ? 1 : (wanted * (samples + 1)) / samples;
}

function firstAbove(ascending: readonly number[], value: number): number {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ascending[middle] ?? 0) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}
