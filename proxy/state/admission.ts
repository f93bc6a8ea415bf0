/**
 * Admission: a request comes in, and goes on with a lease, waits, or is
 * refused. The lease is taken in the same synchronous step as the decision:
 * nobody can take in between what was found free.
 */
import { refusalOf } from '../policy/outcomes.ts';
import { likelyOutputTokens } from '../policy/predict-wait.ts';
import type {
  AdmitDecision,
  Decision,
  QueueDecision,
  RejectDecision,
  TokenBounds,
} from '../policy/types.ts';
import { type AdmissionResult, waitOutcome } from './admission-result.ts';
import type { DecisionLog } from './decision-log.ts';
import type { AdmissionRequest, Judge, JudgeParts, Line } from './judge.ts';
import type { Ledger } from './ledger.ts';
import type { Metrics } from './metrics.ts';
import { untouched } from './observe.ts';
import { isServing, type Pools } from './pools.ts';
import { Queue, type QueueEntry } from './queue.ts';
import type { Speeds } from './speeds.ts';
import { endInSession, takeLease } from './take-lease.ts';

interface WaitingRequest {
  readonly request: AdmissionRequest;
  readonly bounds: TokenBounds;
}

export interface AdmissionParts extends JudgeParts {
  readonly judge: Judge;
  readonly ledger: Ledger;
  readonly speeds: Speeds;
  readonly metrics: Metrics;
  readonly decisionLog: DecisionLog;
  readonly mode: 'enforce' | 'observe';
}

