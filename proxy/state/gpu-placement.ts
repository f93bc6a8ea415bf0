/** Which GPUs an instance uses, where nothing but the order of backends and GPUs is known. */

export interface PlacedInstance {
  readonly name: string;
  readonly large: boolean;
}

/**
 * Positions, in the list of GPUs that count, of the GPUs of an instance: the
 * n-th usual backend has the n-th GPU; each large one has the next
 * `tensorParallel` behind those. Where there are fewer GPUs than that, places wrap around.
 */
export function placeOnGpus(
  instances: readonly PlacedInstance[],
  tensorParallel: number,
): (name: string, gpuCount: number) => readonly number[] {
  const usual = instances.filter(({ large }) => !large);
  const largeOnes = instances.filter(({ large }) => large);
  return (name, gpuCount) => {
    if (gpuCount === 0) return [];
    const position = usual.findIndex((instance) => instance.name === name);
    if (position >= 0) return [position % gpuCount];
    const rank = largeOnes.findIndex((instance) => instance.name === name);
    const first = usual.length + rank * tensorParallel;
    const wanted = Array.from(
      { length: tensorParallel },
      (_, offset) => (first + offset) % gpuCount,
    );
    return [...new Set(wanted)];
  };
}
