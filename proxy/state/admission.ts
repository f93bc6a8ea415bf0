/**
 * Admission: a request comes in, and goes on with a lease, waits, or is
 * refused. The lease is taken in the same synchronous step as the decision:
 * nobody can take in between what was found free.
 */
import { refusalOf } from '../policy/outcomes.ts';
import type {
  AdmitDecision,
  Decision,
  QueueDecision,
  RejectDecision,
  RejectReason,
  TokenBounds,
} from '../policy/types.ts';
import type { AdmissionResult, Admitted } from './admission-result.ts';
import type { DecisionLog } from './decision-log.ts';
import type { AdmissionRequest } from './judge.ts';
import { untouched } from './observe.ts';
import { isServing } from './pools.ts';
import { MAX_TAKEN_BACK, waitingAgain } from './resumed.ts';
import { endInSession, takeLease } from './take-lease.ts';
import { WaitingRoom, type WaitingRoomParts } from './waiting-room.ts';

export interface AdmissionParts extends WaitingRoomParts {
  readonly decisionLog: DecisionLog;
  readonly mode: 'enforce' | 'observe';
}

/** What a client that is turned away by a shutdown is told: another replica may be up by then. */
const DRAINING_RETRY_MS = 5_000;

export class Admission {
  readonly #parts: AdmissionParts;
  readonly #room: WaitingRoom;
  #closed = false;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    parts.ledger.onEnded((lease) => endInSession(parts, lease));
    this.#room = new WaitingRoom(parts, {
      admit: (request, decision, queuedMs) => this.#admit(request, decision, decision, queuedMs),
      reject: (request, decision, queuedMs) => this.#reject(request, decision, queuedMs),
    });
  }

  get queueLength(): number {
    return this.#room.length;
  }

  /** Decides, waits if it must, and returns with a lease or a rejection. */
  async admit(request: AdmissionRequest, signal: AbortSignal): Promise<AdmissionResult> {
    const { judge, mode, pools } = this.#parts;
    let bounds = request.shape.promptTokens;
    const first = judge.first(request, this.#room.lineFor(request));
    let { decision } = first;
    if (first.countTokens !== null) {
      bounds = (await first.countTokens(signal)) ?? bounds;
      // The world went on meanwhile.
      decision = judge.decide(request, bounds, this.#room.lineFor(request));
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
        return this.#admitAtOnce(request, decision);
      case 'reject':
        return this.#reject(request, decision, 0);
      case 'queue':
        return this.#wait(request, bounds, decision, signal);
    }
  }

  /**
   * Lets a request wait again that was taken back before it had answered: ahead
   * of everybody, from `resumedRequest`.
   * @param before as what it was admitted
   */
  async readmit(
    request: AdmissionRequest,
    before: Admitted,
    signal: AbortSignal,
  ): Promise<AdmissionResult> {
    if (signal.aborted) return { outcome: 'abandoned' };
    const decision = waitingAgain(before);
    const queuedMs = this.#parts.clock.nowMs() - this.#cameAtMs(request);
    if (this.#closed) return this.#reject(request, draining(decision), queuedMs);
    if ((request.resumed?.times ?? 0) > MAX_TAKEN_BACK) {
      return this.#reject(request, refusalOf(decision, 'memory_pressure'), queuedMs);
    }
    const result = this.#wait(request, decision.estimate.promptTokens, decision, signal);
    // Another instance may have room at once.
    this.pump();
    return result;
  }

  /** The dry run: counts if it must, decides, takes nothing. */
  async explain(request: AdmissionRequest, signal: AbortSignal): Promise<Decision> {
    const { judge } = this.#parts;
    const { decision, countTokens } = judge.first(request, this.#room.lineFor(request));
    if (countTokens === null) return decision;
    const counted = await countTokens(signal);
    const bounds = counted ?? request.shape.promptTokens;
    return judge.decide(request, bounds, this.#room.lineFor(request));
  }

  /** Admits whoever of the queue fits now: memory was freed, or a reading arrived. */
  pump(): void {
    this.#room.pump();
  }

  /** Sends the queue away and refuses what comes: the process is draining. */
  close(): void {
    this.#closed = true;
    this.#room.close();
  }

  async #wait(
    request: AdmissionRequest,
    bounds: TokenBounds,
    decision: QueueDecision,
    signal: AbortSignal,
  ): Promise<AdmissionResult> {
    const { clock, judge } = this.#parts;
    const sinceMs = this.#cameAtMs(request);
    this.#tell(request, decision, clock.nowMs() - sinceMs, false);
    const exit = await this.#room.wait(request, bounds, decision, signal);
    const refuse = (reason: RejectReason) => {
      const now = judge.decide(request, bounds, this.#room.lineFor(request));
      return this.#reject(request, refusalOf(now, reason), clock.nowMs() - sinceMs);
    };
    switch (exit.how) {
      case 'served':
        return exit.result;
      case 'abandoned':
        this.pump();
        return { outcome: 'abandoned' };
      case 'displaced':
        return refuse('queue_full');
      case 'deadline':
        // Those behind may need less than the one that gave up.
        this.pump();
        return refuse('queue_deadline');
      case 'closed':
        return this.#reject(request, draining(decision), clock.nowMs() - sinceMs);
    }
  }

  /** Now, unless it was taken back and waits again. */
  #cameAtMs({ resumed }: AdmissionRequest): number {
    return resumed?.arrivedAtMs ?? this.#parts.clock.nowMs();
  }

  #admitAtOnce(request: AdmissionRequest, decision: AdmitDecision): AdmissionResult {
    const result = this.#admit(request, decision, decision, 0);
    if (result.outcome === 'admitted') this.#room.admittedAtOnce(request, decision);
    return result;
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

function draining(decision: Decision): RejectDecision {
  return { ...refusalOf(decision, 'draining'), retryAfterMs: DRAINING_RETRY_MS };
}
