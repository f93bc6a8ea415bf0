/**
 * The byte budget of a `dynamic` instance: what leases may fill of a GPU that
 * the server's weights, a safety margin and other processes share.
 */

export interface GpuBudgetInput {
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** The least use seen while the server was up: its weights and context, and who was there before it. */
  readonly floorBytes: number;
  /** The most that leases were ever modelled to hold at one time. */
  readonly heldHighWaterBytes: number;
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
}

export interface GpuBudget {
  /** What leases could fill were no other process on the GPU. */
  readonly aloneBytes: number;
  /** What others hold of that. */
  readonly foreignBytes: number;
}

/**
 * alone = min(total x threshold, total - reserve) - floor.
 *
 * A caching allocator never gives back what leases once held, so use up to
 * floor + high-water mark is the server's own and reusable; whatever lies
 * beyond is charged as foreign at once. Without per-process readings that
 * includes the allocator's own fragmentation, which is not reusable either.
 */
export function gpuBudget(input: GpuBudgetInput): GpuBudget {
  const usableBytes = Math.min(
    Math.floor(input.totalBytes * input.gpuMemoryThreshold),
    input.totalBytes - input.safetyReserveBytes,
  );
  const ownBytes = input.floorBytes + input.heldHighWaterBytes;
  return {
    aloneBytes: Math.max(0, usableBytes - input.floorBytes),
    foreignBytes: Math.max(0, input.usedBytes - ownBytes),
  };
}

/**
 * What leases may fill now. Memory of other guarded servers on the GPU is in
 * `foreignBytes` as far as it is in use, and promised beyond that.
 * @param neighbourBytes the most that those servers' leases may come to hold
 */
export function leasableBytes(budget: GpuBudget, neighbourBytes: number): number {
  return Math.max(0, budget.aloneBytes - Math.max(budget.foreignBytes, neighbourBytes));
}
