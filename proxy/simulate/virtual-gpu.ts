/** The GPU under a simulated engine, as a driver would show it. */
import type { GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';

/**
 * A caching allocator keeps what it once had, so use is a floor (weights and
 * context) and the most that was ever seen in use beside it.
 */
export class VirtualGpu implements GpuSource {
  readonly name = 'simulated';
  readonly #totalBytes: number;
  readonly #floorBytes: number;
  #reservedBytes = 0;
  #events: GpuSourceEvents | null = null;

  constructor(totalBytes: number, floorBytes: number) {
    this.#totalBytes = totalBytes;
    this.#floorBytes = floorBytes;
  }

  start(events: GpuSourceEvents): void {
    this.#events = events;
  }

  async stop(): Promise<void> {
    this.#events = null;
  }

  /** One round of readings. @param liveBytes that the engine has in use now */
  sample(liveBytes: number): void {
    this.#reservedBytes = Math.max(this.#reservedBytes, liveBytes);
    this.#events?.sample([
      {
        uuid: 'GPU-simulated',
        index: 0,
        name: 'simulated GPU',
        totalBytes: this.#totalBytes,
        usedBytes: Math.min(this.#totalBytes, this.#floorBytes + this.#reservedBytes),
        utilizationPercent: null,
        unknownWhy: null,
        processes: null,
      },
    ]);
  }
}
