/** Requests in flight, by their id: to cancel one, and to know when none is left. */

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

  get size(): number {
    return this.#live.size;
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

  /** Resolves when nothing is in flight. */
  empty(): Promise<void> {
    if (this.#live.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#whenEmpty.push(resolve));
  }

  cancelAll(by: CancelledBy): void {
    for (const exchange of [...this.#live.values()]) exchange.cancel(by);
  }
}
