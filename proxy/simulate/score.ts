/** Counts what becomes of the requests of a simulation. */

import { EventLog } from './event-log.ts';
import type { Ended } from './front.ts';
import { Quantiles } from './quantiles.ts';
import { Series } from './series.ts';
import type { SimulatedRequest } from './workload.ts';

/** A request counts as good if it is finished within this, and this for each of its output tokens. */
const GOOD_MS = { fixed: 10_000, perOutputToken: 50 };
const FLAPPING_WINDOW_MS = 5_000;

export interface Tally {
  requests: number;
  completed: number;
  good: number;
  goodTokens: number;
  /** Of them, those that were finished while requests still came. */
  steadyGoodTokens: number;
}

interface Wait {
  readonly sinceMs: number;
  readonly predictedMs: number | null;
}

export class Score {
  readonly events = new EventLog();
  readonly series = new Series();
  readonly all: Tally = tally();
  readonly quartiles: readonly Tally[] = [tally(), tally(), tally(), tally()];
  readonly tenants = new Map<string, Tally>();
  readonly ended = { oom: 0, overflow: 0 };
  /** By the emergency brake: taken back to wait again, and cut short. */
  readonly brake = { taken_back: 0, cut: 0 };
  readonly refusedFor = new Map<string, number>();
  readonly ttftMs = new Quantiles();
  readonly waitsMs = new Quantiles();
  /** Of those who waited until they were let in: |predicted - real| over real. */
  readonly waitErrors = new Quantiles();
  readonly #waiting = new Map<number, Wait>();
  readonly #quartilePrompts: readonly number[];
  readonly #lastArrivalMs: number;
  readonly #levelChanges: number[] = [];
  levelChanges = 0;
  mostLevelChanges = 0;
  refused = 0;

  /** @param quartilePrompts prompt tokens up to which a prompt is of the first, second and third quartile */
  constructor(quartilePrompts: readonly number[], lastArrivalMs: number) {
    this.#quartilePrompts = quartilePrompts;
    this.#lastArrivalMs = lastArrivalMs;
  }

  arrived(request: SimulatedRequest): void {
    for (const each of this.#tallies(request)) each.requests += 1;
  }

  queued(request: SimulatedRequest, atMs: number, predictedMs: number | null): void {
    this.#waiting.set(request.index, { sinceMs: atMs, predictedMs });
    this.events.note(atMs, 'queued', request.index, Math.round(predictedMs ?? -1));
  }

  started(request: SimulatedRequest, atMs: number, outputTokens: number): void {
    const wait = this.#waiting.get(request.index);
    if (wait !== undefined) this.#waitEnded(request, wait, atMs);
    this.series.count(atMs, 'admitted');
    this.events.note(atMs, 'started', request.index, outputTokens);
  }

  refusedAs(request: SimulatedRequest, atMs: number, reason: string, retryMs: number | null): void {
    this.#waiting.delete(request.index);
    this.refused += 1;
    this.refusedFor.set(reason, (this.refusedFor.get(reason) ?? 0) + 1);
    this.series.count(atMs, 'refused');
    this.events.note(atMs, reason, request.index, Math.round(retryMs ?? -1));
  }

  cancelled({ index }: SimulatedRequest, atMs: number, why: 'taken_back' | 'cut'): void {
    this.brake[why] += 1;
    this.events.note(atMs, why, index, 0);
  }

  endedAs(request: SimulatedRequest, atMs: number, ended: Ended): void {
    const { how, outputTokens, ttftMs, totalMs } = ended;
    this.events.note(atMs, how, request.index, outputTokens);
    if (how !== 'finished') {
      this.ended[how] += 1;
      return;
    }
    // As its client sees it: the wait in the queue is part of it.
    if (ttftMs !== null) this.ttftMs.add(atMs - totalMs - request.atMs + ttftMs);
    const limitMs = GOOD_MS.fixed + GOOD_MS.perOutputToken * outputTokens;
    const isGood = atMs - request.atMs <= limitMs;
    if (isGood) this.series.count(atMs, 'goodTokens', outputTokens);
    for (const each of this.#tallies(request)) {
      each.completed += 1;
      if (!isGood) continue;
      each.good += 1;
      each.goodTokens += outputTokens;
      if (atMs <= this.#lastArrivalMs) each.steadyGoodTokens += outputTokens;
    }
  }

  levelChanged(atMs: number): void {
    const recent = this.#levelChanges;
    recent.push(atMs);
    while ((recent[0] ?? atMs) < atMs - FLAPPING_WINDOW_MS) recent.shift();
    this.levelChanges += 1;
    this.mostLevelChanges = Math.max(this.mostLevelChanges, recent.length);
    this.events.note(atMs, 'level', 0, this.levelChanges);
  }

  #waitEnded({ index }: SimulatedRequest, { sinceMs, predictedMs }: Wait, atMs: number): void {
    this.#waiting.delete(index);
    const realMs = atMs - sinceMs;
    this.waitsMs.add(realMs);
    if (predictedMs !== null) {
      this.waitErrors.add(Math.abs(predictedMs - realMs) / Math.max(1, realMs));
    }
  }

  #tallies({ promptTokens, tenant }: SimulatedRequest): readonly Tally[] {
    const above = this.#quartilePrompts.filter((most) => promptTokens > most).length;
    let own = this.tenants.get(tenant);
    if (own === undefined) {
      own = tally();
      this.tenants.set(tenant, own);
    }
    return [this.all, own, ...this.quartiles.slice(above, above + 1)];
  }
}

function tally(): Tally {
  return { requests: 0, completed: 0, good: 0, goodTokens: 0, steadyGoodTokens: 0 };
}
