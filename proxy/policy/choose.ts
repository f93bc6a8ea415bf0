/** Choosing among offers: the best that fits, the largest that can be cut to fit, the wait. */

import type { Offer } from './offers.ts';
import { fitsAtOnce, largestOutput } from './offers.ts';
import { headroomAfter, predictWaitMs } from './reserve.ts';
import type { Charge, DecideInput } from './types.ts';

/** The offer with the most headroom left, of those whose charge fits now. */
export function bestThatFits(
  offers: readonly Offer[],
  charge: (offer: Offer) => Charge,
): Offer | null {
  let best: Offer | null = null;
  let bestHeadroom = Number.NEGATIVE_INFINITY;
  for (const offer of offers) {
    if (!fitsAtOnce(offer, charge(offer))) continue;
    const headroom = headroomAfter(offer.instance, charge(offer));
    if (headroom > bestHeadroom) {
      best = offer;
      bestHeadroom = headroom;
    }
  }
  return best;
}

/** The best offer after cutting its output to what fits now. */
export function largestNow(input: DecideInput, offers: readonly Offer[]): Offer | null {
  let best: Offer | null = null;
  for (const offer of offers) {
    const fit = largestOutput(input, offer, (charge) => fitsAtOnce(offer, charge));
    if (fit === null || (best !== null && fit.outputTokens <= best.outputTokens)) continue;
    best = { ...offer, full: fit.charge, outputTokens: fit.outputTokens };
  }
  return best;
}

/**
 * What must be free for the request to leave the queue: all it asks for, or,
 * where that is more than the empty instance has, the least it accepts.
 */
export function queuedCharge(offer: Offer): Charge {
  const unaskedOrTooLarge = offer.effective.outputTokens === null || !fitsAlone(offer);
  return unaskedOrTooLarge ? offer.least : offer.full;
}

function fitsAlone(offer: Offer): boolean {
  const { capacity } = offer.instance;
  return !('units' in capacity) || offer.full.peakUnits <= capacity.units;
}

/** The predicted wait of the request for the best of these offers; null when it can't be foreseen. */
export function predictOffers(input: DecideInput, offers: readonly Offer[]): number | null {
  const [first] = offers;
  if (first === undefined) return null;
  const byInstance = new Map(offers.map((offer) => [offer.instance, queuedCharge(offer)]));
  return predictWaitMs(
    [...byInstance.keys()],
    first.pool.waiting,
    (instance) => {
      const charge = byInstance.get(instance);
      return { units: charge?.peakUnits ?? 0, sequences: charge?.sequences ?? 0 };
    },
    input.nowMs,
  );
}

/** When the first live lease of these instances ends: a session's own requests are among them. */
export function soonestEndMs(input: DecideInput, offers: readonly Offer[]): number | null {
  const ends = offers
    .flatMap((offer) => offer.instance.freeing)
    .flatMap(({ atMs }) => (atMs === null ? [] : [Math.max(0, atMs - input.nowMs)]));
  return ends.length === 0 ? null : Math.min(...ends);
}
