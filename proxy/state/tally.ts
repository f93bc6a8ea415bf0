/** Decisions since the start, by action and reason: what `/memory_stats` and `/stats` count. */
import type { Metrics } from './metrics.ts';

export class Tally {
  readonly #decisions = new Map<string, number>();
  #rejected = 0;
  #routedLarge = 0;
  #degraded = 0;

  get rejected(): number {
    return this.#rejected;
  }
  get routedLarge(): number {
    return this.#routedLarge;
  }
  get degraded(): number {
    return this.#degraded;
  }
  /** Counts by `action:reason`. */
  get decisions(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#decisions);
  }

  /** The same metrics, counted here as well. */
  watching<M extends Metrics>(metrics: M): M {
    return {
      ...metrics,
      decided: (decision) => {
        const key = `${decision.action}:${decision.reason}`;
        this.#decisions.set(key, (this.#decisions.get(key) ?? 0) + 1);
        if (decision.action === 'reject') this.#rejected += 1;
        if (decision.action === 'route') this.#routedLarge += 1;
        metrics.decided(decision);
      },
      degraded: (level, tags) => {
        this.#degraded += 1;
        metrics.degraded(level, tags);
      },
    };
  }
}
