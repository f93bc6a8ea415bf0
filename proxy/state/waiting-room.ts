/**
 * The half of admission that waits: who comes before whom, the turn of an entry
 * whenever memory is freed, and what those who were served owe the others.
 */
import type { Turn } from '../policy/fair-order.ts';
import { heldCost, likelyTokens } from '../policy/held-cost.ts';
import type { AdmitDecision, QueueDecision, RejectDecision, TokenBounds } from '../policy/types.ts';
import { type AdmissionResult, waitOutcome } from './admission-result.ts';
import type { AdmissionRequest, Judge, JudgeParts, Line } from './judge.ts';
import type { Ledger } from './ledger.ts';
import type { Metrics } from './metrics.ts';
import type { Pools } from './pools.ts';
import { type Attempt, Queue, type QueueEntry, type QueueExit } from './queue.ts';
import type { Speeds } from './speeds.ts';
import { TrueUps } from './true-ups.ts';

export interface WaitingRoomParts extends JudgeParts {
  readonly judge: Judge;
  readonly ledger: Ledger;
  readonly speeds: Speeds;
  readonly metrics: Metrics;
}

/** Those who carry out what was decided on somebody who has waited. */
export interface Desk {
  admit(request: AdmissionRequest, decision: AdmitDecision, queuedMs: number): AdmissionResult;
  reject(request: AdmissionRequest, decision: RejectDecision, queuedMs: number): AdmissionResult;
}

/** A queue that was not empty for so long is no burst that passes. */
const STANDING_MS = 10_000;

interface WaitingRequest {
  readonly request: AdmissionRequest;
  readonly bounds: TokenBounds;
}

export class WaitingRoom {
  readonly #parts: WaitingRoomParts;
  readonly #desk: Desk;
  readonly #queue: Queue<WaitingRequest, AdmissionResult>;
  readonly #trueUps: TrueUps;
  #pumping = false;
  /** When somebody last came to an empty queue. */
  #lastEmptyMs = 0;

  constructor(parts: WaitingRoomParts, desk: Desk) {
    this.#parts = parts;
    this.#desk = desk;
    this.#queue = new Queue(parts.clock, parts.policy.queueTimeoutMs);
    this.#trueUps = new TrueUps(parts.clock, this.#queue);
    parts.ledger.onEnded((lease) => this.#trueUps.ended(lease));
    parts.ledger.onFreed(() => this.pump());
    parts.ledger.onTurn(({ terms }, turn) => {
      // There prefills wait for each other, even where nothing that was promised is given back.
      if (turn === 'first_token' && terms.layout.model === 'dynamic') this.pump();
    });
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Those who wait, as a newcomer meets them: a place that it may take from another is free. */
  lineFor(request: AdmissionRequest): Line {
    const { queueMax } = this.#parts.policy;
    const { length } = this.#queue;
    const isRoomMade = length >= queueMax && this.#queue.hasToDisplace(request.tenant);
    return {
      length: isRoomMade ? queueMax - 1 : length,
      isStanding: this.#isStanding(),
      waitingFor: (pool) => this.#queue.aheadOf(request, pool),
    };
  }

  #isStanding(): boolean {
    return this.#queue.length > 0 && this.#parts.clock.nowMs() - this.#lastEmptyMs > STANDING_MS;
  }

  /** Waits in the line of the pool that was decided. */
  async wait(
    request: AdmissionRequest,
    bounds: TokenBounds,
    decision: QueueDecision,
    signal: AbortSignal,
  ): Promise<QueueExit<AdmissionResult>> {
    const { clock, metrics, policy } = this.#parts;
    const { pool, charge, expected, predictedWaitMs } = decision;
    const { resumed } = request;
    const mayDisplace = resumed === undefined;
    if (mayDisplace && this.#queue.length >= policy.queueMax) {
      this.#queue.displaceFor(request.tenant);
    }
    const waiting = {
      units: expected.units,
      heldUnits: expected.heldUnits,
      sequences: charge.sequences,
      durationMs: this.#durationMs(decision, expected.outputTokens),
    };
    const place = { ...this.#turnOf(request, decision), pool, waiting, resumed };
    const sinceMs = clock.nowMs();
    if (this.#queue.length === 0) this.#lastEmptyMs = sinceMs;
    const exit = await this.#queue.wait({ request, bounds }, place, signal);
    const realMs = clock.nowMs() - sinceMs;
    const outcome = waitOutcome(exit);
    metrics.waitedInQueue(realMs / 1000, outcome, request.priority);
    if (outcome === 'admitted' && predictedWaitMs !== null) {
      metrics.waitPredicted({ predictedMs: predictedWaitMs, realMs });
    }
    return exit;
  }

  /** A newcomer was admitted without waiting: in a line that is not empty it owes for that. */
  admittedAtOnce(request: AdmissionRequest, decision: AdmitDecision): void {
    if (this.#queue.length === 0) return;
    const turn = this.#turnOf(request, decision);
    this.#queue.servedAtOnce(turn, decision.pool);
    this.#trueUps.remember(request.id, turn, decision.pool);
  }

  /** Admits whoever fits now: memory was freed, somebody left, or a reading arrived. */
  pump(): void {
    if (this.#pumping || this.#queue.length === 0) return;
    this.#pumping = true;
    try {
      this.#queue.pump((entry) => this.#attempt(entry));
    } finally {
      this.#pumping = false;
    }
  }

  /** Sends everybody away. */
  close(): void {
    this.#queue.close();
  }

  #attempt(entry: QueueEntry<WaitingRequest>): Attempt<AdmissionResult> {
    const { judge, clock } = this.#parts;
    const { request, bounds } = entry.item;
    // Its turn has come in its own line; in that of another pool nobody is passed by.
    const ahead: Line = {
      length: 0,
      isStanding: false,
      own: true,
      waitingFor: (pool) =>
        pool === entry.pool
          ? []
          : this.#queue.aheadOf(request, pool).map((other) => ({ ...other, passable: false })),
    };
    const decision = judge.decide(request, bounds, ahead);
    const queuedMs = clock.nowMs() - entry.enqueuedAtMs;
    if (decision.action === 'queue') return { how: 'short' };
    if (decision.action !== 'reject') {
      const result = this.#desk.admit(request, decision, queuedMs);
      const holds = result.outcome === 'admitted';
      if (holds) this.#trueUps.remember(request.id, entry, entry.pool);
      return { how: 'served', result, holds };
    }
    if (decision.reason === 'never_fits' || decision.reason === 'session_kv_limit') {
      const result = this.#desk.reject(request, decision, queuedMs);
      return { how: 'served', result, holds: false };
    }
    return { how: decision.reason === 'memory_pressure' ? 'short' : 'aside' };
  }

  #turnOf({ priority, tenant }: AdmissionRequest, decision: QueueDecision | AdmitDecision): Turn {
    const { charge, estimate } = decision;
    const outputTokens = likelyTokens(charge, estimate);
    const durationMs = this.#durationMs(decision, outputTokens);
    return { priority, tenant, cost: heldCost(charge, outputTokens, durationMs) };
  }

  /** Predicted, from its admission to its end; null before anything was learned. */
  #durationMs(
    { pool, charge }: QueueDecision | AdmitDecision,
    outputTokens: number,
  ): number | null {
    const { speeds, pools } = this.#parts;
    return speeds.quickestDurationMs(namesIn(pools, pool), charge.promptTokens, outputTokens);
  }
}

function namesIn(pools: Pools, pool: string): readonly string[] {
  return pools.instances.filter((instance) => instance.pool === pool).map(({ name }) => name);
}
