/**
 * Plays the requests of a log in virtual time. Each comes when it came, and
 * takes as long in its engine as it took: what a fuller engine would do to the
 * others' speed is not modelled.
 */
import type { Front, Stage } from '../front.ts';
import { SimulationClock } from '../virtual-clock.ts';
import type { SimulatedRequest } from '../workload.ts';
import { generatedTokens, type ReplayHost, type Running } from './replay-host.ts';
import { LEAD_MS, type ReplayRequest } from './replay-request.ts';
import type { ReplayScore } from './replay-score.ts';

/** Streams tell of their tokens at most so often. */
const PROGRESS_INTERVAL_MS = 100;
/** Time in which nothing runs, waits or comes is left out beyond this. */
const IDLE_MS = 60_000;

export interface ReplayParts {
  readonly requests: readonly ReplayRequest[];
  readonly hosts: readonly ReplayHost[];
  readonly score: ReplayScore;
  readonly pollIntervalMs: number;
  readonly front: (stage: Stage, clock: SimulationClock) => Front;
}

interface Flight {
  readonly running: Running;
  readonly host: ReplayHost;
  readonly cancel: () => void;
}

export class ReplayRun {
  readonly #parts: ReplayParts;
  readonly #clock = new SimulationClock();
  readonly #front: Front;
  readonly #flights = new Map<number, Flight>();
  #next = 0;
  #nextPollMs = 0;
  #nextProgressMs = 0;

  constructor(parts: ReplayParts) {
    this.#parts = parts;
    const { score } = parts;
    this.#front = parts.front(
      {
        start: (request, limitTokens, instance) => this.#start(request, limitTokens, instance),
        cancel: ({ index }, why) => {
          this.#forget(index);
          score.cancelled(why);
        },
        queued: () => {},
        refused: (request, reason) => {
          const asked = this.#requestOf(request);
          score.refused(asked, this.#waitedMs(asked), reason);
        },
      },
      this.#clock,
    );
  }

  async run(): Promise<void> {
    const { requests } = this.#parts;
    const clock = this.#clock;
    for (;;) {
      const arriving = requests[this.#next];
      const isIdle = this.#flights.size === 0 && this.#front.waiting === 0;
      if (arriving === undefined && isIdle) return;
      if (isIdle) this.#leaveOutIdleTime(arriving?.atMs ?? 0);
      const arrivalMs = arriving?.atMs ?? Number.POSITIVE_INFINITY;
      clock.moveTo(Math.min(arrivalMs, clock.nextDueMs, this.#nextPollMs));
      if (clock.nowMs() >= this.#nextProgressMs) this.#progress();
      const timersRan = clock.runDue();
      if (clock.nowMs() >= this.#nextPollMs) this.#poll();
      this.#arrive();
      let settling = this.#front.settle(timersRan);
      while (settling !== null) {
        await settling;
        settling = this.#front.settle(false);
      }
    }
  }

  #leaveOutIdleTime(arrivalMs: number): void {
    if (arrivalMs - this.#clock.nowMs() <= 2 * IDLE_MS) return;
    this.#clock.moveTo(arrivalMs - IDLE_MS);
    this.#nextPollMs = this.#clock.nowMs();
  }

  #arrive(): void {
    const { requests } = this.#parts;
    const nowMs = this.#clock.nowMs();
    for (let next = requests[this.#next]; next !== undefined; next = requests[this.#next]) {
      if (next.atMs > nowMs) return;
      this.#next += 1;
      this.#front.arrived(next);
    }
  }

  #start(started: SimulatedRequest, limitTokens: number, instance: string): void {
    const { hosts, score } = this.#parts;
    const clock = this.#clock;
    const request = this.#requestOf(started);
    const host = hosts.find(({ name }) => name === instance) ?? hosts[0];
    if (host === undefined) throw new RangeError('a replay without an instance');
    score.started(request, this.#waitedMs(request));
    const running = host.start(request, limitTokens, clock.nowMs());
    const { ttftMs, totalMs, outputTokens } = running;
    const isTold = request.asked.shape.stream && outputTokens > 0 && ttftMs < totalMs;
    const cancelFirst = isTold
      ? clock.after(ttftMs, () => this.#front.generated(request, 1))
      : () => {};
    const cancelEnd = clock.after(totalMs, () => this.#ended(running));
    const cancel = () => {
      cancelFirst();
      cancelEnd();
    };
    this.#flights.set(request.index, { running, host, cancel });
    score.measure(hosts, clock.nowMs(), false);
  }

  #ended(running: Running): void {
    const { request, outputTokens, ttftMs, totalMs } = running;
    this.#forget(request.index);
    this.#parts.score.ended(running);
    this.#front.ended(request, {
      how: 'finished',
      outputTokens,
      ttftMs: request.asked.shape.stream ? ttftMs : null,
      totalMs,
    });
  }

  #forget(index: number): void {
    const flight = this.#flights.get(index);
    flight?.cancel();
    flight?.host.running.delete(index);
    this.#flights.delete(index);
  }

  /** Tells the front what streams have brought, before anything is decided. */
  #progress(): void {
    const nowMs = this.#clock.nowMs();
    this.#nextProgressMs = nowMs + PROGRESS_INTERVAL_MS;
    for (const { running } of this.#flights.values()) {
      if (!running.request.asked.shape.stream) continue;
      const tokens = generatedTokens(running, nowMs);
      if (tokens > 0) this.#front.generated(running.request, tokens);
    }
  }

  #poll(): void {
    const { hosts, score, pollIntervalMs } = this.#parts;
    const nowMs = this.#clock.nowMs();
    this.#nextPollMs = nowMs + pollIntervalMs;
    // What the engine tells must not be more than what streams have brought by then.
    this.#progress();
    this.#front.poll();
    if (nowMs >= LEAD_MS) score.measure(hosts, nowMs, true);
  }

  #waitedMs({ atMs }: ReplayRequest): number {
    return this.#clock.nowMs() - atMs;
  }

  #requestOf({ index }: SimulatedRequest): ReplayRequest {
    const request = this.#parts.requests[index];
    if (request === undefined) throw new RangeError(`no request ${index}`);
    return request;
  }
}
