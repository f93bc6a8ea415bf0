/** How many decoding sequences are still shorter than the window, and at which step each reaches it. */
export class WindowCrossings {
  readonly #windowTokens: number;
  readonly #atStep: Int32Array;
  /** Sequences with fewer tokens than the window. */
  shorter = 0;

  constructor(windowTokens: number) {
    this.#windowTokens = windowTokens;
    // A crossing is less than a window of steps away.
    this.#atStep = new Int32Array(windowTokens + 1);
  }

  /** One more (`by` 1) or one less (-1) that has `tokens` at `step`. */
  count(tokens: number, step: number, by: 1 | -1): void {
    if (tokens >= this.#windowTokens) return;
    const slot = (step + this.#windowTokens - tokens) % this.#atStep.length;
    this.#atStep[slot] = (this.#atStep[slot] ?? 0) + by;
    this.shorter += by;
  }

  /** Those that reach the window at `step`, which must be asked for step after step. */
  reached(step: number): number {
    if (this.shorter === 0) return 0;
    const slot = step % this.#atStep.length;
    const count = this.#atStep[slot] ?? 0;
    this.#atStep[slot] = 0;
    this.shorter -= count;
    return count;
  }
}
