/** Choosing among offers: the best that fits, the largest that can be cut to fit, the wait. */
import type { Offer, Offers } from './offers.ts';
import { cutTo, firmCharge, fitsAtOnce } from './offers.ts';
import { predictWaitMs } from './predict-wait.ts';
import { expectedCourse, fitsEmpty, headroomAfter } from './reserve.ts';
import type { Charge, DecideInput } from './types.ts';

/**
 * Of the offers that fit now, the one that leaves the most headroom; among
 * equals, such as those whose capacity nobody tells, the one with the fewest sequences.
 */
export function bestThatFits(offers: readonly Offer[]): Offer | null {
  let best: Offer | null = null;
  for (const offer of offers) {
    if (!fitsAtOnce(offer, offer.full)) continue;
    if (best === null || isRoomier(offer, best)) best = offer;
  }
  return best;
}

function isRoomier(a: Offer, b: Offer): boolean {
  const difference = headroomAfter(a.instance, a.full) - headroomAfter(b.instance, b.full);
  return difference > 0 || (difference === 0 && a.instance.sequences < b.instance.sequences);
}

/** Of the offers cut to what fits now, the one with the largest output. */
export function largestNow(input: DecideInput, offers: readonly Offer[]): Offer | null {
  let best: Offer | null = null;
  for (const offer of offers) {
    const cut = cutTo(input, offer, (charge) => fitsAtOnce(offer, charge));
    if (cut !== null && (best === null || cut.outputTokens > best.outputTokens)) best = cut;
  }
  return best;
}

/**
 * What must be free for the request to leave the queue: all it asks for, or,
 * where that is more than the empty instance has, the least it accepts.
 */
export function queuedCharge(offer: Offer): Charge {
  const firm = firmCharge(offer);
  return fitsEmpty(offer.instance, firm) ? firm : offer.least;
}

/** Milliseconds until the first of these offers is predicted to fit; null when that can't be foreseen. */
export function queueWaitMs(input: DecideInput, offers: Offers): number | null {
  const candidates = offers.map((offer) => {
    const { instance, outputLengths } = offer;
    const charge = queuedCharge(offer);
    const { units } = expectedCourse(instance, charge, outputLengths);
    return { instance, wanted: { units, sequences: charge.sequences } };
  });
  return predictWaitMs(candidates, offers[0].pool.waiting, input.nowMs);
}

/**
 * Milliseconds until the first live lease of these instances is predicted to
 * end: a session's own requests are among them. null when none is known.
 */
export function soonestEndMs(input: DecideInput, offers: readonly Offer[]): number | null {
  const ends = offers
    .flatMap((offer) => offer.instance.freeing)
    .flatMap(({ atMs }) => (atMs === null ? [] : [Math.max(0, atMs - input.nowMs)]));
  return ends.length === 0 ? null : Math.min(...ends);
}
