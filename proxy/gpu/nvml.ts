import { existsSync } from 'node:fs';
import type { Clock } from '../state/clock.ts';
import type { GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';
import { Backoff } from './backoff.ts';
import type { Nvml } from './nvml-api.ts';
import { type NvmlRound, NvmlSession } from './nvml-session.ts';

const WATCHDOG_INTERVALS = 5;
const WATCHDOG_MIN_MS = 10_000;
/** A round takes milliseconds: what has not ended by now hangs in the driver. */
const STOP_GRACE_MS = 1_000;

export interface NvmlOptions {
  readonly nvml: Nvml;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  /** Whether a process can be seen from here. */
  readonly isVisible?: (pid: number) => boolean;
}

/**
 * Reads GPUs through the driver's library. There is at most one round at any
 * time: where the driver hangs, so does the call, on a thread that nothing can
 * end, and another one would hang beside it. What such a round brings when it
 * ends after all is too old to be told.
 */
export class NvmlSource implements GpuSource {
  readonly name = 'nvml';
  readonly #pollIntervalMs: number;
  readonly #clock: Clock;
  readonly #session: NvmlSession;
  readonly #backoff = new Backoff();
  /** Null before `start` and after `stop`. */
  #events: GpuSourceEvents | null = null;
  #polling: Promise<void> = Promise.resolve();
  #cancelNext = (): void => {};
  #cancelWatchdog = (): void => {};
  /** The troubles of single GPUs that were told last; empty: none. */
  #told = '';

  constructor({ nvml, pollIntervalMs, clock, isVisible = isHere }: NvmlOptions) {
    this.#pollIntervalMs = pollIntervalMs;
    this.#clock = clock;
    this.#session = new NvmlSession(nvml, clock, isVisible);
  }

  start(events: GpuSourceEvents): void {
    if (this.#events !== null) throw new Error('started twice');
    this.#events = events;
    this.#polling = this.#poll();
  }

  /** Resolves when the library is let go of, or, where a call hangs, after `STOP_GRACE_MS` without that. */
  async stop(): Promise<void> {
    if (this.#events === null) return;
    this.#events = null;
    this.#cancelNext();
    this.#cancelWatchdog();
    await new Promise<void>((resolve) => {
      const giveUp = this.#clock.after(STOP_GRACE_MS, resolve);
      void this.#polling
        .then(() => this.#session.close())
        .catch(() => {})
        .then(() => {
          giveUp();
          resolve();
        });
    });
  }

  async #poll(): Promise<void> {
    const limitMs = Math.max(WATCHDOG_INTERVALS * this.#pollIntervalMs, WATCHDOG_MIN_MS);
    let late = false;
    this.#cancelWatchdog = this.#clock.after(limitMs, () => {
      late = true;
      this.#events?.fault(
        `NVML has not answered for ${limitMs} ms: the driver hangs, and is asked nothing more until it answers`,
      );
    });
    let round: NvmlRound | null = null;
    let why = '';
    try {
      round = await this.#session.round();
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
    this.#cancelWatchdog();
    if (round === null) this.#failed(why);
    else if (!late) this.#read(round);
    else this.#next(0);
  }

  #failed(why: string): void {
    this.#events?.fault(why);
    this.#next(this.#backoff.next());
  }

  #read({ gpus, troubles }: NvmlRound): void {
    this.#backoff.reset();
    this.#events?.sample(gpus);
    // Once for each text: a GPU that is lost is so in every round.
    const told = troubles.join('; ');
    if (told !== '' && told !== this.#told) this.#events?.fault(told);
    this.#told = told;
    this.#next(this.#pollIntervalMs);
  }

  #next(delayMs: number): void {
    // An event that was just given may have led to a stop.
    if (this.#events === null) return;
    this.#cancelNext = this.#clock.after(delayMs, () => {
      this.#polling = this.#poll();
    });
  }
}

function isHere(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}
