/** Decisions as values: what is granted, who waits for what, why something is refused. */
import { queuedCharge } from './choose.ts';
import type { Offer, Offers } from './offers.ts';
import { fillsMissingMaxTokens } from './offers.ts';
import { higherLevel } from './pressure.ts';
import { expectedCourse } from './reserve.ts';
import type {
  AdmitDecision,
  AdmitReason,
  DecideInput,
  Decision,
  Level,
  QueueDecision,
  RejectDecision,
  RejectReason,
} from './types.ts';

/** The request goes to the offer's instance, with the offer's output; a cut one is a shrink. */
export function admit(input: DecideInput, offer: Offer, reason: AdmitReason): AdmitDecision {
  const asked = input.shape.requestedOutputTokens;
  const writes =
    asked === null ? fillsMissingMaxTokens(offer.instance) : offer.outputTokens < asked;
  return {
    action: actionOf(input, offer),
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
    estimate: input.estimate,
  };
}

function actionOf(input: DecideInput, offer: Offer): AdmitDecision['action'] {
  const afterLevel = offer.effective.outputTokens;
  if (afterLevel !== null && offer.outputTokens < afterLevel) return 'shrink';
  return offer.pool === input.pools[0] ? 'accept' : 'route';
}

/** The request waits for the pool of these offers, which are all of one. */
export function queue(
  input: DecideInput,
  [first, ...others]: Offers,
  predictedWaitMs: number | null,
  reason: QueueDecision['reason'],
): QueueDecision {
  const charge = queuedCharge(first);
  return {
    action: 'queue',
    reason,
    pool: first.pool.name,
    predictedWaitMs,
    charge,
    expected: expectedCourse(first.instance, charge, first.outputLengths),
    level: highestLevel([first, ...others]),
    promptTokens: input.promptTokens,
    estimate: input.estimate,
  };
}

/** The request is refused; `retryAfterMs` is null when nobody can say when it will be better. */
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
    level: highestLevel(offers),
    promptTokens: input.promptTokens,
    estimate: input.estimate,
  };
}

function highestLevel(offers: readonly Offer[]): Level {
  return offers.reduce<Level>((level, offer) => higherLevel(level, offer.instance.level), 'low');
}

/** A decision turned into a refusal for another reason, with the wait it had predicted. */
export function refusalOf(decision: Decision, reason: RejectReason): RejectDecision {
  const { level, promptTokens, estimate, charge } = decision;
  return {
    action: 'reject',
    reason,
    retryAfterMs: retryAfterMsOf(decision),
    level,
    promptTokens,
    estimate,
    charge,
  };
}

function retryAfterMsOf(decision: Decision): number | null {
  if (decision.action === 'reject') return decision.retryAfterMs;
  return decision.action === 'queue' ? decision.predictedWaitMs : 0;
}

/** Whether two decisions, made at the two ends of a token bound, come to the same. */
export function sameOutcome(a: Decision, b: Decision): boolean {
  if (a.action !== b.action || a.reason !== b.reason) return false;
  if (a.action === 'reject' || b.action === 'reject') return true;
  if (a.action === 'queue' || b.action === 'queue') return a.pool === b.pool;
  return a.instance === b.instance && a.grant.outputTokens === b.grant.outputTokens;
}
