/**
 * Groups the lines of a looping nvidia-smi into rounds. It prints one line for
 * each GPU, in the order of their indexes, and nothing between two rounds.
 */
import type { GpuReading } from '../state/gpu-source.ts';

export class SmiRounds {
  /** The round that was completed last; null before the first. */
  #last: readonly GpuReading[] | null = null;
  #open: GpuReading[] = [];

  /**
   * Takes the next line. A round is complete
   * 1. with its last line, once it holds every GPU of the round before, so that
   *    no round after the first has to wait for the next one;
   * 2. before a line about a GPU that it holds already: a GPU has vanished;
   * 3. once more, with a line about a new GPU behind the last one of a round
   *    that was taken to be complete.
   *
   * @returns the GPUs of a round that this line completed, or null
   */
  add(reading: GpuReading): readonly GpuReading[] | null {
    if (this.#open.length === 0 && this.#belongsToLast(reading)) {
      return this.#complete([...(this.#last ?? []), reading]);
    }
    let ended: readonly GpuReading[] | null = null;
    if (this.#open.some((other) => other.uuid === reading.uuid || other.index === reading.index)) {
      ended = this.#complete(this.#open);
    }
    this.#open.push(reading);
    return this.#holdsAllOfLast() ? this.#complete(this.#open) : ended;
  }

  /**
   * No line came for a while, though less than an interval. That ends the first
   * round, whose size nothing tells; later a silence may be one slow GPU, and
   * must not make it look lost.
   *
   * @returns the GPUs of the first round if this completed it, or null
   */
  quiet(): readonly GpuReading[] | null {
    return this.#last === null && this.#open.length > 0 ? this.#complete(this.#open) : null;
  }

  #complete(round: readonly GpuReading[]): readonly GpuReading[] {
    this.#last = round;
    this.#open = [];
    return round;
  }

  #belongsToLast(reading: GpuReading): boolean {
    return (
      this.#last?.every(({ uuid, index }) => uuid !== reading.uuid && index < reading.index) ??
      false
    );
  }

  #holdsAllOfLast(): boolean {
    return (
      this.#last?.every(({ uuid }) => this.#open.some((other) => other.uuid === uuid)) ?? false
    );
  }
}
