/**
 * What leases may fill of every instance, and how full it is, by the signal
 * that is right for its memory model. A reading that is missing or stale is
 * unknown: the capacity then says so instead of reading as empty.
 */
import type { BrakeLimits } from '../policy/brake.ts';
import { type GpuMargins, reservedBytes } from '../policy/budget.ts';
import { dynamicPressure, poolPressure } from '../policy/pressure.ts';
import type { Capacity } from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { Calibration } from './calibration.ts';
import type { Clock } from './clock.ts';
import type { EngineProcesses } from './engine-processes.ts';
import { GpuBudgets } from './gpu-budgets.ts';
import type { GpuMonitor } from './gpu-monitor.ts';
import type { Headrooms } from './headrooms.ts';
import type { Ledger } from './ledger.ts';
import type { Outlooks } from './outlooks.ts';
import type { Pools, ServingInstance } from './pools.ts';

/** Of a last known budget, the share that is trusted once readings have gone stale. */
const STALE_SHARE = 0.9;

export interface CapacitiesOptions extends GpuMargins {
  readonly pressureBasis: 'budget' | 'gpu';
  /** Age from which a reading of an engine is no longer believed. */
  readonly staleAfterMs: number;
  readonly onStale: 'ledger' | 'reject' | 'pass';
}

export interface CapacitiesParts {
  readonly gpu: GpuMonitor;
  readonly pools: Pools;
  readonly ledger: Ledger;
  readonly outlooks: Pick<Outlooks, 'leasedUnits'>;
  readonly processes: EngineProcesses;
  readonly calibration: Pick<Calibration, 'divisorOf'>;
  /** None: leases may always fill all of it. */
  readonly headrooms?: Pick<Headrooms, 'shareOf'>;
  readonly clock: Clock;
}

export class Capacities {
  readonly #gpu: GpuMonitor;
  readonly #ledger: Ledger;
  readonly #calibration: CapacitiesParts['calibration'];
  readonly #headrooms: CapacitiesParts['headrooms'];
  readonly #clock: Clock;
  readonly #options: CapacitiesOptions;
  readonly #budgets: GpuBudgets;

  constructor(parts: CapacitiesParts, options: CapacitiesOptions) {
    const { gpu, ledger, calibration, headrooms, clock } = parts;
    this.#gpu = gpu;
    this.#ledger = ledger;
    this.#calibration = calibration;
    this.#headrooms = headrooms;
    this.#clock = clock;
    this.#options = options;
    this.#budgets = new GpuBudgets(parts, options);
  }

  /** What leases may fill of an instance now, in its own units. */
  of(instance: ServingInstance): Capacity {
    const capacity =
      instance.facts.layout.model === 'dynamic'
        ? this.#dynamicCapacity(instance)
        : this.#poolCapacity(instance);
    return this.#withinHeadroom(instance.name, capacity);
  }

  /**
   * What leases may fill together. Whoever finds the instance empty gets all of
   * it: what fits alone must not wait, or be refused, for a share that will rise.
   */
  #withinHeadroom(name: string, capacity: Capacity): Capacity {
    const share = this.#headrooms?.shareOf(name) ?? 1;
    if (share === 1 || !('units' in capacity)) return capacity;
    if (this.#ledger.leases(name).size === 0) return capacity;
    return { ...capacity, units: Math.floor(capacity.units * share) };
  }

  /**
   * Where the memory of an instance ends. No headroom is left out: it is for
   * what is admitted. Of what a GPU keeps in reserve streams may use half before
   * they are ended; the rest is for another instance there, and for the allocator.
   * @returns null when it is not known now
   */
  endOf(instance: ServingInstance): BrakeLimits | null {
    if (instance.facts.layout.model !== 'dynamic') {
      const capacity = this.#poolCapacity(instance);
      // A pool whose reading is old is as large as ever.
      if (!('aloneUnits' in capacity)) return null;
      return { capacityUnits: capacity.aloneUnits, endUnits: capacity.aloneUnits };
    }
    const gpus = this.#gpu.currentGpus(instance.name);
    const budget = this.#budgets.tightest(instance);
    if (gpus === null || budget === null) return null;
    const keptBytes = gpus.map(({ totalBytes }) => reservedBytes(totalBytes, this.#options));
    const capacityUnits = budget.leasableBytes;
    const mayUseBytes = Math.floor(Math.min(...keptBytes) / 2) - budget.beyondBytes;
    return { capacityUnits, endUnits: capacityUnits + Math.max(0, mayUseBytes) };
  }

  /**
   * Pressure by the signal of the instance's memory model; null when it is unknown.
   * @param leasedUnits of live leases: on `dynamic` what they hold, prefills apart; on a pool
   *   the most that they are expected to hold at a time
   */
  pressureOf(
    instance: ServingInstance,
    unattributedUnits: number,
    leasedUnits: number,
  ): number | null {
    if (instance.facts.layout.model === 'dynamic') {
      if (this.#options.pressureBasis === 'gpu') return this.#gpuUse(instance);
      return highest(
        this.#budgets
          .of(instance)
          .map(({ foreignBytes, aloneBytes }) =>
            dynamicPressure(leasedUnits, foreignBytes, aloneBytes),
          ),
      );
    }
    const capacity = this.#poolCapacity(instance);
    if (!('aloneUnits' in capacity)) return null;
    // A budget that is lowered for want of readings is no sign of pressure: the pool is as large as ever.
    return poolPressure(leasedUnits + unattributedUnits, capacity.aloneUnits);
  }

  /** The fullest of the instance's GPUs. */
  #gpuUse(instance: ServingInstance): number | null {
    const gpus = this.#gpu.currentGpus(instance.name) ?? [];
    return highest(gpus.map(({ usedBytes, totalBytes }) => usedBytes / totalBytes));
  }

  #dynamicCapacity(instance: ServingInstance): Capacity {
    const isCurrent = this.#gpu.currentGpus(instance.name) !== null;
    const budget = this.#budgets.tightest(instance);
    const last =
      budget === null ? null : { units: budget.leasableBytes, aloneUnits: budget.aloneBytes };
    if (isCurrent && last !== null) return { state: 'known', ...last };
    return this.#withoutReading(last, 'no current reading of the GPU');
  }

  #poolCapacity({ name, latest }: ServingInstance): Capacity {
    const poolUnits = latest?.reading.capacityUnits ?? null;
    if (latest === null || poolUnits === null) {
      return { state: 'unlimited', why: 'the engine does not tell the size of its pool' };
    }
    // Requests hold more than they are charged: the same pool has room for fewer.
    const units = Math.floor(poolUnits / this.#calibration.divisorOf(name));
    const told = { units, aloneUnits: units };
    const ageMs = this.#clock.nowMs() - latest.finishedAtMs;
    if (ageMs <= this.#options.staleAfterMs) return { state: 'known', ...told };
    return this.#withoutReading(told, 'no current reading of the engine');
  }

  #withoutReading(
    last: { readonly units: number; readonly aloneUnits: number } | null,
    why: string,
  ): Capacity {
    const { onStale } = this.#options;
    switch (onStale) {
      case 'pass':
        return { state: 'unlimited', why };
      case 'reject':
        return { state: 'blind', why };
      case 'ledger':
        if (last === null) return { state: 'blind', why: `${why}, and never was one` };
        return { state: 'conservative', ...last, units: Math.floor(last.units * STALE_SHARE), why };
      default:
        return assertNever(onStale);
    }
  }
}

function highest(values: readonly number[]): number | null {
  return values.length === 0 ? null : Math.max(...values);
}
