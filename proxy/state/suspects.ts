/**
 * Engines that ran out of memory or died. A server that lists its models again
 * may still be unable to generate, so each has to produce one token before it
 * is trusted; between attempts it is left alone, longer each time.
 */
import type { Clock } from './clock.ts';

/** A first token may have to wait for a model to be loaded. */
const PROOF_TIMEOUT_MS = 60_000;
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;

interface Suspect {
  readonly why: string;
  readonly failures: number;
}

export class Suspects {
  readonly #clock: Clock;
  readonly #suspects = new Map<string, Suspect>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  has(name: string): boolean {
    return this.#suspects.has(name);
  }

  add(name: string, why: string): void {
    this.#suspects.set(name, { why, failures: this.#suspects.get(name)?.failures ?? 0 });
  }

  /** How long to leave it alone before the next attempt; 0 for one that is not suspected. */
  pauseMs(name: string): number {
    const failures = this.#suspects.get(name)?.failures ?? 0;
    return failures === 0 ? 0 : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));
  }

  /**
   * Makes one attempt, and clears the name when it succeeds.
   * @param attempt null when a token came, else why none did
   * @returns null when it succeeded, else both reasons in one line
   */
  async prove(
    name: string,
    stopping: AbortSignal,
    attempt: (signal: AbortSignal) => Promise<string | null>,
  ): Promise<string | null> {
    const timeout = new AbortController();
    const cancel = this.#clock.after(PROOF_TIMEOUT_MS, () =>
      timeout.abort(new Error(`no token within ${PROOF_TIMEOUT_MS} ms`)),
    );
    try {
      const failed = await attempt(AbortSignal.any([stopping, timeout.signal]));
      const suspect = this.#suspects.get(name);
      if (failed === null || suspect === undefined) {
        this.#suspects.delete(name);
        return null;
      }
      const failures = suspect.failures + 1;
      this.#suspects.set(name, { ...suspect, failures });
      return `${suspect.why}; ${failed}`;
    } finally {
      cancel();
    }
  }
}
