/** When there will be room: the ends of live leases and of those who wait, played forward. */
import { fitsInto, type Occupancy } from './reserve.ts';
import type { InstanceView, Waiting } from './types.ts';

/** An instance that could take the request, and what it would occupy there. */
export interface Candidate {
  readonly instance: InstanceView;
  readonly wanted: Occupancy;
}

interface Timeline extends Candidate {
  occupied: Occupancy;
  /** Known ends, soonest first. */
  ends: readonly { readonly atMs: number; readonly units: number; readonly sequences: number }[];
}

/** Lets every lease of the timeline end that ends by `atMs`. */
function advance(timeline: Timeline, atMs: number): void {
  const ended = timeline.ends.filter((end) => end.atMs <= atMs);
  timeline.ends = timeline.ends.filter((end) => end.atMs > atMs);
  timeline.occupied = {
    units: timeline.occupied.units - ended.reduce((sum, end) => sum + end.units, 0),
    sequences: timeline.occupied.sequences - ended.reduce((sum, end) => sum + end.sequences, 0),
  };
}

/** The soonest time from `fromMs` on at which the wanted units are free; null: never foreseen. */
function soonest(timeline: Timeline, wanted: Occupancy, fromMs: number): number | null {
  const trial: Timeline = { ...timeline };
  advance(trial, fromMs);
  if (fitsInto(trial.instance, trial.occupied, wanted)) return fromMs;
  for (const end of trial.ends) {
    advance(trial, end.atMs);
    if (fitsInto(trial.instance, trial.occupied, wanted)) return end.atMs;
  }
  return null;
}

function occupy(timeline: Timeline, wanted: Waiting, atMs: number): void {
  advance(timeline, atMs);
  timeline.occupied = {
    units: timeline.occupied.units + wanted.units,
    sequences: timeline.occupied.sequences + wanted.sequences,
  };
  if (wanted.durationMs === null) return;
  const end = { atMs: atMs + wanted.durationMs, units: wanted.units, sequences: wanted.sequences };
  timeline.ends = [...timeline.ends, end].sort((a, b) => a.atMs - b.atMs);
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
    instance,
    wanted,
    occupied: { units: instance.committedUnits, sequences: instance.sequences },
    ends: instance.freeing
      .flatMap(({ atMs, ...held }) =>
        atMs === null ? [] : [{ ...held, atMs: Math.max(atMs, nowMs) }],
      )
      .sort((a, b) => a.atMs - b.atMs),
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
