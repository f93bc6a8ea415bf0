/**
 * Admission: a request comes in, and goes on with a lease, waits, or is
 * refused. The lease is taken in the same synchronous step as the decision:
 * nobody can take in between what was found free.
 */
import { chargeOf, contextTokensOf } from '../memory/charge.ts';
import { refusalOf } from '../policy/outcomes.ts';
import { residentKvBytes } from '../policy/session-rules.ts';
import type {
  AdmitDecision,
  Charge,
  Decision,
  QueueDecision,
  RejectDecision,
} from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { AdmissionRequest, Judge, JudgeParts, Line } from './judge.ts';
import type { Lease, Ledger } from './ledger.ts';
import type { Metrics } from './metrics.ts';
import { isServing, type ServingInstance } from './pools.ts';
import type { Predictor } from './predictor.ts';
import { Queue, type QueueEntry, type QueueExit } from './queue.ts';

export interface Admitted {
  /** What is done. */
  readonly decision: AdmitDecision;
  /** What is reported: the same, but in `--mode observe` what would have been done. */
  readonly reported: Decision;
  readonly instance: ServingInstance;
  readonly lease: Lease;
  readonly queuedMs: number;
  /** `--mode observe`: nothing about the request may be changed. */
  readonly observed: boolean;
}

export type AdmissionResult =
  | { readonly outcome: 'admitted'; readonly admitted: Admitted }
  | { readonly outcome: 'rejected'; readonly decision: RejectDecision; readonly queuedMs: number }
  /** The client left while it waited; nobody is there to be answered. */
  | { readonly outcome: 'abandoned' };

interface WaitingRequest {
  readonly request: AdmissionRequest;
  readonly promptTokens: number;
}

export interface AdmissionParts extends JudgeParts {
  readonly judge: Judge;
  readonly ledger: Ledger;
  readonly predictor: Predictor;
  readonly metrics: Metrics;
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
    parts.ledger.onEnded((lease) => this.#endInSession(lease));
  }

  get queueLength(): number {
    return this.#queue.length;
  }

