/**
 * What is learned of one GPU on behalf of one instance: the floors below which
 * its use never was, and what the server's allocator keeps.
 */
import {
  type GpuBudget,
  type GpuMargins,
  gpuBudget,
  learnedAllocatorRatio,
  measuredBudget,
} from '../policy/budget.ts';
import type { KnownGpu } from './gpu-monitor.ts';

/** What the ledger says of the instance at a sample. */
export interface LeasesAtSample {
  readonly heldHighWaterBytes: number;
  /** No lease is live: nothing that the server holds is a request's. */
  readonly areNone: boolean;
}

interface Split {
  readonly ownBytes: number;
  readonly othersBytes: number;
}

export class GpuUse {
  #floorBytes = Number.POSITIVE_INFINITY;
  #ownFloorBytes = Number.POSITIVE_INFINITY;
  #othersFloorBytes = Number.POSITIVE_INFINITY;
  #allocatorRatio = 1;

  /**
   * The budget by a new reading, taken while the instance served.
   * @param ownPids of the instance's server; null where they can't be seen
   */
  budget(
    gpu: KnownGpu,
    ownPids: ReadonlySet<number> | null,
    { heldHighWaterBytes, areNone }: LeasesAtSample,
    margins: GpuMargins,
  ): GpuBudget {
    const { totalBytes, usedBytes } = gpu;
    // Kept whether or not processes are seen: they may not be in the next reading.
    this.#floorBytes = Math.min(this.#floorBytes, usedBytes);
    const split = splitUse(gpu, ownPids);
    const { gpuMemoryThreshold, safetyReserveBytes } = margins;
    const common = { totalBytes, heldHighWaterBytes, gpuMemoryThreshold, safetyReserveBytes };
    if (split === null) {
      return gpuBudget({ ...common, usedBytes, floorBytes: this.#floorBytes });
    }
    this.#ownFloorBytes = Math.min(this.#ownFloorBytes, split.ownBytes);
    this.#othersFloorBytes = Math.min(this.#othersFloorBytes, split.othersBytes);
    const measured = {
      ...common,
      ...split,
      ownFloorBytes: this.#ownFloorBytes,
      othersFloorBytes: this.#othersFloorBytes,
      allocatorRatio: this.#allocatorRatio,
    };
    if (areNone) this.#allocatorRatio = learnedAllocatorRatio(this.#allocatorRatio, measured);
    return measuredBudget({ ...measured, allocatorRatio: this.#allocatorRatio });
  }
}

/**
 * The server's share of a GPU's use; null where it can't be told. What is in
 * use and not the server's is others', also where no process is listed for it
 * (graphics, another PID namespace).
 */
function splitUse(
  { usedBytes, processes }: KnownGpu,
  ownPids: ReadonlySet<number> | null,
): Split | null {
  if (processes === null || ownPids === null) return null;
  const own = processes.filter(({ pid }) => ownPids.has(pid));
  if (own.length === 0 || own.some((process) => process.usedBytes === null)) return null;
  const ownBytes = sum(own);
  const listedBytes = sum(processes.filter(({ pid }) => !ownPids.has(pid)));
  // Memory and processes are read one after the other: the larger figure is the safe one.
  return { ownBytes, othersBytes: Math.max(0, listedBytes, usedBytes - ownBytes) };
}

function sum(processes: readonly { readonly usedBytes: number | null }[]): number {
  return processes.reduce((bytes, process) => bytes + (process.usedBytes ?? 0), 0);
}
