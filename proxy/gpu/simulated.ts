import type { Clock } from '../state/clock.ts';
import type { GpuReading, GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';
import { Backoff } from './backoff.ts';

const READ_TIMEOUT_MS = 5_000;
const MAX_GPUS = 64;

export interface SimulatedGpuOptions {
  /**
   * Asks the simulated server for `{gpus: [{uuid, index, name, totalBytes,
   * usedBytes, utilizationPercent}]}`. The signal aborts when the answer is no
   * longer wanted.
   */
  readonly read: (signal: AbortSignal) => Promise<unknown>;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/** Reads the GPUs that a simulated server imagines: one read at a time, a failed one after a backoff. */
export class SimulatedGpuSource implements GpuSource {
  readonly name = 'simulated';
  readonly #options: SimulatedGpuOptions;
  readonly #backoff = new Backoff();
  #stopped = false;
  /** The read under way. */
  #reading: AbortController | null = null;
  #cancelNext = (): void => {};
  #polling: Promise<void> = Promise.resolve();

  constructor(options: SimulatedGpuOptions) {
    this.#options = options;
  }

  start(events: GpuSourceEvents): void {
    this.#polling = this.#poll(events);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#reading?.abort(new Error('stopped'));
    this.#cancelNext();
    await this.#polling;
  }

  async #poll(events: GpuSourceEvents): Promise<void> {
    let gpus: readonly GpuReading[];
    try {
      gpus = toReadings(await this.#read());
    } catch (error) {
      if (this.#stopped) return;
      const message = error instanceof Error ? error.message : String(error);
      events.fault(`the simulated GPUs could not be read: ${message}`);
      this.#pollAfter(this.#backoff.next(), events);
      return;
    }
    if (this.#stopped) return;
    this.#backoff.reset();
    events.sample(gpus);
    this.#pollAfter(this.#options.pollIntervalMs, events);
  }

  #pollAfter(delayMs: number, events: GpuSourceEvents): void {
    // The event that was just given may have led to a stop.
    if (this.#stopped) return;
    this.#cancelNext = this.#options.clock.after(delayMs, () => {
      this.#polling = this.#poll(events);
    });
  }

  /** One read; rejects on timeout and on `stop` even if the reader ignores its signal. */
  async #read(): Promise<unknown> {
    const reading = new AbortController();
    this.#reading = reading;
    const cancelTimeout = this.#options.clock.after(READ_TIMEOUT_MS, () =>
      reading.abort(new Error(`no answer within ${READ_TIMEOUT_MS} ms`)),
    );
    const aborted = new Promise<never>((_, reject) => {
      reading.signal.addEventListener('abort', () => reject(reading.signal.reason), { once: true });
    });
    try {
      return await Promise.race([this.#options.read(reading.signal), aborted]);
    } finally {
      cancelTimeout();
      this.#reading = null;
    }
  }
}

function toReadings(answer: unknown): readonly GpuReading[] {
  const gpus = isObject(answer) ? answer.gpus : undefined;
  if (!Array.isArray(gpus) || gpus.length === 0 || gpus.length > MAX_GPUS) {
    throw new TypeError(`"gpus" is not a list of 1 to ${MAX_GPUS} GPUs`);
  }
  return gpus.map(toReading);
}

function toReading(gpu: unknown, position: number): GpuReading {
  const where = `gpus[${position}]`;
  if (!isObject(gpu)) throw new TypeError(`${where} is not an object`);
  const { uuid, name } = gpu;
  if (typeof uuid !== 'string' || uuid === '') throw new TypeError(`${where}.uuid is not a text`);
  if (typeof name !== 'string') throw new TypeError(`${where}.name is not a text`);
  const index = numberIn(gpu, 'index', MAX_GPUS, where);
  const totalBytes = numberIn(gpu, 'totalBytes', Number.MAX_SAFE_INTEGER, where);
  const usedBytes = numberIn(gpu, 'usedBytes', totalBytes, where);
  const utilizationPercent = numberIn(gpu, 'utilizationPercent', 100, where);
  return { uuid, index, name, totalBytes, usedBytes, utilizationPercent, unknownWhy: null };
}

function numberIn(
  gpu: Readonly<Record<string, unknown>>,
  key: string,
  max: number,
  where: string,
): number {
  const value = gpu[key];
  if (typeof value !== 'number' || !(value >= 0 && value <= max)) {
    throw new TypeError(`${where}.${key} is not a number from 0 to ${max}`);
  }
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
