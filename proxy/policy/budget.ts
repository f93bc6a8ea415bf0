/**
 * The byte budget of a `dynamic` instance: what leases may fill of a GPU that
 * the server's weights, a safety margin and other processes share.
 */

/** What of a GPU is never promised. */
export interface GpuMargins {
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
}

export interface GpuBudgetInput extends GpuMargins {
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** The least use seen while the server was up: its weights and context, and who was there before it. */
  readonly floorBytes: number;
  /** The most that leases were ever modelled to hold at one time. */
  readonly heldHighWaterBytes: number;
}

/** As `GpuBudgetInput`, where the driver tells the memory of each process. */
export interface MeasuredBudgetInput extends GpuMargins {
  readonly totalBytes: number;
  /** Of the server and its children, and the least of it seen: weights and context. */
  readonly ownBytes: number;
  readonly ownFloorBytes: number;
  /** Of everybody else, and the least of it seen while the server was up. */
  readonly othersBytes: number;
  readonly othersFloorBytes: number;
  readonly heldHighWaterBytes: number;
  readonly allocatorRatio: number;
}

export interface GpuBudget {
  /** What leases could fill were no other process on the GPU. */
  readonly aloneBytes: number;
  /** What others hold of that. */
  readonly foreignBytes: number;
}

/**
 * The most that an allocator is believed to keep for each byte that leases held.
 * A simulated best-fit allocator under a KV cache that grows by concatenation
 * reserved 1.84 times what was live with prompts of 4k tokens, and 3.08 times
 * with 32k; use beyond that is somebody's, not fragmentation.
 */
export const MAX_ALLOCATOR_RATIO = 3.1;

/**
 * alone = min(total x threshold, total - reserve) - floor.
 *
 * A caching allocator never gives back what leases once held, so use up to
 * floor + high-water mark is the server's own and reusable; whatever lies
 * beyond is charged as foreign at once. Without per-process readings that
 * includes the allocator's own fragmentation, which is not reusable either.
 */
export function gpuBudget(input: GpuBudgetInput): GpuBudget {
  const ownBytes = input.floorBytes + input.heldHighWaterBytes;
  return {
    aloneBytes: Math.max(0, usableBytes(input) - input.floorBytes),
    foreignBytes: Math.max(0, input.usedBytes - ownBytes),
  };
}

/**
 * The same with both sides measured: alone = usable - own floor - others' floor,
 * and foreign is what others hold beyond their floor, whatever the high-water
 * mark. Of the server's own use, what lies beyond floor + ratio x high-water
 * mark serves requests that did not come this way, and is charged as well.
 */
export function measuredBudget(input: MeasuredBudgetInput): GpuBudget {
  const { ownFloorBytes, othersFloorBytes, heldHighWaterBytes, allocatorRatio } = input;
  const explainedBytes = ownFloorBytes + allocatorRatio * heldHighWaterBytes;
  return {
    aloneBytes: Math.max(0, usableBytes(input) - ownFloorBytes - othersFloorBytes),
    foreignBytes:
      Math.max(0, input.othersBytes - othersFloorBytes) +
      Math.ceil(Math.max(0, input.ownBytes - explainedBytes)),
  };
}

/**
 * What the allocator is known to keep for each modelled byte, from 1 to
 * `MAX_ALLOCATOR_RATIO`; it only rises. To be learned while no lease is live:
 * what the server then holds beyond its floor is what its allocator kept.
 * @param ratio known before; 1 at first
 */
export function learnedAllocatorRatio(
  ratio: number,
  { ownBytes, ownFloorBytes, heldHighWaterBytes }: MeasuredBudgetInput,
): number {
  if (heldHighWaterBytes <= 0) return ratio;
  const keptRatio = (ownBytes - ownFloorBytes) / heldHighWaterBytes;
  return Math.max(ratio, Math.min(MAX_ALLOCATOR_RATIO, keptRatio));
}

/**
 * What leases may fill now. Memory of other guarded servers on the GPU is in
 * `foreignBytes` as far as it is in use, and promised beyond that.
 * @param neighbourBytes the most that those servers' leases may come to hold
 */
export function leasableBytes(budget: GpuBudget, neighbourBytes: number): number {
  return Math.max(0, budget.aloneBytes - Math.max(budget.foreignBytes, neighbourBytes));
}

/** What of a GPU is never promised to anybody. */
export function reservedBytes(totalBytes: number, margins: GpuMargins): number {
  return totalBytes - usableBytes({ ...margins, totalBytes });
}

function usableBytes(input: GpuMargins & { readonly totalBytes: number }): number {
  return Math.min(
    Math.floor(input.totalBytes * input.gpuMemoryThreshold),
    input.totalBytes - input.safetyReserveBytes,
  );
}
