/**
 * Waiting requests: first come, first served, bounded by the caller's
 * decision, each with a deadline. An entry holds no memory.
 */
import type { Waiting } from '../policy/types.ts';
import type { Clock } from './clock.ts';

export type QueueExit = 'admitted' | 'deadline' | 'abandoned' | 'closed';

export interface QueueEntry<T> {
  readonly item: T;
  readonly pool: string;
  readonly waiting: Waiting;
  readonly enqueuedAtMs: number;
}

interface LiveEntry<T> extends QueueEntry<T> {
  readonly leave: (exit: QueueExit) => void;
}

export class Queue<T> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** In order of arrival. */
  readonly #entries = new Set<LiveEntry<T>>();

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  get length(): number {
    return this.#entries.size;
  }

  /**
   * Puts a request at the end of the queue.
   * @param signal aborts when the client leaves: the entry goes at once
   * @returns how the wait ended; `admitted` only after `admit` said so
   */
  wait(item: T, pool: string, waiting: Waiting, signal: AbortSignal): Promise<QueueExit> {
    if (signal.aborted) return Promise.resolve('abandoned');
    return new Promise((resolve) => {
      const leave = (exit: QueueExit) => {
        if (!this.#entries.delete(entry)) return;
        cancelDeadline();
        signal.removeEventListener('abort', abandon);
        resolve(exit);
      };
      const abandon = () => leave('abandoned');
      const entry = { item, pool, waiting, enqueuedAtMs: this.#clock.nowMs(), leave };
      const cancelDeadline = this.#clock.after(this.#timeoutMs, () => leave('deadline'));
      signal.addEventListener('abort', abandon, { once: true });
      this.#entries.add(entry);
    });
  }

  /** Those waiting for a pool, in order, as far as a forecast needs them. */
  waitingFor(pool: string): readonly Waiting[] {
    return [...this.#entries].filter((entry) => entry.pool === pool).map((entry) => entry.waiting);
  }

  /**
   * Offers each entry, in order, to `admit`. Once one of a pool stays, those
   * behind it for the same pool stay too: nobody overtakes.
   * @param admit takes what the entry needs, synchronously, or says false
   */
  pump(admit: (entry: QueueEntry<T>) => boolean): void {
    const blocked = new Set<string>();
    for (const entry of [...this.#entries]) {
      if (blocked.has(entry.pool) || !this.#entries.has(entry)) continue;
      if (admit(entry)) entry.leave('admitted');
      else blocked.add(entry.pool);
    }
  }

  /** Sends everyone away: the process is shutting down. */
  close(): void {
    for (const entry of [...this.#entries]) entry.leave('closed');
  }
}
