/**
 * The byte budget of a `dynamic` instance: what leases may fill of a GPU that
 * the server's weights, a safety margin and other processes share.
 */

export interface GpuBudgetInput {
  readonly totalBytes: number;
  readonly usedBytes: number;
  /** The least use ever seen: the server's weights and context, and who was there before it. */
  readonly floorBytes: number;
  /** The most that leases were ever modelled to hold at one time. */
  readonly heldHighWaterBytes: number;
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
}

export interface GpuBudget {
  /** What leases may fill now. */
  readonly capacityBytes: number;
  /** What they could fill were no other process on the GPU. */
  readonly aloneBytes: number;
  readonly foreignBytes: number;
}

/**
 * capacity = min(total x threshold, total - reserve) - floor - foreign.
 *
 * A caching allocator never gives back what leases once held, so use up to
 * floor + high-water mark is the server's own and reusable; whatever lies
 * beyond is charged as foreign at once. Without per-process readings that
 * includes the allocator's own fragmentation, which is not reusable either.
 */
export function gpuBudget(input: GpuBudgetInput): GpuBudget {
  const usable = Math.min(
    Math.floor(input.totalBytes * input.gpuMemoryThreshold),
    input.totalBytes - input.safetyReserveBytes,
  );
  const aloneBytes = Math.max(0, usable - input.floorBytes);
  const ownBytes = input.floorBytes + input.heldHighWaterBytes;
  const foreignBytes = Math.max(0, input.usedBytes - ownBytes);
  return { capacityBytes: Math.max(0, aloneBytes - foreignBytes), aloneBytes, foreignBytes };
}