  /** Decides, waits if it must, and returns with a lease or a rejection. */
  async admit(request: AdmissionRequest, signal: AbortSignal): Promise<AdmissionResult> {
    const { judge, mode } = this.#parts;
    const promptTokens = await judge.tokens(request, this.#line, signal);
    if (signal.aborted) return { outcome: 'abandoned' };

    const decision = judge.decide(request, promptTokens, this.#line);
    if (this.#closed) return this.#reject(draining(decision), 0);
    if (mode === 'observe') return this.#observe(request, decision);
    switch (decision.action) {
      case 'accept':
      case 'shrink':
      case 'route':
        return this.#admit(request, decision, decision, 0);
      case 'reject':
        return this.#reject(decision, 0);
      case 'queue':
        return this.#wait(request, promptTokens, decision, signal);
    }
  }

  /** The dry run: counts if it must, decides, takes nothing. */
  async explain(request: AdmissionRequest, signal: AbortSignal): Promise<Decision> {
    const { judge } = this.#parts;
    return judge.decide(request, await judge.tokens(request, this.#line, signal), this.#line);
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
    promptTokens: number,
    decision: QueueDecision,
    signal: AbortSignal,
  ): Promise<AdmissionResult> {
    const { clock, metrics, judge } = this.#parts;
    const { charge, pool } = decision;
    metrics.decided(decision);
    const waiting = {
      units: charge.peakUnits,
      sequences: charge.sequences,
      durationMs: this.#durationIn(pool, charge),
    };
    const sinceMs = clock.nowMs();
    const exit = await this.#queue.wait({ request, promptTokens }, pool, waiting, signal);
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
        const now = judge.decide(request, promptTokens, this.#line);
        return this.#reject(refusalOf(now, 'queue_deadline'), queuedMs);
      }
      case 'closed':
        return this.#reject(draining(decision), queuedMs);
    }
  }

  #endInSession({ terms, generatedTokens }: Lease): void {
    const { layout, charge, sessionKey } = terms;
    if (sessionKey === null) return;
    const residentBytes = residentKvBytes(layout, charge, generatedTokens);
    const { sessions, clock } = this.#parts;
    sessions.end(sessionKey, charge.kvBytes ?? 0, residentBytes, clock.nowMs());
  }

  /** @returns null when the entry has to wait on */
  #retry({ item, pool: own, enqueuedAtMs }: QueueEntry<WaitingRequest>): AdmissionResult | null {
    const { judge, clock } = this.#parts;
    const { request, promptTokens } = item;
    // Whoever is ahead for its own pool has just been tried; those who wait for another are not overtaken.
    const ahead: Line = {
      length: 0,
      waitingFor: (pool) => (pool === own ? [] : this.#queue.waitingFor(pool)),
    };
    const decision = judge.decide(request, promptTokens, ahead);
    const queuedMs = clock.nowMs() - enqueuedAtMs;
    if (decision.action === 'queue') return null;
    if (decision.action !== 'reject') return this.#admit(request, decision, decision, queuedMs);
    const isFinal = decision.reason === 'never_fits' || decision.reason === 'session_kv_limit';
    return isFinal ? this.#reject(decision, queuedMs) : null;
  }

  /** `--mode observe`: the decision is reported, and the request goes as it came. */
  #observe(request: AdmissionRequest, decision: Decision): AdmissionResult {
    const healthy = this.#parts.pools.instances
      .filter(isServing)
      .filter((instance) => instance.health.state === 'healthy');
    const chosen = 'instance' in decision ? decision.instance : null;
    const target =
      healthy.find(({ name }) => name === chosen) ??
      healthy.find(({ large }) => !large) ??
      healthy[0];
    if (target === undefined) return this.#reject(refusalOf(decision, 'no_healthy_instance'), 0);
    const { layout } = target.facts;
    const { requestedOutputTokens, prompts, samplesPerPrompt } = request.shape;
    const { promptTokens } = decision;
    const outputTokens = requestedOutputTokens ?? contextTokensOf(layout);
    const untouched: AdmitDecision = {
      action: 'accept',
      reason: 'fits',
      pool: target.pool,
      instance: target.name,
      grant: { outputTokens: null, sampling: {} },
      charge: chargeOf(layout, promptTokens, outputTokens, prompts, samplesPerPrompt),
      level: decision.level,
      promptTokens,
    };
    return this.#admit(request, untouched, decision, 0);
  }

  #admit(
    request: AdmissionRequest,
    decision: AdmitDecision,
    reported: Decision,
    queuedMs: number,
  ): AdmissionResult {
    const { pools, ledger, sessions, clock } = this.#parts;
    const instance = pools.get(decision.instance);
    if (instance === undefined || !isServing(instance)) {
      return this.#reject(refusalOf(decision, 'no_healthy_instance'), queuedMs);
    }
    const lease = ledger.take({
      requestId: request.id,
      instance: instance.name,
      layout: instance.facts.layout,
      charge: decision.charge,
      sessionKey: request.session?.key ?? null,
      streams: request.shape.stream,
      takenAtMs: clock.nowMs(),
    });
    if (request.session !== null) {
      const { key, id } = request.session;
      sessions.begin(key, id, decision.charge.kvBytes ?? 0, clock.nowMs());
    }
    this.#parts.metrics.decided(reported);
    const observed = reported !== decision;
    const admitted = { decision, reported, instance, lease, queuedMs, observed };
    return { outcome: 'admitted', admitted };
  }

  #reject(decision: RejectDecision, queuedMs: number): AdmissionResult {
    this.#parts.metrics.decided(decision);
    return { outcome: 'rejected', decision, queuedMs };
  }

  /** The shortest that the pool's instances are predicted to take; null when none has learned yet. */
  #durationIn(pool: string, charge: Charge): number | null {
    const { pools, predictor } = this.#parts;
    const durations = pools.instances
      .filter((instance) => instance.pool === pool)
      .flatMap(({ name }) => predictor.likelyDurationMs(name, charge) ?? []);
    return durations.length === 0 ? null : Math.min(...durations);
  }
}

function waitOutcome(exit: QueueExit<AdmissionResult>): 'admitted' | 'rejected' | 'left' {
  switch (exit.how) {
    case 'served':
      return exit.result.outcome === 'admitted' ? 'admitted' : 'rejected';
    case 'abandoned':
      return 'left';
    case 'deadline':
    case 'closed':
      return 'rejected';
    default:
      return assertNever(exit);
  }
}

function draining(decision: Decision): RejectDecision {
  return { ...refusalOf(decision, 'draining'), retryAfterMs: DRAINING_RETRY_MS };
}
