/**
 * Continuous batching in virtual time: steps begin when the one before has
 * ended, and while nothing changes many are run as one. It is asked in order:
 * `advanceTo(t)` comes before what is submitted or cancelled at `t`.
 */
import type { EngineEvents, EngineGauges, EngineModel, Job, StepTime } from '../engine-model.ts';
import { Batch } from './batch.ts';
import { Entry } from './entry.ts';
import type { KvAccount } from './kv-account.ts';
import { Scheduler } from './scheduler.ts';
import { StepRun } from './step-run.ts';
import { WaitingLine } from './waiting-line.ts';

/** Looking further ahead than this costs more than beginning anew. */
const MAX_RUN_STEPS = 256;

export interface BatchSettings {
  readonly stepTime: StepTime;
  /** Tokens of one step: those that decode and those of prompts together. */
  readonly maxBatchedTokens: number;
}

export class BatchedEngine implements EngineModel {
  readonly #settings: BatchSettings;
  readonly #batch: Batch;
  readonly #line = new WaitingLine();
  readonly #scheduler: Scheduler;
  readonly #entries = new Map<Job, Entry>();
  #nowMs = 0;
  /** When the next step begins. */
  #clockMs = 0;
  #run: StepRun | null = null;
  /** The step in flight has begun at this very moment, and more has come for it. */
  #isStale = false;

  /** @throws RangeError where a step could hold no token */
  constructor(account: KvAccount, settings: BatchSettings) {
    if (!(settings.maxBatchedTokens >= 1)) {
      throw new RangeError(`a step of ${settings.maxBatchedTokens} tokens`);
    }
    this.#settings = settings;
    this.#batch = new Batch(account);
    this.#scheduler = new Scheduler(this.#batch, this.#line, settings.maxBatchedTokens);
  }

  submit(job: Job): void {
    const limit = this.#batch.account.outputLimitTokens(job.promptTokens);
    const entry = new Entry(job, Math.min(job.outputTokens, limit));
    this.#entries.set(job, entry);
    this.#line.push(entry);
    this.#interrupt();
  }

  cancel(job: Job): void {
    const entry = this.#entries.get(job);
    if (entry === undefined) return;
    this.#entries.delete(job);
    if (entry.state === 'waiting') this.#line.left();
    if (entry.state === 'prefilling' || entry.state === 'decoding') this.#batch.leave(entry);
    entry.state = 'ended';
    this.#interrupt();
  }

  generatedTokens(job: Job): number {
    const entry = this.#entries.get(job);
    return entry === undefined ? 0 : this.#batch.generatedTokens(entry);
  }

  nextEventAtMs(): number {
    return this.#currentRun()?.endMs ?? Number.POSITIVE_INFINITY;
  }

  advanceTo(atMs: number, events: EngineEvents): void {
    while (this.#run !== null || this.#clockMs < atMs) {
      const run = this.#currentRun();
      if (run === null) {
        this.#clockMs = atMs;
        break;
      }
      const steps = run.stepsBy(atMs);
      if (steps < run.steps && run.endOf(steps) === atMs && steps > 0) run.cutAfter(steps);
      if (steps < run.steps) {
        this.#progress(run, steps);
        break;
      }
      this.#complete(run, events);
    }
    this.#nowMs = Math.max(this.#nowMs, atMs);
  }

  gauges(): EngineGauges {
    const { account, running } = this.#batch;
    return {
      usedUnits: account.usedUnits,
      capacityUnits: account.capacityUnits,
      running: running.length,
      waiting: this.#line.length,
      preemptions: this.#scheduler.preemptions,
    };
  }

  /** The run in flight; begins one where there is work. */
  #currentRun(): StepRun | null {
    if (this.#run !== null && !this.#isStale) return this.#run;
    if (this.#run === null) {
      if (this.#batch.running.length === 0 && this.#line.length === 0) return null;
      this.#scheduler.begin();
    }
    this.#isStale = false;
    this.#scheduler.fill();
    const { baseMs, perSequenceMs, perPrefillTokenMs, perKvTokenMs } = this.#settings.stepTime;
    const { decoding, kvTokens } = this.#batch;
    const firstMs =
      baseMs +
      perSequenceMs * decoding +
      perPrefillTokenMs * this.#scheduler.chunkTokens +
      perKvTokenMs * kvTokens;
    const steps = this.#scheduler.quietSteps(MAX_RUN_STEPS);
    this.#run = new StepRun(this.#clockMs, firstMs, perKvTokenMs * decoding, steps);
    return this.#run;
  }

  /** Steps of the run up to `steps` have ended, and one more has begun. */
  #progress(run: StepRun, steps: number): void {
    this.#batch.growBy(steps - run.doneSteps);
    this.#batch.doneSteps += steps - run.doneSteps;
    run.doneSteps = steps;
  }

  /** Something came or left: the step in flight still ends as it began, what follows is new. */
  #interrupt(): void {
    if (this.#run === null) return;
    if (this.#run.startMs === this.#nowMs && this.#run.doneSteps === 0) this.#isStale = true;
    else this.#run.cutAfter(this.#run.doneSteps + 1);
  }

  #complete(run: StepRun, events: EngineEvents): void {
    this.#progress(run, run.steps - 1);
    this.#batch.doneSteps += 1;
    this.#run = null;
    this.#clockMs = run.endMs;
    this.#nowMs = run.endMs;
    const failed = this.#scheduler.takeFailing();
    const first = this.#prefilled();
    const ended: Entry[] = [];
    for (let next = this.#batch.takeEnded(); next !== null; next = this.#batch.takeEnded()) {
      next.state = 'ended';
      ended.push(next);
    }
    // The engine has moved on before anyone is told: who is told may submit and cancel.
    for (const entry of first) if (this.#knows(entry)) events.firstToken(entry.job, run.endMs);
    for (const entry of ended) if (this.#forget(entry)) events.finished(entry.job, run.endMs);
    for (const entry of failed) {
      if (this.#forget(entry)) events.failed(entry.job, entry.failure ?? 'oom', run.endMs);
    }
  }

  /** Ends the prefill of those whose last chunk this was; returns who has its first token by it. */
  #prefilled(): readonly Entry[] {
    if (this.#batch.prefilling.length === 0) return [];
    const first: Entry[] = [];
    for (const entry of [...this.#batch.prefilling]) {
      entry.computedTokens += entry.chunkTokens;
      entry.chunkTokens = 0;
      if (entry.computedTokens < entry.targetTokens) continue;
      this.#batch.endPrefill(entry);
      if (!entry.hasFirstToken) first.push(entry);
      entry.hasFirstToken = true;
    }
    return first;
  }

  #knows(entry: Entry): boolean {
    return this.#entries.get(entry.job) === entry;
  }

  #forget(entry: Entry): boolean {
    return this.#knows(entry) && this.#entries.delete(entry.job);
  }
}
