/**
 * Admission: a request comes in, and goes on with a lease, waits, or is
 * refused. The lease is taken in the same synchronous step as the decision:
 * nobody can take in between what was found free.
 */
import { steadyKvBytes } from '../memory/kv-layout.ts';
import type {
  AdmitDecision,
  Decision,
  QueueDecision,
  RejectDecision,
  RejectReason,
} from '../policy/types.ts';
import type { AdmissionRequest, Judge, JudgeParts, Line } from './judge.ts';
import type { Lease, Ledger } from './ledger.ts';
import type { Metrics } from './metrics.ts';
import { isServing, type ServingInstance } from './pools.ts';
import type { Predictor } from './predictor.ts';
import { Queue, type QueueExit } from './queue.ts';

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
  result: AdmissionResult | null;
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

const EXIT_OUTCOMES = {
  admitted: 'admitted',
  abandoned: 'left',
  deadline: 'rejected',
  closed: 'rejected',
} as const satisfies Record<QueueExit, string>;

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #queue: Queue<WaitingRequest>;
  readonly #line: Line;
  #pumping = false;
  #closed = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    const queue = new Queue<WaitingRequest>(parts.clock, parts.policy.queueTimeoutMs);
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
      this.#queue.pump(({ item, enqueuedAtMs }) => this.#retry(item, enqueuedAtMs));
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
    const { clock, metrics, judge, predictor } = this.#parts;
    const { charge, pool } = decision;
    this.#parts.metrics.decided(decision);
    const item: WaitingRequest = { request, promptTokens, result: null };
    const waiting = {
      units: charge.peakUnits,
      sequences: charge.sequences,
      durationMs: this.#durationIn(pool, predictor, charge.promptTokens, charge.outputTokens),
    };
    const sinceMs = clock.nowMs();
    const exit = await this.#queue.wait(item, pool, waiting, signal);
    const queuedMs = clock.nowMs() - sinceMs;
    metrics.waitedInQueue(queuedMs / 1000, EXIT_OUTCOMES[exit]);
    switch (exit) {
      case 'admitted':
        return item.result ?? this.#reject(draining(decision), queuedMs);
      case 'abandoned':
        return { outcome: 'abandoned' };
      case 'deadline': {
        const now = judge.decide(request, promptTokens, this.#line);
        return this.#reject(refusal(now, 'queue_deadline'), queuedMs);
      }
      case 'closed':
        return this.#reject(draining(decision), queuedMs);
    }
  }

  #endInSession({ terms, generatedTokens }: Lease): void {
    if (terms.sessionKey === null) return;
    const { sessions, clock } = this.#parts;
    const { layout, charge } = terms;
    const leaseBytes = charge.kvBytes ?? 0;
    // A dynamic server frees a request's KV with the request; pools keep its prefix for reuse.
    const keeps = layout.model !== 'dynamic' && layout.spec !== null;
    const tokens = charge.promptTokens + generatedTokens * charge.sequences;
    const residentBytes = keeps
      ? Math.min(leaseBytes, steadyKvBytes(layout.spec, tokens, layout.kvBytesPerElement))
      : 0;
    sessions.end(terms.sessionKey, leaseBytes, residentBytes, clock.nowMs());
  }

  /** @returns true when the entry is done with, admitted or refused for good */
  #retry(item: WaitingRequest, enqueuedAtMs: number): boolean {
    const { judge, clock } = this.#parts;
    // Whoever is ahead for the same pool has just been tried: nobody is overtaken.
    const alone: Line = { length: 0, waitingFor: () => [] };
    const decision = judge.decide(item.request, item.promptTokens, alone);
    const queuedMs = clock.nowMs() - enqueuedAtMs;
    if (decision.action === 'queue') return false;
    if (decision.action !== 'reject') {
      item.result = this.#admit(item.request, decision, decision, queuedMs);
      return true;
    }
    if (decision.reason !== 'never_fits' && decision.reason !== 'session_kv_limit') return false;
    item.result = this.#reject(decision, queuedMs);
    return true;
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
    if (target === undefined || decision.charge === null) {
      return this.#reject(refusal(decision, 'no_healthy_instance'), 0);
    }
    const untouched: AdmitDecision = {
      action: 'accept',
      reason: 'fits',
      pool: target.pool,
      instance: target.name,
      grant: { outputTokens: null, sampling: {} },
      charge: decision.charge,
      level: decision.level,
      promptTokens: decision.promptTokens,
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
      return this.#reject(refusal(decision, 'no_healthy_instance'), queuedMs);
    }
    const lease = ledger.take({
      requestId: request.id,
      instance: instance.name,
      layout: instance.facts.layout,
      charge: decision.charge,
      sessionKey: request.session?.key ?? null,
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
  #durationIn(
    pool: string,
    predictor: Predictor,
    promptTokens: number,
    outputTokens: number,
  ): number | null {
    const durations = this.#parts.pools.instances
      .filter((instance) => instance.pool === pool)
      .flatMap(({ name }) => predictor.durationMs(name, promptTokens, outputTokens) ?? []);
    return durations.length === 0 ? null : Math.min(...durations);
  }
}

/** Any decision as a refusal for another reason, with the wait it had predicted. */
function refusal(decision: Decision, reason: RejectReason): RejectDecision {
  const { level, promptTokens, charge } = decision;
  const retryAfterMs =
    decision.action === 'queue'
      ? decision.predictedWaitMs
      : decision.action === 'reject'
        ? decision.retryAfterMs
        : 0;
  return { action: 'reject', reason, retryAfterMs, level, promptTokens, charge };
}

function draining(decision: Decision): RejectDecision {
  return { ...refusal(decision, 'draining'), retryAfterMs: DRAINING_RETRY_MS };
}
