/** A timer that fires unless it is fed. */
export class Watchdog {
  readonly #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, expired: () => void) {
    this.#timer = setTimeout(expired, timeoutMs);
    this.#timer.unref();
  }

  feed(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
