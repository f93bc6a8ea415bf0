/** The GPUs under simulated engines, as a driver would show them. */
import type { GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';

interface Card {
  readonly totalBytes: number;
  /** Weights and context. */
  readonly floorBytes: number;
}

/**
 * A caching allocator keeps what it once had, so use is a floor (weights and
 * context) and the most that was ever seen in use beside it.
 */
export class VirtualGpu implements GpuSource {
  readonly name = 'simulated';
  readonly #reservedBytes: number[] = [];
  #events: GpuSourceEvents | null = null;

  start(events: GpuSourceEvents): void {
    this.#events = events;
  }

  async stop(): Promise<void> {
    this.#events = null;
  }

  /** One round of readings. @param cards of each GPU, and the bytes that its engine has in use now */
  sample(cards: readonly (Card & { readonly liveBytes: number })[]): void {
    this.#events?.sample(
      cards.map(({ totalBytes, floorBytes, liveBytes }, index) => {
        const reservedBytes = Math.max(this.#reservedBytes[index] ?? 0, liveBytes);
        this.#reservedBytes[index] = reservedBytes;
        return {
          uuid: index === 0 ? 'GPU-simulated' : `GPU-simulated-${index}`,
          index,
          name: 'simulated GPU',
          totalBytes,
          usedBytes: Math.min(totalBytes, floorBytes + reservedBytes),
          utilizationPercent: null,
          unknownWhy: null,
          processes: null,
        };
      }),
    );
  }
}
