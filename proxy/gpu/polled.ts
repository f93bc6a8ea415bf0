import type { Clock } from '../state/clock.ts';
import type { GpuReading, GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';
import { Backoff } from './backoff.ts';

const READ_TIMEOUT_MS = 5_000;

export interface PolledOptions {
  readonly name: string;
  /** What is read, in the plural, for messages: `the simulated GPUs`. */
  readonly what: string;
  /** One reading of every GPU; rejects with the reason. The signal aborts when it is no longer wanted. */
  readonly read: (signal: AbortSignal) => Promise<readonly GpuReading[]>;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/** Asks for readings at the poll interval: one read at a time, a failed one again after a backoff. */
export class PolledGpuSource implements GpuSource {
  readonly name: string;
  readonly #options: PolledOptions;
  readonly #backoff = new Backoff();
  #stopped = false;
  /** The read under way. */
  #reading: AbortController | null = null;
  #cancelNext = (): void => {};
  #polling: Promise<void> = Promise.resolve();

  constructor(options: PolledOptions) {
    this.name = options.name;
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
      gpus = await this.#read();
    } catch (error) {
      if (this.#stopped) return;
      const message = error instanceof Error ? error.message : String(error);
      events.fault(`${this.#options.what} could not be read: ${message}`);
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
  async #read(): Promise<readonly GpuReading[]> {
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
