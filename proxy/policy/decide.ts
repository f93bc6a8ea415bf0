/**
 * The decision tree. `decide` is pure: everything it knows is in its input.
 *
 *  1  the level of each instance turns the request into what it may be there
 *  2  it can never fit anywhere                          -> reject never_fits
 *  3  a large request prefers the large pool
 *  4  its session's limit                                -> large pool, shrink, reject
 *  5  it fits the best instance of its pool              -> accept
 *  6  another pool has room                              -> route
 *  7  it will fit within the short wait                  -> queue
 *  8  a shrink makes it fit                              -> shrink
 *  9  the queue has room and its deadline is realistic   -> queue
 * 10  otherwise                                          -> reject, with Retry-After
 *
 * `admissionOrder` holds the order of 6 to 9.
 */
import { bestThatFits, largestNow, queuedCharge, queueWaitMs } from './choose.ts';
import { limitToSession } from './limit-to-session.ts';
import type { Offer, Offers } from './offers.ts';
import { canEverFit, firmCharge, fitsAtOnce, offerOf } from './offers.ts';
import { admit, queue, reject } from './outcomes.ts';
import { fitsEmpty } from './reserve.ts';
import type { AdmissionStep, DecideInput, Decision } from './types.ts';
import { assertNever } from './types.ts';

/** Every request gets exactly one decision; the numbers in the body are those above. */
export function decide(input: DecideInput): Decision {
  // 1
  const offers = input.pools.flatMap((pool) =>
    pool.instances.map((instance) => offerOf(input, pool, instance)),
  );
  const seeing = offers.filter((offer) => offer.instance.capacity.state !== 'blind');
  if (offers.length === 0) return reject(input, 'no_healthy_instance', [], null);
  if (seeing.length === 0) return reject(input, 'telemetry_blind', offers, null);

  // 2
  const possible = seeing.filter((offer) => canEverFit(input, offer));
  if (possible.length === 0) return reject(input, 'never_fits', seeing, null);

  // 3
  const large = possible.filter((offer) => offer.pool.large);
  const usual = possible.filter((offer) => !offer.pool.large);
  if (isLargeRequest(input, possible)) {
    const roomy = bestThatFits(large);
    if (roomy !== null) return admit(input, roomy, 'large_request');
  }

  // 4
  const limited = limitToSession(input, usual, large);
  if ('action' in limited) return limited;

  // 5
  const { home, reason } = limited;
  const best = bestThatFits(home) ?? bestUnasked(input, home);
  if (best !== null) {
    return admit(input, best, reason ?? (best.pool === input.pools[0] ? 'fits' : 'capacity'));
  }

  // 6 to 9
  const elsewhere = reason === null && usual.length > 0 ? large : [];
  return lastSteps(input, home, elsewhere);
}

/** Input tokens or KV beyond the limits of a usual request; by the smallest KV of any offer. */
function isLargeRequest(input: DecideInput, offers: readonly Offer[]): boolean {
  if (input.promptTokens > input.config.largeRequestTokens) return true;
  const kvBytes = offers.flatMap((offer) => firmCharge(offer).kvBytes ?? []);
  return kvBytes.length > 0 && Math.min(...kvBytes) > input.config.largeRequestKvBytes;
}

/** A request that names no max tokens takes the room that is left, if that is useful. */
function bestUnasked(input: DecideInput, offers: readonly Offer[]): Offer | null {
  if (input.shape.requestedOutputTokens !== null) return null;
  return largestNow(input, offers);
}

function lastSteps(input: DecideInput, home: Offers, elsewhere: readonly Offer[]): Decision {
  if (input.waits && !hasOtherWay(input, home, elsewhere)) {
    return queue(input, home, null, 'memory_pressure');
  }
  const waitMs = queueWaitMs(input, home);
  const isFull = input.queueLength >= input.config.queueMax;
  // What is too large for the empty instance never gets all it asks for: no use in waiting for that.
  const hasToWait = !home.some((offer) => fitsAtOnce(offer, queuedCharge(offer)));
  const mayQueue = hasToWait && !isFull && home.some((offer) => canBeServed(input, offer));
  const rest: Rest = { home, elsewhere, waitMs, mayQueue };
  for (const step of input.config.admissionOrder) {
    const decision = tryStep(input, step, rest);
    if (decision !== null) return decision;
  }
  // 10
  return reject(input, isFull ? 'queue_full' : 'memory_pressure', home, waitMs);
}

/** Whether there is anything to wait for: where a shrink is no step, all that was asked has to fit some time. */
function canBeServed({ shape, config }: DecideInput, { instance, full }: Offer): boolean {
  const maySettleForLess =
    shape.requestedOutputTokens === null || config.admissionOrder.includes('shrink');
  return maySettleForLess || fitsEmpty(instance, full);
}

/** Whether one that waits has anything else to try: only then its further wait matters, and is foreseen. */
function hasOtherWay(input: DecideInput, home: Offers, elsewhere: readonly Offer[]): boolean {
  if (home.some((offer) => fitsAtOnce(offer, queuedCharge(offer)))) return true;
  if (bestThatFits(elsewhere) !== null) return true;
  return input.shape.requestedOutputTokens !== null && largestNow(input, home) !== null;
}

/** What is left to try for a request that does not fit at home now. */
interface Rest {
  readonly home: Offers;
  /** Offers of another pool. */
  readonly elsewhere: readonly Offer[];
  /** Predicted for home; null when that can't be foreseen. */
  readonly waitMs: number | null;
  readonly mayQueue: boolean;
}

function tryStep(input: DecideInput, step: AdmissionStep, rest: Rest): Decision | null {
  const { home, elsewhere, waitMs, mayQueue } = rest;
  const { shortWaitMs, queueTargetMs, queueTimeoutMs } = input.config;
  switch (step) {
    case 'route': {
      const roomy = bestThatFits(elsewhere);
      return roomy === null ? null : admit(input, roomy, 'pool_full');
    }
    case 'short-queue': {
      const isSoon = waitMs !== null && waitMs <= shortWaitMs;
      return mayQueue && isSoon ? queue(input, home, waitMs, 'short_wait') : null;
    }
    case 'shrink': {
      if (input.shape.requestedOutputTokens === null) return null;
      const smaller = largestNow(input, home);
      return smaller === null ? null : admit(input, smaller, 'memory_pressure');
    }
    case 'queue': {
      const longestMs = input.isQueueStanding
        ? Math.min(queueTargetMs, queueTimeoutMs)
        : queueTimeoutMs;
      const isRealistic = waitMs === null || waitMs <= longestMs;
      return mayQueue && isRealistic ? queue(input, home, waitMs, 'memory_pressure') : null;
    }
    default:
      return assertNever(step);
  }
}
