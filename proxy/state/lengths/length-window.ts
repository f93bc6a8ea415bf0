/** The latest output lengths of one group of requests, and the curve of them. */
import {
  bySampleLength,
  type LengthCurve,
  type LengthSample,
  lengthCurve,
} from '../../policy/length-curve.ts';

/**
 * Enough that its 95th percentile is within 1.4 points (two standard
 * deviations), and few enough that a change of use is followed within a
 * thousand answers.
 */
export const WINDOW_SAMPLES = 1_024;

/**
 * A window of plain samples and not a sketch of them: its quantiles are exact,
 * cut outputs stay what they are, and what is old leaves by itself.
 */
export class LengthWindow {
  /** A ring once it is full; `#next` is the oldest then. */
  readonly #samples: LengthSample[] = [];
  #next = 0;
  readonly #sorted: LengthSample[] = [];
  #curve: LengthCurve | null = null;

  get size(): number {
    return this.#samples.length;
  }

  /** Made anew only after a new sample. */
  get curve(): LengthCurve {
    this.#curve ??= lengthCurve(this.#sorted);
    return this.#curve;
  }

  add(sample: LengthSample): void {
    const oldest = this.#samples[this.#next];
    if (oldest !== undefined) this.#sorted.splice(this.#placeOf(oldest), 1);
    this.#samples[this.#next] = sample;
    this.#next = (this.#next + 1) % WINDOW_SAMPLES;
    this.#sorted.splice(this.#placeOf(sample), 0, sample);
    this.#curve = null;
  }

  /** The samples, the oldest first. */
  inOrder(): readonly LengthSample[] {
    const isFull = this.#samples.length === WINDOW_SAMPLES;
    const split = isFull ? this.#next : 0;
    return [...this.#samples.slice(split), ...this.#samples.slice(0, split)];
  }

  /** Where a sample is, or belongs. */
  #placeOf(sample: LengthSample): number {
    let [low, high] = [0, this.#sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bySampleLength(this.#sorted[middle] ?? 0, sample) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
