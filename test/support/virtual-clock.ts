import type { Clock } from '../../proxy/state/clock.ts';

interface Timer {
  readonly dueMs: number;
  readonly fn: () => void;
}

/** A clock that stands still until a test moves it. */
export class VirtualClock implements Clock {
  #nowMs: number;
  /** In order of creation, which breaks ties between timers due at the same time. */
  readonly #timers = new Set<Timer>();

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), fn };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Timers that have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the next timer is due; null when none is pending. */
  get nextTimerInMs(): number | null {
    const next = this.#nextDue(Number.POSITIVE_INFINITY);
    return next === null ? null : next.dueMs - this.#nowMs;
  }

  /**
   * Moves time on by `ms` and runs what falls due, in order of due time, each
   * with `nowMs()` at its own due time; timers set meanwhile are included.
   * Promises that these timers settle need a `settle()` afterwards.
   */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#nextDue(untilMs); next !== null; next = this.#nextDue(untilMs)) {
      this.#timers.delete(next);
      this.#nowMs = next.dueMs;
      next.fn();
    }
    this.#nowMs = untilMs;
  }

  #nextDue(untilMs: number): Timer | null {
    let next: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.dueMs <= untilMs && (next === null || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}

/** Lets every promise continuation that is already due run; no time passes on a virtual clock. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
