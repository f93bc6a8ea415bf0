import type { Clock } from '../state/clock.ts';
import type { GpuReading, GpuSource, GpuSourceEvents } from '../state/gpu-source.ts';
import { Backoff } from './backoff.ts';
import { SmiChild, TERM_GRACE_MS } from './nvidia-smi-child.ts';
import { parseLine } from './nvidia-smi-parser.ts';
import { SmiRounds } from './smi-rounds.ts';

const WATCHDOG_INTERVALS = 5;
const WATCHDOG_MIN_MS = 10_000;
/** After SIGKILL a process is gone at once, or it hangs in the driver. */
const KILL_GRACE_MS = 1_000;

export interface NvidiaSmiOptions {
  /** A path, or a name that is looked up in PATH. */
  readonly command?: string;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/**
 * Reads GPUs from one long-lived `nvidia-smi -lms`: a start costs far more than
 * a reading. There is at most one child at any time: where a driver hangs, its
 * child cannot be killed, and another one would hang beside it. So the next is
 * started when the one before is gone, after a backoff.
 */
export class NvidiaSmiSource implements GpuSource {
  readonly name = 'nvidia-smi';
  readonly #command: string;
  readonly #pollIntervalMs: number;
  readonly #clock: Clock;
  readonly #backoff = new Backoff();
  /** Null before `start` and after `stop`. */
  #events: GpuSourceEvents | null = null;
  #child: SmiChild | null = null;
  #rounds = new SmiRounds();
  /** The last unreadable line since the last complete round. */
  #garbage: string | null = null;
  #reportedGarbage: string | null = null;
  #cancelWatchdog = (): void => {};
  #cancelQuiet = (): void => {};
  #cancelRestart = (): void => {};

  constructor(options: NvidiaSmiOptions) {
    this.#command = options.command ?? 'nvidia-smi';
    this.#pollIntervalMs = options.pollIntervalMs;
    this.#clock = options.clock;
  }

  start(events: GpuSourceEvents): void {
    if (this.#events !== null || this.#child !== null) throw new Error('started twice');
    this.#events = events;
    this.#launch();
  }

  /**
   * Resolves when the child is gone; one that even SIGKILL does not end is left
   * behind after `TERM_GRACE_MS` + `KILL_GRACE_MS`.
   */
  async stop(): Promise<void> {
    this.#events = null;
    this.#cancelTimers();
    const child = this.#child;
    if (child === null) return;
    await new Promise<void>((resolve) => {
      const giveUp = this.#clock.after(TERM_GRACE_MS + KILL_GRACE_MS, resolve);
      void child.kill().then(() => {
        giveUp();
        resolve();
      });
    });
  }

  #launch(): void {
    this.#rounds = new SmiRounds();
    this.#garbage = null;
    try {
      this.#child = new SmiChild(this.#command, this.#pollIntervalMs, this.#clock, {
        line: (text) => this.#onLine(text),
        ended: (why) => this.#onEnded(why),
      });
      this.#watch();
    } catch (error) {
      this.#onEnded(`${this.#command} could not be started: ${String(error)}`);
    }
  }

  #onLine(text: string): void {
    const line = parseLine(text);
    if (line.kind === 'garbage') {
      if (text.trim() !== '') this.#garbage = line.why;
      return;
    }
    this.#watch();
    this.#cancelQuiet();
    this.#cancelQuiet = this.#clock.after(this.#pollIntervalMs / 2, () =>
      this.#onRound(this.#rounds.quiet()),
    );
    this.#onRound(this.#rounds.add(line.reading));
  }

  #onRound(gpus: readonly GpuReading[] | null): void {
    if (gpus === null) return;
    this.#backoff.reset();
    this.#events?.sample(gpus);
    // Once for each text: a GPU that is lost has such a line in every round.
    if (this.#garbage !== null && this.#garbage !== this.#reportedGarbage) {
      this.#reportedGarbage = this.#garbage;
      this.#events?.fault(`${this.#command} printed ${this.#garbage}`);
    }
    this.#garbage = null;
  }

  /** Restarts the wait for the next GPU line. */
  #watch(): void {
    const silenceMs = Math.max(WATCHDOG_INTERVALS * this.#pollIntervalMs, WATCHDOG_MIN_MS);
    this.#cancelWatchdog();
    this.#cancelWatchdog = this.#clock.after(silenceMs, () => {
      this.#fault(`${this.#command} printed no reading for ${silenceMs} ms and is restarted`);
      void this.#child?.kill();
    });
  }

  #onEnded(why: string | null): void {
    this.#child = null;
    this.#cancelTimers();
    if (why !== null) this.#fault(why);
    // After the event, which may lead to a stop.
    if (this.#events === null) return;
    this.#cancelRestart = this.#clock.after(this.#backoff.next(), () => this.#launch());
  }

  #fault(message: string): void {
    const garbage = this.#garbage === null ? '' : `; it printed ${this.#garbage}`;
    this.#events?.fault(message + garbage);
  }

  #cancelTimers(): void {
    this.#cancelWatchdog();
    this.#cancelQuiet();
    this.#cancelRestart();
  }
}
