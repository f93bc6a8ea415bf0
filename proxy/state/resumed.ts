/**
 * A request that was taken back from its engine before it had answered: it
 * waits again as the one it was, ahead of everybody.
 */
import type { QueueDecision } from '../policy/types.ts';
import type { Admitted } from './admission-result.ts';
import type { AdmissionRequest } from './judge.ts';

/** How often a request may be taken back; the next time it is refused, so that it ends at all. */
export const MAX_TAKEN_BACK = 3;

export interface Resumed {
  readonly times: number;
  /** When it came first: among those who were taken back that decides. */
  readonly arrivedAtMs: number;
  readonly takenBackAtMs: number;
  /** In line until then. The deadline is for waiting, so what it ran in vain is not counted. */
  readonly waitedMs: number;
}

/** The same request as it waits again; its prompt is not counted anew. */
export function resumedRequest(
  request: AdmissionRequest,
  { lease, decision, queuedMs }: Admitted,
  nowMs: number,
): AdmissionRequest {
  const { takenAtMs } = lease.terms;
  const before = request.resumed ?? null;
  const resumed: Resumed = {
    times: (before?.times ?? 0) + 1,
    arrivedAtMs: before?.arrivedAtMs ?? takenAtMs - queuedMs,
    takenBackAtMs: nowMs,
    waitedMs: before === null ? queuedMs : before.waitedMs + takenAtMs - before.takenBackAtMs,
  };
  const shape = { ...request.shape, promptTokens: decision.estimate.promptTokens };
  return { ...request, shape, countTokens: null, resumed };
}

/** As what it waits: in the line of the pool that it came from, for what it was charged there. */
export function waitingAgain({ decision }: Admitted): QueueDecision {
  const { pool, charge, level, promptTokens, estimate } = decision;
  return {
    action: 'queue',
    reason: 'memory_pressure',
    pool,
    predictedWaitMs: null,
    charge,
    expected: {
      units: charge.peakUnits,
      heldUnits: charge.peakUnits,
      outputTokens: charge.outputTokens,
    },
    level,
    promptTokens,
    estimate,
  };
}
