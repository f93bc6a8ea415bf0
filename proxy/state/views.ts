/** The world as a decision sees it: snapshots of pools, ledger, levels and queue at one moment. */
import type { Freeing, InstanceView, PoolView, Waiting } from '../policy/types.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import { LeaseEnds } from './lease-ends.ts';
import type { Ledger } from './ledger.ts';
import type { LengthForecasts } from './lengths/length-forecasts.ts';
import type { Levels } from './levels.ts';
import { isServing, type Pools, routeIn, type ServingInstance } from './pools.ts';
import type { Speeds } from './speeds.ts';

export interface Others {
  /** Units and sequences on the engine that our leases do not explain. */
  readonly units: number;
  readonly sequences: number;
}

export interface ViewsParts {
  readonly pools: Pools;
  readonly ledger: Ledger;
  readonly capacities: Capacities;
  readonly levels: Levels;
  readonly speeds: Speeds;
  readonly lengths: LengthForecasts;
  readonly clock: Clock;
}

export class Views {
  readonly #pools: Pools;
  readonly #ledger: Ledger;
  readonly #capacities: Capacities;
  readonly #levels: Levels;
  readonly #ends: LeaseEnds;
  readonly #clock: Clock;

  constructor({ pools, ledger, capacities, levels, speeds, lengths, clock }: ViewsParts) {
    this.#pools = pools;
    this.#ledger = ledger;
    this.#capacities = capacities;
    this.#levels = levels;
    this.#ends = new LeaseEnds(speeds, lengths);
    this.#clock = clock;
  }

  /**
   * Pools with their healthy instances that serve a path, the default pool first.
   * @param waiting the queue's entries for a pool, first come first
   */
  pools(path: string, waiting: (pool: string) => readonly Waiting[]): readonly PoolView[] {
    return this.#pools.pools.map((pool) => ({
      name: pool.name,
      large: pool.large,
      waiting: waiting(pool.name),
      instances: pool.instances
        .filter(isServing)
        .filter(({ health, adapter }) => health.state === 'healthy' && routeIn(adapter, path))
        .map((instance) => this.instance(instance)),
    }));
  }

  instance(instance: ServingInstance): InstanceView {
    const { name } = instance;
    const totals = this.#ledger.totals(name);
    const others = this.others(instance);
    return {
      name,
      layout: instance.facts.layout,
      capacity: this.#capacities.of(instance),
      committedUnits: totals.committedUnits + others.units,
      sequences: totals.sequences + others.sequences,
      maxSequences: instance.latest?.reading.maxSequences ?? null,
      concurrencyCap: this.#levels.concurrencyCap(name),
      level: this.#levels.level(name),
      freeing: [...this.#ledger.leases(name)].map((lease) => this.#freeing(lease)),
    };
  }

  /** What others hold on the engine: its own figures, less what our leases held when they were read. */
  others(instance: ServingInstance): Others {
    const { latest } = instance;
    if (latest === null) return { units: 0, sequences: 0 };
    const { usedUnits, runningSequences } = latest.reading;
    return {
      units: Math.max(0, (usedUnits ?? 0) - latest.ownHeldUnits),
      sequences: Math.max(0, (runningSequences ?? 0) - latest.ownSequences),
    };
  }

  /** Takes the newest pressure of an instance into its level, and returns the level before and after. */
  refreshLevel(instance: ServingInstance) {
    const signal = {
      memoryModel: instance.facts.layout.model === 'dynamic' ? 'dynamic' : 'pool',
      pressure: this.#capacities.pressureOf(instance, this.others(instance).units),
      preemptions: instance.latest?.reading.preemptions ?? null,
      sequences: this.#ledger.totals(instance.name).sequences,
    } as const;
    return this.#levels.observe(instance.name, signal, this.#clock.nowMs());
  }

  #freeing(lease: Lease): Freeing {
    const { charge } = lease.terms;
    const endMs = this.#ends.predictedMs(lease, this.#clock.nowMs());
    return {
      // Overdue: its prediction was wrong, and there is no better one.
      atMs: endMs === null || endMs <= this.#clock.nowMs() ? null : endMs,
      units: lease.committedUnits,
      sequences: charge.sequences,
    };
  }
}