/** What a client that is turned away by a shutdown is told: another replica may be up by then. */
const DRAINING_RETRY_MS = 5_000;

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #queue: Queue<WaitingRequest, AdmissionResult>;
  readonly #line: Line;
  #pumping = false;
  #closed = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const queue = new Queue<WaitingRequest, AdmissionResult>(
      parts.clock,
      parts.policy.queueTimeoutMs,
    );
    this.#queue = queue;
    this.#line = {
      get length() {
        return queue.length;
      },
      waitingFor: (pool) => queue.waitingFor(pool),
    };
    parts.ledger.onFreed(() => this.pump());
    parts.ledger.onEnded((lease) => endInSession(parts, lease));
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /** Decides, waits if it must, and returns with a lease or a rejection. */
  async admit(request: AdmissionRequest, signal: AbortSignal): Promise<AdmissionResult> {
    const { judge, mode, pools } = this.#parts;
    let bounds = request.shape.promptTokens;
    const first = judge.first(request, this.#line);
    let { decision } = first;
    if (first.countTokens !== null) {
      bounds = (await first.countTokens(signal)) ?? bounds;
      // The world went on meanwhile.
      decision = judge.decide(request, bounds, this.#line);
    }
    if (signal.aborted) return { outcome: 'abandoned' };
    if (this.#closed) return this.#reject(request, draining(decision), 0);
    if (mode === 'observe') {
      const plain = untouched(pools, request, decision);
      if (plain === null)
        return this.#reject(request, refusalOf(decision, 'no_healthy_instance'), 0);
      return this.#admit(request, plain, decision, 0);
    }
    switch (decision.action) {
      case 'accept':
      case 'shrink':
      case 'route':
        return this.#admit(request, decision, decision, 0);
      case 'reject':
        return this.#reject(request, decision, 0);
      case 'queue':
        return this.#wait(request, bounds, decision, signal);
    }
  }

  /** The dry run: counts if it must, decides, takes nothing. */
  async explain(request: AdmissionRequest, signal: AbortSignal): Promise<Decision> {
    const { judge } = this.#parts;
    const { decision, countTokens } = judge.first(request, this.#line);
    if (countTokens === null) return decision;
    const counted = await countTokens(signal);
    return judge.decide(request, counted ?? request.shape.promptTokens, this.#line);
  }

  /** Admits whoever of the queue fits now: memory was freed, or a reading arrived. */
  pump(): void {
    if (this.#pumping || this.#queue.length === 0) return;
    this.#pumping = true;
    try {
      this.#queue.pump((entry) => this.#retry(entry));
    } finally {
      this.#pumping = false;
    }
  }

  /** Sends the queue away and refuses what comes: the process is draining. */
  close(): void {
    this.#closed = true;
    this.#queue.close();
  }

  async #wait(
    request: AdmissionRequest,
    bounds: TokenBounds,
    decision: QueueDecision,
    signal: AbortSignal,
  ): Promise<AdmissionResult> {
    const { clock, metrics, judge, speeds, pools } = this.#parts;
    const { charge, pool } = decision;
    this.#tell(request, decision, 0, false);
    const waiting = {
      units: charge.peakUnits,
      sequences: charge.sequences,
      durationMs: speeds.quickestDurationMs(
        namesIn(pools, pool),
        charge.promptTokens,
        likelyOutputTokens(decision),
      ),
    };
    const sinceMs = clock.nowMs();
    const exit = await this.#queue.wait({ request, bounds }, pool, waiting, signal);
    const queuedMs = clock.nowMs() - sinceMs;
    metrics.waitedInQueue(queuedMs / 1000, waitOutcome(exit));
    switch (exit.how) {
      case 'served':
        return exit.result;
      case 'abandoned':
        this.pump();
        return { outcome: 'abandoned' };
      case 'deadline': {
        // Those behind may need less than the one that gave up.
        this.pump();
        const now = judge.decide(request, bounds, this.#line);
        return this.#reject(request, refusalOf(now, 'queue_deadline'), queuedMs);
      }
      case 'closed':
        return this.#reject(request, draining(decision), queuedMs);
    }
  }

  /** @returns null when the entry has to wait on */
  #retry({ item, pool: own, enqueuedAtMs }: QueueEntry<WaitingRequest>): AdmissionResult | null {
    const { judge, clock } = this.#parts;
    const { request, bounds } = item;
    // Whoever is ahead for its own pool has just been tried; those who wait for another are not overtaken.
    const ahead: Line = {
      length: 0,
      waitingFor: (pool) => (pool === own ? [] : this.#queue.waitingFor(pool)),
    };
    const decision = judge.decide(request, bounds, ahead);
    const queuedMs = clock.nowMs() - enqueuedAtMs;
    if (decision.action === 'queue') return null;
    if (decision.action !== 'reject') return this.#admit(request, decision, decision, queuedMs);
    const isFinal = decision.reason === 'never_fits' || decision.reason === 'session_kv_limit';
    return isFinal ? this.#reject(request, decision, queuedMs) : null;
  }

  #admit(
    request: AdmissionRequest,
    decision: AdmitDecision,
    reported: Decision,
    queuedMs: number,
  ): AdmissionResult {
    const instance = this.#parts.pools.get(decision.instance);
    if (instance === undefined || !isServing(instance)) {
      return this.#reject(request, refusalOf(decision, 'no_healthy_instance'), queuedMs);
    }
    const lease = takeLease(this.#parts, request, decision, instance);
    const observed = reported !== decision;
    this.#tell(request, reported, queuedMs, observed);
    const admitted = { decision, reported, instance, lease, queuedMs, observed };
    return { outcome: 'admitted', admitted };
  }

  #reject(request: AdmissionRequest, decision: RejectDecision, queuedMs: number): AdmissionResult {
    this.#tell(request, decision, queuedMs, false);
    return { outcome: 'rejected', decision, queuedMs };
  }

  #tell(request: AdmissionRequest, decision: Decision, queuedMs: number, observed: boolean): void {
    this.#parts.metrics.decided(decision);
    this.#parts.decisionLog.decided(request, decision, queuedMs, observed);
  }
}

function namesIn(pools: Pools, pool: string): readonly string[] {
  return pools.instances.filter((instance) => instance.pool === pool).map(({ name }) => name);
}

function draining(decision: Decision): RejectDecision {
  return { ...refusalOf(decision, 'draining'), retryAfterMs: DRAINING_RETRY_MS };
}
