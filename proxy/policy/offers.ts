/**
 * An offer: one instance as one request meets it, with the request as that
 * instance's level lets it be and the charges that would bring.
 */
import { contextTokensOf } from '../memory/charge.ts';
import { degrade, type EffectiveRequest } from './degrade.ts';
import type { LengthCurve } from './length-curve.ts';
import { chargeFor, fitsEmpty, fitsNow } from './reserve.ts';
import type { Charge, DecideInput, InstanceView, PoolView } from './types.ts';

export interface Offer {
  readonly pool: PoolView;
  readonly instance: InstanceView;
  readonly effective: EffectiveRequest;
  /** Output tokens of one sequence to reserve for: asked (after the level), or the most that may come. */
  readonly outputTokens: number;
  /** The fewest that may be reserved for in their place; equal where no shrink is allowed. */
  readonly leastOutputTokens: number;
  readonly full: Charge;
  readonly least: Charge;
  /** Lengths of outputs like its own; null: not enough is known. */
  readonly outputLengths: LengthCurve | null;
  /** Whether each of its charges fits now: a decision asks for the same ones again and again. */
  readonly fits: Map<Charge, boolean>;
}

/** At least one. */
export type Offers = readonly [Offer, ...Offer[]];

/** Whether there is any. */
export function isSome(offers: readonly Offer[]): offers is Offers {
  return offers.length > 0;
}

/**
 * Whether kvgate writes a max tokens into a request that has none. Where an
 * overrun hurts other requests (dynamic memory, a unified pool) it must; where
 * the engine contains it (preemption, a slot of its own) nothing is touched.
 */
export function fillsMissingMaxTokens(instance: InstanceView): boolean {
  const { layout } = instance;
  return layout.model === 'dynamic' || (layout.model === 'slots' && layout.unified);
}

/** A shrink may not cut a tool call or a JSON answer in half, nor touch who forbids it. */
function mayShrink(input: DecideInput): boolean {
  return !input.neverDegrade && !input.shape.hasTools && !input.shape.hasResponseFormat;
}

/**
 * Makes the offer of one instance: step 1 of the decision.
 * @param pool the one that the instance is in
 */
export function offerOf(input: DecideInput, pool: PoolView, instance: InstanceView): Offer {
  const { shape, config } = input;
  const effective = degrade(shape, instance.level, config, input.neverDegrade);
  const outputTokens = effective.outputTokens ?? unaskedOutputTokens(input, instance);
  const leastOutputTokens = leastOutput(input, outputTokens);
  const charge = (tokens: number) => chargeFor(instance, shape, input.promptTokens, tokens);
  return {
    pool,
    instance,
    effective,
    outputTokens,
    leastOutputTokens,
    full: charge(outputTokens),
    least: charge(leastOutputTokens),
    outputLengths: input.outputLengths,
    fits: new Map(),
  };
}

/** The most that a request without max tokens may bring: the rest of the context, or what was learned. */
function unaskedOutputTokens(input: DecideInput, instance: InstanceView): number {
  const windowTokens = Math.max(1, contextTokensOf(instance.layout) - promptTokensOfOne(input));
  const learnedTokens = input.estimate.outputTokens?.q99Tokens ?? windowTokens;
  return Math.min(windowTokens, Math.max(learnedTokens, input.config.minOutputTokens));
}

function leastOutput(input: DecideInput, outputTokens: number): number {
  const { minOutputTokens, shrinkFloor } = input.config;
  const useful = Math.min(outputTokens, minOutputTokens);
  const asked = input.shape.requestedOutputTokens;
  if (asked === null) return useful;
  if (!mayShrink(input)) return outputTokens;
  return Math.min(outputTokens, Math.max(useful, Math.ceil(asked * shrinkFloor)));
}

/** The shortest that the longest prompt of the body can be: prompts share the total. */
function promptTokensOfOne(input: DecideInput): number {
  return Math.ceil(input.promptTokens / input.shape.prompts);
}

/**
 * What a request is measured by: all it asks for, or, where it names no max
 * tokens, its prompt and the least that is useful. More than that it takes only
 * where there is room.
 */
export function firmCharge(offer: Offer): Charge {
  return offer.effective.outputTokens === null ? offer.least : offer.full;
}

/** Prompt and smallest useful output, inside the context and the empty instance's capacity. */
export function canEverFit(input: DecideInput, offer: Offer): boolean {
  const { minOutputTokens } = input.config;
  const useful = Math.min(input.shape.requestedOutputTokens ?? minOutputTokens, minOutputTokens);
  const contextTokens = contextTokensOf(offer.instance.layout);
  if (promptTokensOfOne(input) + useful > contextTokens) return false;
  return fitsEmpty(offer.instance, offer.least);
}

/** There is room, and it may be taken: nobody is before the request who may not be passed by. */
export function fitsAtOnce(offer: Offer, charge: Charge): boolean {
  const [first] = offer.pool.waiting;
  if (first !== undefined && first.passable !== true) return false;
  const known = offer.fits.get(charge);
  if (known !== undefined) return known;
  const fits = fitsNow(offer.instance, charge, offer.outputLengths);
  offer.fits.set(charge, fits);
  return fits;
}

/**
 * The offer with the largest output, between its least and its full, whose
 * charge is allowed; null when not even the least is.
 * @param allowed monotone: what allows a charge allows every smaller one
 */
export function cutTo(
  input: DecideInput,
  offer: Offer,
  allowed: (charge: Charge) => boolean,
): Offer | null {
  if (allowed(offer.full)) return offer;
  if (!allowed(offer.least)) return null;
  const charge = (tokens: number) =>
    chargeFor(offer.instance, input.shape, input.promptTokens, tokens);
  let fits = offer.leastOutputTokens;
  let exceeds = offer.outputTokens;
  while (exceeds - fits > 1) {
    const middle = Math.floor((fits + exceeds) / 2);
    if (allowed(charge(middle))) fits = middle;
    else exceeds = middle;
  }
  return { ...offer, outputTokens: fits, full: charge(fits) };
}
