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
import { bestThatFits, largestNow, predictOffers, soonestEndMs } from './choose.ts';
import type { Offer } from './offers.ts';
import { canEverFit, largestOutput, offerOf } from './offers.ts';
import { admit, queue, reject } from './outcomes.ts';
import { judgeSession } from './session-rules.ts';
import type { AdmissionStep, AdmitReason, DecideInput, Decision } from './types.ts';
import { assertNever } from './types.ts';

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
  const isLarge = large.length > 0 && isLargeRequest(input, possible);
  if (isLarge) {
    const roomy = bestThatFits(large, (offer) => offer.full);
    if (roomy !== null) return admit(input, roomy, 'large_request');
  }

  // 4
  const limited = judgeUsual(input, usual, large);
  if ('decision' in limited) return limited.decision;

  // 5
  const home = limited.offers;
  const reason: AdmitReason = limited.reason ?? (usual.length === 0 ? 'capacity' : 'fits');
  const best = bestThatFits(home, (offer) => offer.full) ?? bestUnasked(input, home);
  if (best !== null) return admit(input, best, reason);

  // 6 to 9
  const elsewhere = limited.reason === null ? large : [];
  const wanted = isLarge && home.length === 0 ? large : home;
  return lastSteps(input, wanted, elsewhere);
}

/** Input tokens or KV beyond the limits of a usual request; decided by the smallest KV of any offer. */
function isLargeRequest(input: DecideInput, offers: readonly Offer[]): boolean {
  if (input.promptTokens > input.config.largeRequestTokens) return true;
  const kvBytes = offers.flatMap((offer) => offer.full.kvBytes ?? []);
  return kvBytes.length > 0 && Math.min(...kvBytes) > input.config.largeRequestKvBytes;
}

type Limited =
  | { readonly decision: Decision }
  | { readonly offers: readonly Offer[]; readonly reason: AdmitReason | null };

/**
 * Step 4. Alone over its session's limit, a request goes to the large pool if
 * it fits there, else is shrunk to the limit, else refused for good; over it
 * because of the session's own live requests, it may come back later.
 */
function judgeUsual(input: DecideInput, usual: readonly Offer[], large: readonly Offer[]): Limited {
  const limit = input.config.sessionKvLimitBytes;
  const offers = usual.length > 0 ? usual : large;
  const verdicts = offers.map((offer) => judgeSession(input.session, offer.full.kvBytes, limit));
  const within = offers.filter((_, index) => verdicts[index] === 'within');
  if (within.length > 0) return { offers: within, reason: null };
  if (verdicts.includes('busy')) {
    return { decision: reject(input, 'session_busy', offers, soonestEndMs(input, offers)) };
  }

  if (large.length > 0) return { offers: large, reason: 'session_limit' };
  const shrunk = offers.flatMap((offer) => {
    const fit = largestOutput(input, offer, (charge) => (charge.kvBytes ?? 0) <= limit);
    return fit === null ? [] : [{ ...offer, full: fit.charge, outputTokens: fit.outputTokens }];
  });
  if (shrunk.length === 0) return { decision: reject(input, 'session_kv_limit', offers, null) };
  return { offers: shrunk, reason: 'session_limit' };
}

/** A request that names no max tokens takes the room that is left, if that is useful. */
function bestUnasked(input: DecideInput, offers: readonly Offer[]): Offer | null {
  if (input.shape.requestedOutputTokens !== null) return null;
  return largestNow(input, offers);
}

function lastSteps(
  input: DecideInput,
  home: readonly Offer[],
  elsewhere: readonly Offer[],
): Decision {
  const waitMs = predictOffers(input, home);
  for (const step of input.config.admissionOrder) {
    const decision = tryStep(input, step, home, elsewhere, waitMs);
    if (decision !== null) return decision;
  }
  // 10
  const full = input.queueLength >= input.config.queueMax;
  return reject(input, full ? 'queue_full' : 'memory_pressure', home, waitMs);
}

function tryStep(
  input: DecideInput,
  step: AdmissionStep,
  home: readonly Offer[],
  elsewhere: readonly Offer[],
  waitMs: number | null,
): Decision | null {
  const { config } = input;
  const queueHasRoom = input.queueLength < config.queueMax;
  switch (step) {
    case 'route': {
      const others = elsewhere.filter((offer) => !home.includes(offer));
      const roomy = bestThatFits(others, (offer) => offer.full);
      return roomy === null ? null : admit(input, roomy, 'pool_full');
    }
    case 'short-queue': {
      const soon = waitMs !== null && waitMs <= config.shortWaitMs;
      return soon && queueHasRoom ? queue(input, home, waitMs, 'short_wait') : null;
    }
    case 'shrink': {
      if (input.shape.requestedOutputTokens === null) return null;
      const smaller = largestNow(input, home);
      return smaller === null ? null : admit(input, smaller, 'memory_pressure');
    }
    case 'queue': {
      const realistic = waitMs === null || waitMs <= config.queueTimeoutMs;
      return realistic && queueHasRoom ? queue(input, home, waitMs, 'memory_pressure') : null;
    }
    default:
      return assertNever(step);
  }
}
