/** The world as a decision sees it: snapshots of pools, ledger, levels and queue at one moment. */
import { capacityUnits } from '../policy/reserve.ts';
import type { Freeing, InstanceView, PoolView, Waiting } from '../policy/types.ts';
import type { Brake } from './brake.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { Lease } from './lease.ts';
import { LeaseEnds } from './lease-ends.ts';
import type { Ledger } from './ledger.ts';
import type { LengthForecasts } from './lengths/length-forecasts.ts';
import type { Levels } from './levels.ts';
import type { Outlooks } from './outlooks.ts';
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
  readonly outlooks: Outlooks;
  readonly brake: Pick<Brake, 'isOn'>;
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
  readonly #outlooks: Outlooks;
  readonly #brake: ViewsParts['brake'];
  readonly #clock: Clock;

  constructor(parts: ViewsParts) {
    const { pools, ledger, capacities, levels, outlooks, brake, speeds, lengths, clock } = parts;
    this.#pools = pools;
    this.#ledger = ledger;
    this.#capacities = capacities;
    this.#levels = levels;
    this.#ends = new LeaseEnds(speeds, lengths);
    this.#outlooks = outlooks;
    this.#brake = brake;
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
    const capacity = this.#capacities.of(instance);
    const outlook = this.#outlooks.of(instance, capacityUnits(capacity), others.units);
    // Most decisions ask for neither, and both cost more than all the rest.
    let leasedUnits: number | null = null;
    let freeing: readonly Freeing[] | null = null;
    const leased = () => {
      leasedUnits ??= outlook === null ? totals.committedUnits : this.#outlooks.leasedUnits(name);
      return leasedUnits;
    };
    const sequences = totals.sequences + others.sequences;
    const freeingNow = () => this.#freeingOf(name, outlook === null ? null : leased());
    return {
      name,
      layout: instance.facts.layout,
      capacity,
      get committedUnits() {
        return leased() + others.units;
      },
      outlook,
      sequences,
      prefillTokens:
        instance.facts.layout.model === 'dynamic' ? this.#outlooks.prefillTokens(name) : 0,
      maxSequences: instance.latest?.reading.maxSequences ?? null,
      // While the brake is on nobody is added to those who run.
      concurrencyCap: this.#brake.isOn(name) ? sequences : this.#levels.concurrencyCap(name),
      level: this.#levels.level(name),
      get freeing() {
        freeing ??= freeingNow();
        return freeing;
      },
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
    const others = this.others(instance);
    const signal = {
      memoryModel: instance.facts.layout.model === 'dynamic' ? 'dynamic' : 'pool',
      pressure: this.#capacities.pressureOf(
        instance,
        others.units,
        this.#pressingUnits(instance, others),
      ),
      preemptions: instance.latest?.reading.preemptions ?? null,
      sequences: this.#ledger.totals(instance.name).sequences,
    } as const;
    return this.#levels.observe(instance.name, signal, this.#clock.nowMs());
  }

  /**
   * Units of live leases that are pressure: on `dynamic` what they hold but for
   * prefills, which admission makes room for and which are over before a level
   * would fall again; on a pool the most that they are expected to hold at a time.
   */
  #pressingUnits(instance: ServingInstance, others: Others): number {
    if (instance.facts.layout.model === 'dynamic') {
      let units = 0;
      for (const lease of this.#ledger.leases(instance.name)) units += lease.steadyUnits;
      return units;
    }
    const { committedUnits, heldUnits } = this.#ledger.totals(instance.name);
    const capacity = capacityUnits(this.#capacities.of(instance));
    const outlook = this.#outlooks.of(instance, capacity, others.units);
    return outlook === null
      ? committedUnits
      : Math.max(heldUnits, outlook.future.expectedPeakUnits);
  }

  /** @param sharedUnits what the leases are foreseen to need together; null: each what it was promised */
  #freeingOf(name: string, sharedUnits: number | null): readonly Freeing[] {
    const { heldUnits } = this.#ledger.totals(name);
    const perHeldUnit = sharedUnits === null || heldUnits === 0 ? null : sharedUnits / heldUnits;
    return [...this.#ledger.leases(name)].flatMap((lease) => {
      if (perHeldUnit === null) return this.#partsOf(lease, lease.committedUnits, 0);
      const steadyUnits = Math.min(lease.heldUnits, lease.steadyUnits);
      const prefillUnits = lease.heldUnits - steadyUnits;
      return this.#partsOf(lease, perHeldUnit * steadyUnits, perHeldUnit * prefillUnits);
    });
  }

  /** @param prefillUnits what it gives back with its first tokens */
  #partsOf(lease: Lease, units: number, prefillUnits: number): readonly Freeing[] {
    const nowMs = this.#clock.nowMs();
    const { sequences } = lease.terms.charge;
    const ends = this.#ends.predictedMs(lease, nowMs);
    if (ends === null) return [{ atMs: null, units: units + prefillUnits, sequences }];
    const atMs = this.#ends.decodingMs(lease, nowMs);
    const given = prefillUnits > 0 ? [{ atMs, units: prefillUnits, sequences: 0 }] : [];
    return [...given, ...this.#inParts(ends, units, sequences, nowMs)];
  }

  #inParts(
    ends: readonly number[],
    units: number,
    sequences: number,
    nowMs: number,
  ): readonly Freeing[] {
    return ends.map((atMs) => ({
      // Overdue: its prediction was wrong, and there is no better one.
      atMs: atMs <= nowMs ? null : atMs,
      units: units / ends.length,
      sequences: sequences / ends.length,
    }));
  }
}
