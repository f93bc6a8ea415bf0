/** Opens a lease in the ledger and in its session, and closes it in both. */
import { lengthKey } from '../policy/length-key.ts';
import { residentKvBytes } from '../policy/session-rules.ts';
import type { AdmitDecision } from '../policy/types.ts';
import type { Clock } from './clock.ts';
import type { AdmissionRequest } from './judge.ts';
import type { Lease } from './lease.ts';
import type { Ledger } from './ledger.ts';
import type { ServingInstance } from './pools.ts';
import type { Sessions } from './sessions.ts';

export interface LeaseRooms {
  readonly ledger: Ledger;
  readonly sessions: Sessions;
  readonly clock: Clock;
}

/** Call it in the same synchronous step as the decision. */
export function takeLease(
  { ledger, sessions, clock }: LeaseRooms,
  request: AdmissionRequest,
  { charge, estimate }: AdmitDecision,
  instance: ServingInstance,
): Lease {
  const takenAtMs = clock.nowMs();
  if (request.session !== null) {
    const { key, id } = request.session;
    sessions.begin(key, id, charge.kvBytes ?? 0, takenAtMs);
  }
  return ledger.take({
    requestId: request.id,
    instance: instance.name,
    layout: instance.facts.layout,
    charge,
    sessionKey: request.session?.key ?? null,
    lengthKey: lengthKey(request.shape, request.path, estimate.promptTokens.expected),
    streams: request.shape.stream,
    takenAtMs,
  });
}

/** The session's side of a lease that has ended. */
export function endInSession({ sessions, clock }: LeaseRooms, lease: Lease): void {
  const { layout, charge, sessionKey, instance } = lease.terms;
  if (sessionKey === null) return;
  const residentBytes = residentKvBytes(layout, charge, lease.generatedTokens);
  sessions.end(sessionKey, charge.kvBytes ?? 0, residentBytes, clock.nowMs(), instance);
}
