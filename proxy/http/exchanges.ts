/** Requests in flight, by their id: to cancel one, and to know when none is left. */
import { Watchdog } from './watchdog.ts';

export interface Exchange {
  readonly id: string;
  readonly tenant: string;
  /** Ends the request on both sides. */
  readonly cancel: (by: CancelledBy) => void;
}

export type CancelledBy = 'operator' | 'drain';

export class Exchanges {
  readonly #live = new Map<string, Exchange>();
  #whenEmpty: (() => void)[] = [];
  #draining = false;

  get size(): number {
    return this.#live.size;
  }

  /** Ids of the oldest requests, at most `limit`. */
  ids(limit: number): readonly string[] {
    return [...this.#live.keys()].slice(0, limit);
  }

  /** Whether new requests are to be turned away. */
  get draining(): boolean {
    return this.#draining;
  }

  get(id: string): Exchange | undefined {
    return this.#live.get(id);
  }

  /** @returns the function to call when the request is over */
  add(exchange: Exchange): () => void {
    this.#live.set(exchange.id, exchange);
    return () => {
      this.#live.delete(exchange.id);
      if (this.#live.size > 0) return;
      for (const resolve of this.#whenEmpty) resolve();
      this.#whenEmpty = [];
    };
  }

  /** Resolves when nothing is in flight any more; cancels what still is after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#draining = true;
    if (this.#live.size === 0) return;
    const deadline = new Watchdog(timeoutMs, () => {
      for (const exchange of [...this.#live.values()]) exchange.cancel('drain');
    });
    await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
    deadline.pause();
  }
}
