/**
 * The future of one request on its instance, in decode steps from now: what it
 * will hold while it runs, and how likely it still runs. All sequences of an
 * engine grow by one token a step, which makes steps the clock they share.
 */
import { heldUnits } from '../memory/charge.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import { type LengthCurve, shareLonger } from './length-curve.ts';
import type { Charge } from './types.ts';

/** Intervals of steps; each is longer than the one before, as doubt grows with time. The last begins at 3,400. */
export const INTERVALS = 20;
/** Steps of the first interval, and for how many steps a future stays valid before it is made anew. */
export const FIRST_INTERVAL_STEPS = 8;
const INTERVAL_RATIO = 1.4;

/** Where each interval begins; the last one never ends. */
const STARTS: readonly number[] = Array.from({ length: INTERVALS + 1 }, (_, index) => {
  if (index === 0) return 0;
  if (index === INTERVALS) return Number.POSITIVE_INFINITY;
  return Math.round(FIRST_INTERVAL_STEPS * INTERVAL_RATIO ** (index - 1));
});

/**
 * For each interval, up to that in which it surely ends, an upper bound of both:
 * the units of its end, the chance of its start.
 */
export interface RequestFuture {
  readonly units: readonly number[];
  /** That it still runs, from 0 to 1. */
  readonly runs: readonly number[];
}

export interface RequestInTime {
  readonly layout: KvLayout;
  readonly charge: Charge;
  /** Output tokens of one sequence that surely exist, and that may exist, by now. */
  readonly generatedTokens: { readonly least: number; readonly most: number };
  /** Whether its first token is known to be out. */
  readonly phase: 'prefill' | 'decode';
  /** Steps until its first token, at most; 0 once that is out. Infinity: not known. */
  readonly prefillSteps: number;
  /** Lengths of outputs like its own; null: nothing is known but its limit. */
  readonly curve: LengthCurve | null;
  /** Share of outputs that may run to their limit whatever the curve says: see `doubtOf`. */
  readonly doubt: number;
}

/** Of so many times the requests that run, the lengths are known: then those that run still are no longer than they. */
const TRUSTED_RATIO = 4;

/**
 * Outputs that ended first are the short ones: until several times as many have
 * ended as still run, the lengths seen are too short on the whole. The share
 * that still runs is taken to run to its limit, less and less.
 * @param ended outputs that lengths were learned from
 */
export function doubtOf(ended: number, running: number): number {
  const trusted = TRUSTED_RATIO * running;
  if (ended >= trusted) return 0;
  return (running / (ended + running)) * (1 - ended / trusted);
}

/**
 * In each interval the units are those of its last step and the chance that of
 * its first, so both bound every step between. A prefill that may take
 * `prefillSteps` puts the whole course off by as many at most: until then the
 * request holds the most of prefill and decode and surely runs, after it the
 * chance is that of a request that began so much later.
 */
export function futureOf(request: RequestInTime): RequestFuture {
  const { layout, charge, generatedTokens, phase, curve, doubt } = request;
  // Those it is added to may have been foreseen so many steps ago.
  const prefillSteps = phase === 'prefill' ? request.prefillSteps + FIRST_INTERVAL_STEPS : 0;
  if (charge.sequences > 1) {
    // Several sequences are of unlike lengths that nobody tells apart: all may run to the end.
    return { units: Array(INTERVALS).fill(charge.peakUnits), runs: Array(INTERVALS).fill(1) };
  }
  const limitTokens = charge.outputTokens;
  const { least, most } = generatedTokens;
  const known = curve === null ? null : survivalFromAny(curve, least, most);
  const units: number[] = [];
  const runs: number[] = [];
  for (let index = 0; index < INTERVALS; index += 1) {
    const startSteps = STARTS[index] ?? 0;
    const decodedSteps = startSteps - prefillSteps;
    if (least + decodedSteps >= limitTokens && decodedSteps > 0) break;
    const endTokens = Math.min(limitTokens, most + (STARTS[index + 1] ?? startSteps));
    const decodeUnits = heldUnits(layout, charge, 'decode', endTokens);
    const mayPrefill = phase === 'prefill' && startSteps <= prefillSteps;
    units.push(mayPrefill ? Math.max(charge.prefillUnits, decodeUnits) : decodeUnits);
    const runsOn = decodedSteps <= 0 || known === null ? 1 : known(decodedSteps);
    runs.push(doubt + (1 - doubt) * runsOn);
  }
  // The first decode step may still hold what prefill left behind.
  const now = heldUnits(layout, charge, phase, least);
  units[0] = Math.max(units[0] ?? 0, now);
  return { units, runs };
}

/**
 * The chance that so many steps from now an output is not over of which is known
 * that it has come to something from `least` to `most` tokens. The longer it is,
 * the more likely it is one of the long ones: the highest chance of both ends
 * and the middle counts.
 */
function survivalFromAny(
  curve: LengthCurve,
  least: number,
  most: number,
): (steps: number) => number {
  const fromLeast = survivalFrom(curve, least);
  if (most <= least) return (steps) => fromLeast(least + steps);
  const middle = Math.floor((least + most) / 2);
  const fromMiddle = survivalFrom(curve, middle);
  const fromMost = survivalFrom(curve, most);
  return (steps) =>
    Math.max(fromLeast(least + steps), fromMiddle(middle + steps), fromMost(most + steps));
}

/**
 * The chance that an output which is longer than `generatedTokens` is longer
 * than some length, given with what a sample leaves open: one standard error of
 * the share among those that came so far, and one more output than was seen
 * (rule of succession), which may be of any length. Until the future is made
 * anew the request is known to run, so it is conditioned on that.
 */
function survivalFrom(curve: LengthCurve, generatedTokens: number): (tokens: number) => number {
  const validTokens = generatedTokens + FIRST_INTERVAL_STEPS;
  const longerNow = shareLonger(curve, validTokens);
  const samples = curve.samples * longerNow;
  return (tokens) => {
    if (tokens <= validTokens || samples < 1) return 1;
    const share = shareLonger(curve, tokens) / longerNow;
    const error = Math.sqrt((share * (1 - share)) / samples);
    return Math.min(1, share + error + 1 / (samples + 1));
  };
}
