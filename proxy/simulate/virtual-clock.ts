/** Time of a simulation: it stands still until it is moved, and timers wait in a heap. */
import type { Clock } from '../state/clock.ts';

interface Timer {
  readonly dueMs: number;
  /** Breaks ties: of timers due at the same time the older one runs first. */
  readonly order: number;
  /** null once it was cancelled. */
  fn: (() => void) | null;
}

/** Cancelled timers stay in the heap until they are due, or until there are this many more of them than others. */
const CANCELLED_KEPT = 64;

export class SimulationClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #cancelled = 0;
  #heap: Timer[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, fn: () => void): () => void {
    const timer: Timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order, fn };
    this.#order += 1;
    this.#heap.push(timer);
    this.#rise(this.#heap.length - 1);
    return () => {
      if (timer.fn === null) return;
      timer.fn = null;
      this.#cancelled += 1;
      if (this.#cancelled > this.#heap.length / 2 + CANCELLED_KEPT) this.#forgetCancelled();
    };
  }

  /** When the next timer is due; Infinity while there is none. */
  get nextDueMs(): number {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.fn !== null) return next.dueMs;
      this.#pop();
      this.#cancelled -= 1;
    }
    return Number.POSITIVE_INFINITY;
  }

  /** Moves time on; never back. What falls due is run by `runDue`. */
  moveTo(atMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, atMs);
  }

  /**
   * Runs what is due by now, in order of due time, those included that are set meanwhile.
   * @returns whether anything was
   */
  runDue(): boolean {
    let ran = false;
    while (this.nextDueMs <= this.#nowMs) {
      const timer = this.#pop();
      const fn = timer?.fn ?? null;
      if (timer !== undefined) timer.fn = null;
      fn?.();
      ran = true;
    }
    return ran;
  }

  #pop(): Timer | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink(0);
    }
    return first;
  }

  #forgetCancelled(): void {
    this.#heap = this.#heap.filter(({ fn }) => fn !== null);
    this.#cancelled = 0;
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at);
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0 && this.#isBefore(at, (at - 1) >> 1)) {
      this.#swap(at, (at - 1) >> 1);
      at = (at - 1) >> 1;
    }
  }

  #sink(from: number): void {
    let at = from;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#heap.length && this.#isBefore(child, least)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return false;
    return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order);
  }

  #swap(a: number, b: number): void {
    const [left, right] = [this.#heap[a], this.#heap[b]];
    if (left === undefined || right === undefined) return;
    this.#heap[a] = right;
    this.#heap[b] = left;
  }
}
