/**
 * Who waits to be counted. One thread works on one job at a time; it is started
 * when there is something to do, ended when it was idle for long, replaced when
 * it dies or is stuck, and given up for a while when that happens too often.
 */
import type { Clock } from '../state/clock.ts';
import type { Log } from '../state/log.ts';
import type { CountAnswer, CountJob, Posted, VocabularyName } from './count-job.ts';

export interface CountingThread {
  post(posted: Posted): void;
  /** At once; none of its events comes after. */
  end(): void;
}

export interface ThreadEvents {
  readonly answered: (answer: CountAnswer) => void;
  /** It is gone by itself. */
  readonly ended: (why: string) => void;
}

interface Waiting {
  readonly job: CountJob;
  readonly resolve: (answer: CountAnswer | null) => void;
  /** Nobody wants its answer after that. */
  readonly deadlineMs: number;
  readonly cancelDeadline: () => void;
}

/** Whoever waits for a count has better things to do after that. */
const JOB_DEADLINE_MS = 1_500;
/** The worker ends a job by itself before that; one that does not is stuck. */
const STUCK_AFTER_MS = 3_000;
/** A tokenizer.json of 28 MB takes 3 s on an idle machine. */
const LOAD_DEADLINE_MS = 60_000;
const MAX_WAITING = 32;
/** Its vocabularies are given back then; loading one again takes a third of a second. */
const IDLE_MS = 600_000;
const MAX_FAILURES = 5;
const FAILURE_WINDOW_MS = 600_000;

export class CountingQueue {
  readonly #start: (events: ThreadEvents) => CountingThread;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #waiting: Waiting[] = [];
  readonly #loaded = new Set<VocabularyName>();
  /** Vocabularies that can't be loaded: another try would end the same way. */
  readonly #broken = new Set<VocabularyName>();
  #thread: CountingThread | null = null;
  #current: Waiting | null = null;
  #cancelTimer: () => void = () => {};
  #failedAtMs: readonly number[] = [];
  #closed = false;

  constructor(start: (events: ThreadEvents) => CountingThread, clock: Clock, log: Log) {
    this.#start = start;
    this.#clock = clock;
    this.#log = log;
  }

  /** null: not in time, or there is no room or no thread to do it. */
  run(job: CountJob): Promise<CountAnswer | null> {
    const isRefused = this.#closed || this.#isGivenUp() || this.#broken.has(job.vocabulary);
    if (isRefused || this.#waiting.length >= MAX_WAITING) return Promise.resolve(null);
    return new Promise((resolve) => {
      const patienceMs = job.task === 'load' ? LOAD_DEADLINE_MS : JOB_DEADLINE_MS;
      const waiting: Waiting = {
        job,
        resolve,
        deadlineMs: this.#clock.nowMs() + patienceMs,
        cancelDeadline: this.#clock.after(patienceMs, () => {
          const index = this.#waiting.indexOf(waiting);
          if (index >= 0) this.#waiting.splice(index, 1);
          resolve(null);
        }),
      };
      this.#waiting.push(waiting);
      this.#next();
    });
  }

  close(): void {
    this.#closed = true;
    this.#endThread();
    const working = this.#current === null ? [] : [this.#current];
    for (const waiting of [...working, ...this.#waiting.splice(0)]) this.#settle(waiting, null);
  }

  #next(): void {
    if (this.#current !== null || this.#closed) return;
    const [first] = this.#waiting;
    if (first === undefined) {
      this.#cancelTimer();
      this.#cancelTimer = this.#clock.after(IDLE_MS, () => this.#endThread());
      return;
    }
    if (!this.#loaded.has(first.job.vocabulary) && first.job.task !== 'load') {
      this.#post(loadFor(first.job.vocabulary, this.#clock.nowMs()));
      return;
    }
    this.#waiting.shift();
    this.#post(first);
  }

  #post(waiting: Waiting): void {
    const { job } = waiting;
    const isLoad = job.task === 'load';
    this.#current = waiting;
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(isLoad ? LOAD_DEADLINE_MS : STUCK_AFTER_MS, () =>
      this.#failed('stuck'),
    );
    try {
      this.#thread ??= this.#start({
        answered: (answer) => this.#answered(answer),
        ended: (why) => this.#failed(why),
      });
      this.#thread.post({ job, budgetMs: waiting.deadlineMs - this.#clock.nowMs() });
    } catch (error) {
      this.#failed(String(error));
    }
  }

  #answered(answer: CountAnswer): void {
    const current = this.#current;
    if (current === null) return;
    const { task, vocabulary } = current.job;
    if (task === 'load') {
      if (answer.outcome === 'loaded') this.#loaded.add(vocabulary);
      else this.#giveUp(vocabulary, answer.outcome === 'unknown' ? answer.why : 'not loaded');
    }
    this.#settle(current, answer);
    this.#next();
  }

  #failed(why: string): void {
    const current = this.#current;
    this.#endThread();
    this.#failedAtMs = [...this.#failedAtMs.slice(1 - MAX_FAILURES), this.#clock.nowMs()];
    this.#log.warn('Token counting thread ended', { detail: why.slice(0, 200) });
    if (current !== null) this.#settle(current, null);
    if (!this.#isGivenUp()) this.#next();
    else for (const waiting of this.#waiting.splice(0)) this.#settle(waiting, null);
  }

  #giveUp(vocabulary: VocabularyName, why: string): void {
    this.#broken.add(vocabulary);
    this.#log.warn('Vocabulary can not be loaded', { vocabulary, detail: why });
    for (const waiting of [...this.#waiting]) {
      if (waiting.job.vocabulary !== vocabulary) continue;
      this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
      this.#settle(waiting, null);
    }
  }

  #settle(waiting: Waiting, answer: CountAnswer | null): void {
    if (this.#current === waiting) this.#current = null;
    waiting.cancelDeadline();
    waiting.resolve(answer);
  }

  #endThread(): void {
    this.#cancelTimer();
    this.#thread?.end();
    this.#thread = null;
    this.#loaded.clear();
  }

  #isGivenUp(): boolean {
    const [oldest] = this.#failedAtMs;
    if (oldest === undefined || this.#failedAtMs.length < MAX_FAILURES) return false;
    return this.#clock.nowMs() - oldest < FAILURE_WINDOW_MS;
  }
}

/** Nobody waits for it: whoever needs the vocabulary comes next. */
function loadFor(vocabulary: VocabularyName, nowMs: number): Waiting {
  return {
    job: { task: 'load', vocabulary },
    resolve: () => {},
    deadlineMs: nowMs + LOAD_DEADLINE_MS,
    cancelDeadline: () => {},
  };
}
