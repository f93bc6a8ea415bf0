/**
 * The byte budgets of `dynamic` instances on their GPUs: what of a GPU's use
 * is an instance's own, what is a neighbour's of ours, and what is foreign.
 */
import { type GpuBudget, type GpuMargins, leasableBytes } from '../policy/budget.ts';
import type { EngineProcesses } from './engine-processes.ts';
import type { GpuMonitor, KnownGpu } from './gpu-monitor.ts';
import { GpuUse } from './gpu-use.ts';
import type { Ledger } from './ledger.ts';
import type { Outlooks } from './outlooks.ts';
import { isServing, type Pools, type ServingInstance } from './pools.ts';

export interface GpuBudgetsParts {
  readonly gpu: GpuMonitor;
  readonly pools: Pools;
  readonly ledger: Ledger;
  readonly outlooks: Pick<Outlooks, 'leasedUnits'>;
  readonly processes: EngineProcesses;
}

interface PlacedBudget extends GpuBudget {
  readonly uuid: string;
}

/** What is left of an instance's budgets on its tightest GPU. */
export interface TightestBudget {
  readonly leasableBytes: number;
  /** Were nobody else on its GPUs. */
  readonly aloneBytes: number;
  /** What others hold there beyond all that leases could have filled. */
  readonly beyondBytes: number;
}

export class GpuBudgets {
  readonly #gpu: GpuMonitor;
  readonly #pools: Pools;
  readonly #ledger: Ledger;
  readonly #outlooks: GpuBudgetsParts['outlooks'];
  readonly #processes: EngineProcesses;
  readonly #margins: GpuMargins;
  /** By instance and UUID: what was seen of the GPU while the instance served. */
  readonly #uses = new Map<string, GpuUse>();
  /** By instance: the budgets of its GPUs at the latest sample they could all be read in. */
  readonly #latest = new Map<string, readonly PlacedBudget[]>();

  constructor({ gpu, pools, ledger, outlooks, processes }: GpuBudgetsParts, margins: GpuMargins) {
    this.#gpu = gpu;
    this.#pools = pools;
    this.#ledger = ledger;
    this.#outlooks = outlooks;
    this.#processes = processes;
    this.#margins = margins;
    gpu.onSample(() => this.#sampled());
  }

  /** The budget of each GPU of an instance, however old; empty before the first. */
  of({ name }: ServingInstance): readonly GpuBudget[] {
    return this.#latest.get(name) ?? [];
  }

  /** By the latest readings, however old, and the ledger as it is now; null before the first. */
  tightest({ name }: ServingInstance): TightestBudget | null {
    const budgets = this.#latest.get(name) ?? [];
    if (budgets.length === 0) return null;
    const neighbours = budgets.map(({ uuid }) => this.#neighbourBytes(name, uuid));
    return {
      leasableBytes: Math.min(
        ...budgets.map((budget, index) => leasableBytes(budget, neighbours[index] ?? 0)),
      ),
      beyondBytes: Math.max(
        0,
        ...budgets.map(({ foreignBytes, aloneBytes }) => foreignBytes - aloneBytes),
      ),
      aloneBytes: Math.min(...budgets.map(({ aloneBytes }) => aloneBytes)),
    };
  }

  /**
   * Takes the new readings into the budgets of healthy instances. Before its
   * weights are loaded, and after a crash, a GPU is emptier than it will be:
   * nothing is learned then. What leases come to hold after a sample is not in
   * its readings, so it explains nothing of them.
   */
  #sampled(): void {
    for (const instance of this.#pools.instances) {
      if (!isServing(instance) || instance.health.state !== 'healthy') continue;
      const gpus = this.#gpu.currentGpus(instance.name);
      if (gpus !== null) this.#refresh(instance.name, gpus);
    }
  }

  #refresh(name: string, gpus: readonly KnownGpu[]): void {
    const { heldHighWaterUnits, sequences } = this.#ledger.totals(name);
    const leases = { heldHighWaterBytes: heldHighWaterUnits, areNone: sequences === 0 };
    const pids = gpus.flatMap(({ processes }) => processes?.map(({ pid }) => pid) ?? []);
    const own = pids.length === 0 ? null : this.#processes.of(name, pids);
    const budgets = gpus.map((gpu) => ({
      uuid: gpu.uuid,
      ...this.#useOf(name, gpu.uuid).budget(gpu, own, leases, this.#margins),
    }));
    this.#latest.set(name, budgets);
  }

  /** The most that other `dynamic` instances on the GPU are promised, or have held and never gave back. */
  #neighbourBytes(name: string, uuid: string): number {
    let bytes = 0;
    for (const other of this.#pools.instances) {
      if (other.name === name || other.facts?.layout.model !== 'dynamic') continue;
      if (!this.#gpu.uuidsOf(other.name).includes(uuid)) continue;
      const { heldHighWaterUnits } = this.#ledger.totals(other.name);
      bytes += Math.max(this.#outlooks.leasedUnits(other.name), heldHighWaterUnits);
    }
    return bytes;
  }

  #useOf(name: string, uuid: string): GpuUse {
    const key = `${name} ${uuid}`;
    const known = this.#uses.get(key);
    if (known !== undefined) return known;
    const fresh = new GpuUse();
    this.#uses.set(key, fresh);
    return fresh;
  }
}
