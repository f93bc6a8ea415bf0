/**
 * What leases may fill of every instance, and how full it is, by the signal
 * that is right for its memory model. A reading that is missing or stale is
 * unknown: the capacity then says so instead of reading as empty.
 */
import type { GpuMargins } from '../policy/budget.ts';
import { dynamicPressure, poolPressure } from '../policy/pressure.ts';
import type { Capacity } from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { Calibration } from './calibration.ts';
import type { Clock } from './clock.ts';
import type { EngineProcesses } from './engine-processes.ts';
import { GpuBudgets } from './gpu-budgets.ts';
import type { GpuMonitor } from './gpu-monitor.ts';
import type { Ledger } from './ledger.ts';
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
  readonly processes: EngineProcesses;
  readonly calibration: Pick<Calibration, 'divisorOf'>;
  readonly clock: Clock;
}

export class Capacities {
  readonly #gpu: GpuMonitor;
  readonly #ledger: Ledger;
  readonly #calibration: CapacitiesParts['calibration'];
  readonly #clock: Clock;
  readonly #options: CapacitiesOptions;
  readonly #budgets: GpuBudgets;

  constructor(parts: CapacitiesParts, options: CapacitiesOptions) {
    const { gpu, ledger, calibration, clock } = parts;
    this.#gpu = gpu;
    this.#ledger = ledger;
    this.#calibration = calibration;
    this.#clock = clock;
    this.#options = options;
    this.#budgets = new GpuBudgets(parts, options);
  }

  /** What leases may fill of an instance now, in its own units. */
  of(instance: ServingInstance): Capacity {
    return instance.facts.layout.model === 'dynamic'
      ? this.#dynamicCapacity(instance)
      : this.#poolCapacity(instance);
  }

  /** Pressure by the signal of the instance's memory model; null when it is unknown. */
  pressureOf(instance: ServingInstance, unattributedUnits: number): number | null {
    const { heldUnits, committedUnits } = this.#ledger.totals(instance.name);
    if (instance.facts.layout.model === 'dynamic') {
      if (this.#options.pressureBasis === 'gpu') return this.#gpuUse(instance);
      return highest(
        this.#budgets
          .of(instance)
          .map(({ foreignBytes, aloneBytes }) =>
            dynamicPressure(heldUnits, foreignBytes, aloneBytes),
          ),
      );
    }
    const capacity = this.#poolCapacity(instance);
    if (!('aloneUnits' in capacity)) return null;
    // A budget that is lowered for want of readings is no sign of pressure: the pool is as large as ever.
    return poolPressure(committedUnits + unattributedUnits, capacity.aloneUnits);
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
