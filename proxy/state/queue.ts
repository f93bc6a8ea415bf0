/**
 * Waiting requests: first come, first served, bounded by the caller's
 * decision, each with a deadline. An entry holds no memory.
 */
import type { Waiting } from '../policy/types.ts';
import type { Clock } from './clock.ts';

/** How a wait ended; `served` with what `serve` gave the entry. */
export type QueueExit<R> =
  | { readonly how: 'served'; readonly result: R }
  | { readonly how: 'deadline' | 'abandoned' | 'closed' };

export interface QueueEntry<T> {
  readonly item: T;
  readonly pool: string;
  readonly waiting: Waiting;
  readonly enqueuedAtMs: number;
}

interface LiveEntry<T, R> extends QueueEntry<T> {
  readonly leave: (exit: QueueExit<R>) => void;
}

/** Entries of `T`, each served with an `R`. */
export class Queue<T, R> {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** In order of arrival. */
  readonly #entries = new Set<LiveEntry<T, R>>();

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
   */
  wait(item: T, pool: string, waiting: Waiting, signal: AbortSignal): Promise<QueueExit<R>> {
    if (signal.aborted) return Promise.resolve({ how: 'abandoned' });
    return new Promise((resolve) => {
      const leave = (exit: QueueExit<R>) => {
        if (!this.#entries.delete(entry)) return;
        cancelDeadline();
        signal.removeEventListener('abort', abandon);
        resolve(exit);
      };
      const abandon = () => leave({ how: 'abandoned' });
      const entry = { item, pool, waiting, enqueuedAtMs: this.#clock.nowMs(), leave };
      const cancelDeadline = this.#clock.after(this.#timeoutMs, () => leave({ how: 'deadline' }));
      signal.addEventListener('abort', abandon, { once: true });
      this.#entries.add(entry);
    });
  }

  /** Those waiting for a pool, in order, as far as a forecast needs them. */
  waitingFor(pool: string): readonly Waiting[] {
    return [...this.#entries].filter((entry) => entry.pool === pool).map((entry) => entry.waiting);
  }

  /**
   * Offers each entry, in order, to `serve`. Once one of a pool stays, those
   * behind it for the same pool stay too: nobody overtakes.
   * @param serve takes what the entry needs, synchronously; null lets it wait on
   */
  pump(serve: (entry: QueueEntry<T>) => R | null): void {
    const blocked = new Set<string>();
    for (const entry of [...this.#entries]) {
      if (blocked.has(entry.pool) || !this.#entries.has(entry)) continue;
      const result = serve(entry);
      if (result === null) blocked.add(entry.pool);
      else entry.leave({ how: 'served', result });
    }
  }

  /** Sends everyone away: the process is shutting down. */
  close(): void {
    for (const entry of [...this.#entries]) entry.leave({ how: 'closed' });
  }
}
