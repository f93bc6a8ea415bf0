/**
 * Steps of one batch that nothing changes, in a row: each reads one more KV
 * token a sequence than the one before, so their times are an arithmetic series:
 * the first k take k x firstMs + growthMs x k (k - 1) / 2.
 */
export class StepRun {
  readonly startMs: number;
  readonly #firstMs: number;
  readonly #growthMs: number;
  #steps: number;
  #endMs: number;
  /** Steps that have ended. */
  doneSteps = 0;

  constructor(startMs: number, firstMs: number, growthMs: number, steps: number) {
    this.startMs = startMs;
    this.#firstMs = firstMs;
    this.#growthMs = growthMs;
    this.#steps = steps;
    this.#endMs = this.endOf(steps);
  }

  get steps(): number {
    return this.#steps;
  }

  get endMs(): number {
    return this.#endMs;
  }

  endOf(steps: number): number {
    return this.startMs + steps * this.#firstMs + (this.#growthMs * steps * (steps - 1)) / 2;
  }

  /** Ends the run with that step. */
  cutAfter(steps: number): void {
    if (steps >= this.#steps) return;
    this.#steps = steps;
    this.#endMs = this.endOf(steps);
  }

  /** Whole steps that have ended by `atMs`. */
  stepsBy(atMs: number): number {
    if (atMs >= this.#endMs) return this.#steps;
    const spanMs = atMs - this.startMs;
    // k^2 g/2 + k (f - g/2) = span, solved in the form that stands g = 0.
    const linear = this.#firstMs - this.#growthMs / 2;
    const root = Math.sqrt(linear * linear + 2 * this.#growthMs * spanMs);
    const guess = linear + root > 0 ? Math.floor((2 * spanMs) / (linear + root)) : 0;
    let steps = Math.min(Math.max(0, guess), this.#steps - 1);
    // The root is rounded: the ends of steps decide.
    while (steps > 0 && this.endOf(steps) > atMs) steps--;
    while (steps < this.#steps - 1 && this.endOf(steps + 1) <= atMs) steps++;
    return steps;
  }
}
