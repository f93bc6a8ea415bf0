/**
 * The latest readings of the GPUs that count, and which of them each instance
 * uses. What is missing or stale reads as unknown, never as empty.
 */
import type { Clock } from './clock.ts';
import type { GpuReading, GpuSource } from './gpu-source.ts';
import type { Log } from './log.ts';

export interface GpuMonitorOptions {
  /** Age from which a sample is no longer believed. */
  readonly staleAfterMs: number;
  /** Indexes or UUIDs of the GPUs that count; empty: all. */
  readonly gpuIds: readonly string[];
  /** The GPUs of an instance, by its name, as positions in the list of those that count. */
  readonly gpuOf: (instance: string, gpuCount: number) => readonly number[];
}

export interface GpuSnapshot {
  readonly gpus: readonly GpuReading[];
  readonly atMs: number;
}

/** A reading whose memory is known. */
export interface KnownGpu {
  readonly uuid: string;
  readonly totalBytes: number;
  readonly usedBytes: number;
  readonly processes: GpuReading['processes'];
}

export class GpuMonitor {
  readonly #source: GpuSource;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: GpuMonitorOptions;
  /** UUIDs of the GPUs that count, as they were first seen: one that vanishes keeps its place. */
  readonly #places: string[] = [];
  readonly #listeners: ((gpus: readonly GpuReading[]) => void)[] = [];
  #snapshot: GpuSnapshot | null = null;
  #firstSample: (() => void) | null = null;

  constructor(source: GpuSource, clock: Clock, log: Log, options: GpuMonitorOptions) {
    this.#source = source;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
  }

  get sourceName(): string {
    return this.#source.name;
  }

  /** The latest sample, however old; null before the first. */
  get snapshot(): GpuSnapshot | null {
    return this.#snapshot;
  }

  get ageMs(): number | null {
    return this.#snapshot === null ? null : this.#clock.nowMs() - this.#snapshot.atMs;
  }

  /** Calls back with each new round of readings of the GPUs that count. */
  onSample(listener: (gpus: readonly GpuReading[]) => void): void {
    this.#listeners.push(listener);
  }

  /** Starts reading. Resolves with the first sample, or after `waitMs` without one. */
  start(waitMs: number): Promise<void> {
    const first = new Promise<void>((resolve) => {
      const cancel = this.#clock.after(waitMs, resolve);
      this.#firstSample = () => {
        cancel();
        resolve();
      };
    });
    this.#source.start({
      sample: (gpus) => this.#sampled(gpus),
      fault: (message) => this.#log.warn('GPU probe failed', { source: this.sourceName, message }),
    });
    return first;
  }

  stop(): Promise<void> {
    return this.#source.stop();
  }

  /** UUIDs of the GPUs of an instance, whether they can be read now or not. */
  uuidsOf(instance: string): readonly string[] {
    const positions = this.#options.gpuOf(instance, this.#places.length);
    return positions.flatMap((position) => this.#places[position] ?? []);
  }

  /** Current readings of all GPUs of an instance; null when any of them can't be read. */
  currentGpus(instance: string): readonly KnownGpu[] | null {
    const { ageMs } = this;
    if (this.#snapshot === null || ageMs === null || ageMs > this.#options.staleAfterMs)
      return null;
    const readings = new Map(this.#snapshot.gpus.map((gpu) => [gpu.uuid, gpu]));
    const uuids = this.uuidsOf(instance);
    const known = uuids.flatMap((uuid) => {
      const { totalBytes = null, usedBytes = null, processes = null } = readings.get(uuid) ?? {};
      if (totalBytes === null || usedBytes === null) return [];
      return { uuid, totalBytes, usedBytes, processes };
    });
    return known.length === 0 || known.length < uuids.length ? null : known;
  }

  #sampled(all: readonly GpuReading[]): void {
    const wanted = new Set(this.#options.gpuIds);
    const counts = (gpu: GpuReading) =>
      wanted.size === 0 || wanted.has(gpu.uuid) || wanted.has(String(gpu.index));
    const gpus = all.filter(counts).sort((a, b) => a.index - b.index);
    for (const { uuid } of gpus) {
      if (!this.#places.includes(uuid)) this.#places.push(uuid);
    }
    this.#snapshot = { gpus, atMs: this.#clock.nowMs() };
    this.#firstSample?.();
    for (const listener of this.#listeners) listener(gpus);
  }
}
