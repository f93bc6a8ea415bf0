/**
 * The byte budgets of `dynamic` instances on their GPUs: what of a GPU's use
 * is an instance's own, what is a neighbour's of ours, and what is foreign.
 */
import { type GpuBudget, gpuBudget, leasableBytes } from '../policy/budget.ts';
import type { KnownGpu } from './gpu-monitor.ts';
import type { GpuReading } from './gpu-source.ts';
import type { Ledger } from './ledger.ts';
import { isServing, type Pools, type ServingInstance } from './pools.ts';

export interface GpuBudgetsOptions {
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
}

interface PlacedBudget extends GpuBudget {
  readonly uuid: string;
}

/** What is left of an instance's budgets on its tightest GPU. */
export interface TightestBudget {
  readonly leasableBytes: number;
  /** Were nobody else on its GPUs. */
  readonly aloneBytes: number;
}

export class GpuBudgets {
  readonly #pools: Pools;
  readonly #ledger: Ledger;
  readonly #options: GpuBudgetsOptions;
  /** UUIDs of the GPUs of an instance, by its name. */
  readonly #gpusOf: (instance: string) => readonly string[];
  /** By instance, then by UUID: the least use seen while the instance served. */
  readonly #floorBytes = new Map<string, Map<string, number>>();
  /** By instance: its latest budgets, however old. */
  readonly #latest = new Map<string, readonly PlacedBudget[]>();

  constructor(
    pools: Pools,
    ledger: Ledger,
    gpusOf: (instance: string) => readonly string[],
    options: GpuBudgetsOptions,
  ) {
    this.#pools = pools;
    this.#ledger = ledger;
    this.#gpusOf = gpusOf;
    this.#options = options;
  }

  /**
   * Learns the floor of each healthy instance. Before its weights are loaded,
   * and after a crash, its GPU is emptier than it will be: that is no floor.
   */
  sampled(gpus: readonly GpuReading[]): void {
    const used = new Map(gpus.map(({ uuid, usedBytes }) => [uuid, usedBytes]));
    for (const instance of this.#pools.instances) {
      if (!isServing(instance) || instance.health.state !== 'healthy') continue;
      const floors = this.#floorsOf(instance.name);
      for (const uuid of this.#gpusOf(instance.name)) {
        const usedBytes = used.get(uuid) ?? null;
        if (usedBytes === null) continue;
        floors.set(uuid, Math.min(floors.get(uuid) ?? usedBytes, usedBytes));
      }
    }
  }

  /** Takes current readings of the GPUs of an instance into its budgets. */
  refresh({ name }: ServingInstance, gpus: readonly KnownGpu[]): void {
    const floors = this.#floorsOf(name);
    const heldHighWaterBytes = this.#ledger.totals(name).heldHighWaterUnits;
    const budgets = gpus.map(({ uuid, totalBytes, usedBytes }) => ({
      uuid,
      ...gpuBudget({
        ...this.#options,
        totalBytes,
        usedBytes,
        floorBytes: floors.get(uuid) ?? usedBytes,
        heldHighWaterBytes,
      }),
    }));
    this.#latest.set(name, budgets);
  }

  /** By the latest readings, however old, and the ledger as it is now; null before the first. */
  tightest({ name }: ServingInstance): TightestBudget | null {
    const budgets = this.#latest.get(name) ?? [];
    if (budgets.length === 0) return null;
    return {
      leasableBytes: Math.min(
        ...budgets.map((budget) => leasableBytes(budget, this.#neighbourBytes(name, budget.uuid))),
      ),
      aloneBytes: Math.min(...budgets.map(({ aloneBytes }) => aloneBytes)),
    };
  }

  /** The latest budget of each GPU of an instance; empty before the first. */
  of({ name }: ServingInstance): readonly GpuBudget[] {
    return this.#latest.get(name) ?? [];
  }

  /** The most that other `dynamic` instances on the GPU are promised, or have held and never gave back. */
  #neighbourBytes(name: string, uuid: string): number {
    let bytes = 0;
    for (const other of this.#pools.instances) {
      if (other.name === name || other.facts?.layout.model !== 'dynamic') continue;
      if (!this.#gpusOf(other.name).includes(uuid)) continue;
      const { committedUnits, heldHighWaterUnits } = this.#ledger.totals(other.name);
      bytes += Math.max(committedUnits, heldHighWaterUnits);
    }
    return bytes;
  }

  #floorsOf(name: string): Map<string, number> {
    const known = this.#floorBytes.get(name);
    if (known !== undefined) return known;
    const fresh = new Map<string, number>();
    this.#floorBytes.set(name, fresh);
    return fresh;
  }
}
