/**
 * Room: whether a charge fits an instance now, whether it could ever, and when
 * it will. Worst-case reserve: every lease counts at the highest it can reach.
 */
import { chargeOf } from '../memory/charge.ts';
import type { Capacity, Charge, InstanceView, RequestShape, Waiting } from './types.ts';
import { assertNever } from './types.ts';

/** Units that leases may fill; unlimited is Infinity, blind is 0. */
export function capacityUnits(capacity: Capacity): number {
  switch (capacity.state) {
    case 'known':
    case 'conservative':
      return capacity.units;
    case 'unlimited':
      return Number.POSITIVE_INFINITY;
    case 'blind':
      return 0;
    default:
      return assertNever(capacity);
  }
}

/** Units that leases could fill at best: a current reading, and nobody else on the GPUs. */
function aloneUnits(capacity: Capacity): number {
  return 'aloneUnits' in capacity ? capacity.aloneUnits : capacityUnits(capacity);
}

/** What the request would hold on an instance if it produced `outputTokens` a sequence. */
export function chargeFor(
  instance: InstanceView,
  shape: RequestShape,
  promptTokens: number,
  outputTokens: number,
): Charge {
  return chargeOf(
    instance.layout,
    promptTokens,
    outputTokens,
    shape.prompts,
    shape.samplesPerPrompt,
  );
}

interface Occupancy {
  readonly units: number;
  readonly sequences: number;
}

/** Units and sequences within their limits. A request with more sequences than an instance may ever run is served alone, engine-queued. */
function fitsInto(instance: InstanceView, occupied: Occupancy, wanted: Occupancy): boolean {
  if (wanted.units > capacityUnits(instance.capacity) - occupied.units) return false;
  if (occupied.sequences === 0) return true;
  const limit = Math.min(
    instance.maxSequences ?? Number.POSITIVE_INFINITY,
    instance.concurrencyCap ?? Number.POSITIVE_INFINITY,
  );
  return occupied.sequences + wanted.sequences <= limit;
}

export function fitsNow(instance: InstanceView, charge: Charge): boolean {
  const occupied = { units: instance.committedUnits, sequences: instance.sequences };
  return fitsInto(instance, occupied, { units: charge.peakUnits, sequences: charge.sequences });
}

/**
 * Whether the charge could ever fit: nothing else runs there, no other process
 * is on its GPUs, and they can be read.
 */
export function fitsEmpty(instance: InstanceView, charge: Charge): boolean {
  return charge.peakUnits <= aloneUnits(instance.capacity);
}

/** Share of the capacity left free once the charge is in: the larger, the better the choice. */
export function headroomAfter(instance: InstanceView, charge: Charge): number {
  const capacity = capacityUnits(instance.capacity);
  if (!Number.isFinite(capacity)) return 1;
  return (capacity - instance.committedUnits - charge.peakUnits) / capacity;
}

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
