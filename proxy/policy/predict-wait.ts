/** When there will be room: the ends of live leases and of those who wait, played forward. */
import { isWithin, type Limits, limitsOf, type Occupancy } from './reserve.ts';
import type { Freeing, InstanceView, Waiting } from './types.ts';

/** An instance that could take the request, and what it would occupy there. */
export interface Candidate {
  readonly instance: InstanceView;
  readonly wanted: Occupancy;
}

/** How full an instance will be; numbers that change in place, since each prediction walks through hundreds of ends. */
interface Timeline {
  readonly limits: Limits;
  readonly wanted: Occupancy;
  units: number;
  sequences: number;
  /** Known ends, soonest first, of which `ended` are over. */
  readonly ends: KnownEnd[];
  ended: number;
}

interface KnownEnd extends Freeing {
  readonly atMs: number;
}

/** Soonest first; none is before `nowMs`. */
function knownEnds(freeing: readonly Freeing[], nowMs: number): KnownEnd[] {
  const ends: KnownEnd[] = [];
  for (const end of freeing) {
    if (isKnown(end)) ends.push(end.atMs < nowMs ? { ...end, atMs: nowMs } : end);
  }
  return ends.sort((a, b) => a.atMs - b.atMs);
}

function isKnown(end: Freeing): end is KnownEnd {
  return end.atMs !== null;
}

/** Lets every lease of the timeline end that ends by `atMs`. */
function advance(timeline: Timeline, atMs: number): void {
  for (;;) {
    const end = timeline.ends[timeline.ended];
    if (end === undefined || end.atMs > atMs) return;
    timeline.units -= end.units;
    timeline.sequences -= end.sequences;
    timeline.ended += 1;
  }
}

/** The soonest time from `fromMs` on at which the wanted units are free; null: never foreseen. */
function soonest(timeline: Timeline, wanted: Occupancy, fromMs: number): number | null {
  // Nothing is placed before `fromMs`, so what ends by then is gone for everybody.
  advance(timeline, fromMs);
  const { ends, limits } = timeline;
  let { units, sequences } = timeline;
  if (isWithin(limits, units, sequences, wanted)) return fromMs;
  for (let index = timeline.ended; index < ends.length; index += 1) {
    const end = ends[index];
    if (end === undefined) break;
    units -= end.units;
    sequences -= end.sequences;
    if (isWithin(limits, units, sequences, wanted)) return end.atMs;
  }
  return null;
}

function occupy(timeline: Timeline, wanted: Waiting, atMs: number): void {
  advance(timeline, atMs);
  const heldUnits = wanted.heldUnits ?? wanted.units;
  timeline.units += heldUnits;
  timeline.sequences += wanted.sequences;
  if (wanted.durationMs === null) return;
  const end = { atMs: atMs + wanted.durationMs, units: heldUnits, sequences: wanted.sequences };
  timeline.ends.splice(placeOf(timeline, end.atMs), 0, end);
}

/** Behind all that end by then. */
function placeOf({ ends, ended }: Timeline, atMs: number): number {
  let [low, high] = [ended, ends.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Predicts when a request will be admitted to one of the candidates, after
 * those that wait already: each is placed, in order, at the soonest moment it
 * fits, and holds its units until its own predicted end.
 *
 * @returns milliseconds from now; null when some end it depends on is unknown
 */
export function predictWaitMs(
  candidates: readonly Candidate[],
  waiting: readonly Waiting[],
  nowMs: number,
): number | null {
  const timelines: Timeline[] = candidates.map(({ instance, wanted }) => ({
    limits: limitsOf(instance),
    wanted,
    units: instance.committedUnits,
    sequences: instance.sequences,
    ends: knownEnds(instance.freeing, nowMs),
    ended: 0,
  }));

  let fromMs = nowMs;
  for (const ahead of waiting) {
    const place = soonestOf(timelines, () => ahead, fromMs);
    if (place === null) return null;
    occupy(place.timeline, ahead, place.atMs);
    fromMs = place.atMs;
  }
  const own = soonestOf(timelines, (timeline) => timeline.wanted, fromMs);
  return own === null ? null : own.atMs - nowMs;
}

function soonestOf(
  timelines: readonly Timeline[],
  wanted: (timeline: Timeline) => Occupancy,
  fromMs: number,
): { timeline: Timeline; atMs: number } | null {
  let best: { timeline: Timeline; atMs: number } | null = null;
  for (const timeline of timelines) {
    const atMs = soonest(timeline, wanted(timeline), fromMs);
    if (atMs !== null && (best === null || atMs < best.atMs)) best = { timeline, atMs };
  }
  return best;
}
