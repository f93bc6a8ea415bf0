const FIRST_MS = 1_000;
const LONGEST_MS = 30_000;

/** How long to wait before the next try: 1 s, twice as long after each failure, at most 30 s. */
export class Backoff {
  #nextMs = FIRST_MS;

  /** Milliseconds to wait after one more failure. */
  next(): number {
    const delayMs = this.#nextMs;
    this.#nextMs = Math.min(LONGEST_MS, delayMs * 2);
    return delayMs;
  }

  /** A try has worked. */
  reset(): void {
    this.#nextMs = FIRST_MS;
  }
}
