/** Decisions as values: what is granted, who waits for what, why something is refused. */
import { queuedCharge } from './choose.ts';
import type { Offer } from './offers.ts';
import { fillsMissingMaxTokens } from './offers.ts';
import { higherLevel } from './pressure.ts';
import type {
  AdmitDecision,
  AdmitReason,
  DecideInput,
  Decision,
  Level,
  RejectDecision,
  RejectReason,
} from './types.ts';

export function admit(input: DecideInput, offer: Offer, reason: AdmitReason): AdmitDecision {
  const asked = input.shape.requestedOutputTokens;
  const afterLevel = offer.effective.outputTokens;
  const shrunk = afterLevel !== null && offer.outputTokens < afterLevel;
  const writes =
    asked === null ? fillsMissingMaxTokens(offer.instance) : offer.outputTokens < asked;
  const home = input.pools[0];
  return {
    action: shrunk ? 'shrink' : offer.pool !== home ? 'route' : 'accept',
    reason,
    pool: offer.pool.name,
    instance: offer.instance.name,
    grant: {
      outputTokens: writes ? offer.outputTokens : null,
      sampling: offer.effective.sampling,
    },
    charge: offer.full,
    level: offer.instance.level,
    promptTokens: input.promptTokens,
  };
}

export function queue(
  input: DecideInput,
  offers: readonly Offer[],
  predictedWaitMs: number | null,
  reason: 'short_wait' | 'memory_pressure',
): Decision {
  const [first] = offers;
  if (first === undefined) return reject(input, 'memory_pressure', offers, predictedWaitMs);
  return {
    action: 'queue',
    reason,
    pool: first.pool.name,
    predictedWaitMs,
    charge: queuedCharge(first),
    level: levelOf(offers),
    promptTokens: input.promptTokens,
  };
}

export function reject(
  input: DecideInput,
  reason: RejectReason,
  offers: readonly Offer[],
  retryAfterMs: number | null,
): RejectDecision {
  return {
    action: 'reject',
    reason,
    retryAfterMs,
    charge: offers[0]?.least ?? null,
    level: levelOf(offers),
    promptTokens: input.promptTokens,
  };
}

function levelOf(offers: readonly Offer[]): Level {
  return offers.reduce<Level>((level, offer) => higherLevel(level, offer.instance.level), 'low');
}

/** Whether two decisions, made at the two ends of a token bound, come to the same. */
export function sameOutcome(a: Decision, b: Decision): boolean {
  if (a.action !== b.action || a.reason !== b.reason) return false;
  if (!('grant' in a) || !('grant' in b)) return true;
  return a.instance === b.instance && a.grant.outputTokens === b.grant.outputTokens;
}
