/** All samples of one figure, for exact quantiles: 8 bytes each. */
export class Quantiles {
  #samples = new Float64Array(1_024);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(sample: number): void {
    if (this.#size === this.#samples.length) {
      const larger = new Float64Array(2 * this.#size);
      larger.set(this.#samples);
      this.#samples = larger;
    }
    this.#samples[this.#size] = sample;
    this.#size += 1;
  }

  /** The sample that a share of all does not exceed; null where there is none. */
  at(share: number): number | null {
    if (this.#size === 0) return null;
    const sorted = this.#samples.subarray(0, this.#size).sort();
    const rank = Math.max(1, Math.ceil(share * this.#size));
    return sorted[rank - 1] ?? null;
  }
}
