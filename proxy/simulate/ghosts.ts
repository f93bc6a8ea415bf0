/**
 * Whether Retry-After is true. A sample of those who were refused stays beside
 * the queue as ghosts, that take nothing: once all who waited when one was
 * refused have left the queue, and it would be let in with nobody before it,
 * its true wait is known. They look before whoever waits is tried.
 */
import type { Decision } from '../policy/types.ts';
import type { Clock } from '../state/clock.ts';
import type { AdmissionRequest, Judge, Line } from '../state/judge.ts';

/** At a time, and in all: each look is a decision. */
const MOST_LIVE = 8;
const MOST_IN_ALL = 2_000;
const LOOK_INTERVAL_MS = 100;
/** Of the refused that are told when to come back, one in so many. */
const EVERY = 7;
/** Who still would not be let in then is taken as if it were. */
const LONGEST_MS = 300_000;
const NOBODY: Line = { length: 0, isStanding: false, waitingFor: () => [] };

interface Ghost {
  readonly request: AdmissionRequest;
  readonly refusedAtMs: number;
  readonly toldMs: number;
  /** Whoever joined the queue with this number or later came after it. */
  readonly place: number;
}

export class Ghosts {
  readonly #judge: Judge;
  readonly #clock: Clock;
  /** Those in the queue, in the order in which they joined. */
  readonly #waiting = new Map<string, number>();
  readonly #errors: number[] = [];
  #ghosts: Ghost[] = [];
  #joined = 0;
  #told = 0;
  #seen = 0;
  #nextLookMs = 0;

  constructor(judge: Judge, clock: Clock) {
    this.#judge = judge;
    this.#clock = clock;
  }

  /** What each was told, less its true wait, as a share of the latter. */
  get errors(): readonly number[] {
    return this.#errors;
  }

  decided(request: AdmissionRequest, decision: Decision): void {
    if (decision.action === 'queue') {
      this.#waiting.set(request.id, this.#joined);
      this.#joined += 1;
      return;
    }
    const waited = this.#waiting.delete(request.id);
    if (waited || decision.action !== 'reject' || decision.retryAfterMs === null) return;
    this.#told += 1;
    const isWanted = this.#told % EVERY === 1 && this.#seen < MOST_IN_ALL;
    if (!isWanted || this.#ghosts.length >= MOST_LIVE) return;
    this.#seen += 1;
    this.#ghosts.push({
      request,
      refusedAtMs: this.#clock.nowMs(),
      toldMs: decision.retryAfterMs,
      place: this.#joined,
    });
  }

  look(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#ghosts.length === 0 || nowMs < this.#nextLookMs) return;
    this.#nextLookMs = nowMs + LOOK_INTERVAL_MS;
    const [first = this.#joined] = this.#waiting.values();
    this.#ghosts = this.#ghosts.filter((ghost) => {
      const waitedMs = nowMs - ghost.refusedAtMs;
      const mayEnter = first >= ghost.place && this.#wouldEnter(ghost.request);
      if (!mayEnter && waitedMs < LONGEST_MS) return true;
      this.#errors.push((ghost.toldMs - waitedMs) / Math.max(1, waitedMs));
      return false;
    });
  }

  #wouldEnter(request: AdmissionRequest): boolean {
    const { action } = this.#judge.decide(request, request.shape.promptTokens, NOBODY);
    return action === 'accept' || action === 'route' || action === 'shrink';
  }
}
