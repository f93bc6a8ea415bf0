/**
 * One run: arrivals, the engine's steps, timers and readings in the order of
 * virtual time. What ends at a moment is told before what comes at it.
 */
import type { EngineEvents, EngineModel, Job } from './engine-model.ts';
import type { Ended, Front, Stage } from './front.ts';
import type { Score } from './score.ts';
import type { SimulationClock } from './virtual-clock.ts';
import type { SimulatedRequest, Workload } from './workload.ts';

/** As production reads its engines and GPUs by default. */
const POLL_INTERVAL_MS = 500;
/** Streams tell of their tokens so often, a step or two: in production each event does. */
const PROGRESS_INTERVAL_MS = 25;

export interface SimulationParts {
  readonly workload: Workload;
  readonly engine: EngineModel;
  readonly clock: SimulationClock;
  readonly score: Score;
  readonly front: (stage: Stage) => Front;
}

/** What a run leaves that is not in its score. */
export interface RunFigures {
  /** From the first arrival to the last, in virtual time. */
  readonly arrivalsMs: number;
  /** Until the last request has ended. */
  readonly wholeMs: number;
  /** Memory in use over capacity, while requests arrive. */
  readonly meanShare: number;
  readonly peakShare: number;
  readonly preemptions: number;
}

interface Running extends Job {
  readonly request: SimulatedRequest;
  readonly startedAtMs: number;
  firstTokenAtMs: number | null;
}

type EngineEvent =
  | { readonly is: 'first'; readonly job: Job; readonly atMs: number }
  | { readonly is: Ended['how']; readonly job: Job; readonly atMs: number };

export class Simulation {
  readonly #parts: SimulationParts;
  readonly #front: Front;
  readonly #running = new Map<Job, Running>();
  readonly #jobs = new Map<number, Running>();
  /** Those whose first token is out; the others may be many, in the engine's own line. */
  readonly #streaming = new Set<Running>();
  readonly #collected: EngineEvent[] = [];
  readonly #events: EngineEvents = {
    firstToken: (job, atMs) => void this.#collected.push({ is: 'first', job, atMs }),
    finished: (job, atMs) => void this.#collected.push({ is: 'finished', job, atMs }),
    failed: (job, kind, atMs) => void this.#collected.push({ is: kind, job, atMs }),
  };
  #next = 0;
  #nextPollMs = 0;
  #nextProgressMs = 0;
  #samples = 0;
  #sumShare = 0;
  #peakShare = 0;

  constructor(parts: SimulationParts) {
    this.#parts = parts;
    this.#front = parts.front({
      start: (request, outputTokens) => this.#start(request, outputTokens),
      cancel: (request, why) => this.#cancel(request, why),
      queued: (request, predictedMs) =>
        parts.score.queued(request, parts.clock.nowMs(), predictedMs),
      refused: (request, reason, retryAfterMs) =>
        parts.score.refusedAs(request, parts.clock.nowMs(), reason, retryAfterMs),
    });
  }

  async run(): Promise<RunFigures> {
    const { workload, engine, clock } = this.#parts;
    let arriving = workload.requests > 0 ? workload.at(0) : null;
    let lastArrivalMs = 0;
    while (arriving !== null || this.#running.size > 0 || this.#front.waiting > 0) {
      const atMs = Math.min(
        arriving?.atMs ?? Number.POSITIVE_INFINITY,
        engine.nextEventAtMs(),
        clock.nextDueMs,
        this.#nextPollMs,
      );
      clock.moveTo(atMs);
      engine.advanceTo(atMs, this.#events);
      this.#progress(atMs);
      this.#tellEngineEvents();
      const timersRan = clock.runDue();
      if (atMs >= this.#nextPollMs) this.#poll(atMs, arriving !== null);
      while (arriving !== null && arriving.atMs <= atMs) {
        lastArrivalMs = arriving.atMs;
        this.#parts.score.arrived(arriving);
        this.#front.arrived(arriving);
        this.#next += 1;
        arriving = this.#next < workload.requests ? workload.at(this.#next) : null;
      }
      let settling = this.#front.settle(timersRan);
      while (settling !== null) {
        await settling;
        settling = this.#front.settle(false);
      }
    }
    return {
      arrivalsMs: lastArrivalMs,
      wholeMs: clock.nowMs(),
      meanShare: this.#samples === 0 ? 0 : this.#sumShare / this.#samples,
      peakShare: this.#peakShare,
      preemptions: engine.gauges().preemptions,
    };
  }

  #start(request: SimulatedRequest, limitTokens: number): void {
    const { clock, engine, score } = this.#parts;
    const outputTokens = Math.max(1, Math.min(request.outputTokens, limitTokens));
    const running: Running = {
      promptTokens: request.promptTokens,
      outputTokens,
      request,
      startedAtMs: clock.nowMs(),
      firstTokenAtMs: null,
    };
    this.#running.set(running, running);
    this.#jobs.set(request.index, running);
    engine.submit(running);
    score.started(request, clock.nowMs(), limitTokens);
  }

  #cancel(request: SimulatedRequest, why: 'taken_back' | 'cut'): void {
    const { clock, engine, score } = this.#parts;
    const running = this.#jobs.get(request.index);
    if (running === undefined) return;
    this.#forget(running);
    engine.cancel(running);
    score.cancelled(request, clock.nowMs(), why);
  }

  #forget(running: Running): void {
    this.#running.delete(running);
    this.#streaming.delete(running);
    this.#jobs.delete(running.request.index);
  }

  #tellEngineEvents(): void {
    const { score } = this.#parts;
    for (const { is, job, atMs } of this.#collected) {
      const running = this.#running.get(job);
      if (running === undefined) continue;
      const { request, startedAtMs } = running;
      if (is === 'first') {
        running.firstTokenAtMs = atMs;
        this.#streaming.add(running);
        this.#front.generated(request, 1);
        continue;
      }
      this.#forget(running);
      const { firstTokenAtMs, outputTokens } = running;
      const ttftMs = firstTokenAtMs === null ? null : firstTokenAtMs - startedAtMs;
      const ended: Ended = { how: is, outputTokens, ttftMs, totalMs: atMs - startedAtMs };
      score.endedAs(request, atMs, ended);
      this.#front.ended(request, ended);
    }
    this.#collected.length = 0;
  }

  /** Tells the front what streams have brought, before anything is decided. */
  #progress(nowMs: number): void {
    if (nowMs < this.#nextProgressMs) return;
    this.#nextProgressMs = nowMs + PROGRESS_INTERVAL_MS;
    const { engine } = this.#parts;
    for (const running of this.#streaming) {
      const tokens = engine.generatedTokens(running);
      if (tokens > 0) this.#front.generated(running.request, tokens);
    }
  }

  #poll(nowMs: number, isArriving: boolean): void {
    const { engine, score } = this.#parts;
    this.#nextPollMs = nowMs + POLL_INTERVAL_MS;
    this.#front.poll();
    const { usedUnits, capacityUnits } = engine.gauges();
    const share = usedUnits / capacityUnits;
    score.series.sample(nowMs, share, this.#front.waiting, this.#front.level);
    this.#peakShare = Math.max(this.#peakShare, share);
    if (!isArriving) return;
    this.#samples += 1;
    this.#sumShare += share;
  }
}
