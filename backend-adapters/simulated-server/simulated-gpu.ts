/**
 * GPU memory under PyTorch's caching allocator, as `nvidia-smi` would show it.
 *
 *   used = CUDA context + weights and preallocated pool + reserved + foreign
 *
 * `reserved` is the most the allocator ever needed at one moment: freed memory
 * stays reserved and is used again first, as a whole (`expandable_segments`).
 * What is reserved but free goes back to the driver only when another process
 * takes the room. So an allocation fails exactly when live + new does not fit
 * beside what is fixed and foreign.
 *
 * With several GPUs (tensor parallel) every allocation takes an equal share of
 * each, and the fullest GPU decides.
 */
const CUDA_CONTEXT_BYTES = 600 * 1024 ** 2;
const GIB = 1024 ** 3;

export interface GpuState {
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly utilizationPercent: number;
}

export class SimulatedGpu {
  readonly totalBytes: number;
  readonly #fixedBytes: number;
  readonly #foreignBytes: number[];
  /** Per GPU, the same on each. */
  #liveBytes = 0;
  #reservedBytes = 0;
  #peakUsedBytes = 0;

  /**
   * @param fixedAtStartBytes weights and preallocated KV pool, over all GPUs together
   * @throws RangeError where they do not fit into `totalBytes` a GPU
   */
  constructor(gpuCount: number, totalBytes: number, fixedAtStartBytes: number) {
    this.totalBytes = totalBytes;
    this.#foreignBytes = Array<number>(gpuCount).fill(0);
    this.#fixedBytes = CUDA_CONTEXT_BYTES + Math.ceil(fixedAtStartBytes / gpuCount);
    if (this.#fixedBytes > totalBytes) {
      throw new RangeError(`${fixedAtStartBytes} B do not fit into ${gpuCount} x ${totalBytes} B`);
    }
    this.#notePeak();
  }

  /**
   * Changes an allocation of `fromBytes` (0: a new one) to `toBytes` (0: freed),
   * both over all GPUs together. False, and nothing changed, where it does not fit.
   */
  resize(fromBytes: number, toBytes: number): boolean {
    const growth = this.#shareOf(toBytes) - this.#shareOf(fromBytes);
    if (growth > 0 && growth > this.#limitBytes() - this.#liveBytes) return false;
    this.#liveBytes += growth;
    this.#reservedBytes = Math.max(this.#reservedBytes, this.#liveBytes);
    this.#notePeak();
    return true;
  }

  /** PyTorch's words for an allocation of `bytes` that failed. */
  outOfMemoryMessage(bytes: number): string {
    const free = Math.max(0, this.totalBytes - this.#usedBytes(Math.max(...this.#foreignBytes)));
    return (
      `CUDA out of memory. Tried to allocate ${gib(this.#shareOf(bytes))}. ` +
      `GPU 0 has a total capacity of ${gib(this.totalBytes)} of which ${gib(free)} is free.`
    );
  }

  /** Memory that another process holds on GPU `index`. */
  setForeignBytes(bytes: number, index = 0): void {
    if (!(index in this.#foreignBytes) || !(bytes >= 0)) {
      throw new RangeError(`no GPU ${index}, or negative bytes: ${bytes}`);
    }
    this.#foreignBytes[index] = bytes;
    this.#reservedBytes = Math.max(
      this.#liveBytes,
      Math.min(this.#reservedBytes, this.#limitBytes()),
    );
    this.#notePeak();
  }

  /** Bytes of live allocations over all GPUs together, the weights excluded. */
  get liveBytes(): number {
    return this.#liveBytes * this.#foreignBytes.length;
  }

  /** The highest `usedBytes` that any GPU ever showed. */
  get peakUsedBytes(): number {
    return this.#peakUsedBytes;
  }

  states(busy: boolean): GpuState[] {
    return this.#foreignBytes.map((foreignBytes, index) => ({
      uuid: `GPU-51300000-0000-4000-8000-${String(index).padStart(12, '0')}`,
      index,
      name: 'Simulated GPU',
      totalBytes: this.totalBytes,
      usedBytes: this.#usedBytes(foreignBytes),
      utilizationPercent: busy ? 100 : 0,
    }));
  }

  #shareOf(bytes: number): number {
    return Math.ceil(bytes / this.#foreignBytes.length);
  }

  /** What live allocations may come to on the fullest GPU. */
  #limitBytes(): number {
    return this.totalBytes - this.#fixedBytes - Math.max(...this.#foreignBytes);
  }

  #usedBytes(foreignBytes: number): number {
    return Math.min(this.totalBytes, this.#fixedBytes + this.#reservedBytes + foreignBytes);
  }

  #notePeak(): void {
    const used = this.#usedBytes(Math.max(...this.#foreignBytes));
    this.#peakUsedBytes = Math.max(this.#peakUsedBytes, used);
  }
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(2)} GiB`;
}
