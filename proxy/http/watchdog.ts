/** A timer that fires unless it is fed, or paused. */
export class Watchdog {
  readonly #timeoutMs: number;
  readonly #expired: () => void;
  #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, expired: () => void) {
    this.#timeoutMs = timeoutMs;
    this.#expired = expired;
    this.#timer = this.#arm();
  }

  /** Starts the time anew, also after a pause. */
  feed(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#arm();
  }

  /** Stops the time until it is fed again. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(this.#expired, this.#timeoutMs).unref();
  }
}
