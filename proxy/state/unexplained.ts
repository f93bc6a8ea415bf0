/**
 * What an engine shows beyond what our leases can hold: another client's, or
 * what leases whose tokens are not seen have come to. Stricter than what
 * admission counts as others', which takes such leases to hold all they may.
 */
import type { Lease } from './lease.ts';
import { growthOf } from './lease-growth.ts';
import type { Ledger } from './ledger.ts';
import type { ServingInstance } from './pools.ts';
import type { Speeds } from './speeds.ts';

/** Computed by the engine, and not seen here yet when it was read. */
const IN_TRANSIT_TOKENS = 8;
/** An engine that still shows a request so long after its cancellation has not let go of it. */
const RELEASE_MS = 300;

export interface Unexplained {
  readonly units: number;
  /** More sequences are at work there than ours: the units are somebody else's, at least in part. */
  readonly isForeign: boolean;
}

export const NOTHING_UNEXPLAINED: Unexplained = { units: 0, isForeign: false };

/**
 * By the latest reading of an instance, to be asked as soon as it is there.
 * @param leftAtMs when a lease was made to go; null: it was not
 */
export function unexplainedUnits(
  { name, latest }: ServingInstance,
  ledger: Ledger,
  speeds: Speeds,
  leftAtMs: (lease: Lease) => number | null,
): Unexplained {
  const usedUnits = latest?.reading.usedUnits ?? null;
  if (latest === null || usedUnits === null) return NOTHING_UNEXPLAINED;
  const { startedAtMs, finishedAtMs, ownHeldUnits, ownSequences, reading } = latest;
  let explainedUnits = 0;
  let mayBeOursUnits = 0;
  for (const lease of ledger.leases(name)) {
    const inTransitUnits = growthOf(lease, speeds, finishedAtMs).after(IN_TRANSIT_TOKENS);
    const isGone = (leftAtMs(lease) ?? startedAtMs) < startedAtMs - RELEASE_MS;
    if (!isGone) explainedUnits += inTransitUnits;
    mayBeOursUnits += Math.max(inTransitUnits, lease.committedUnits);
  }
  // Of those that ended while it was read: it may show them still.
  explainedUnits += Math.max(0, ownHeldUnits - ledger.mostHeldUnits(name));
  const units = Math.max(0, usedUnits - explainedUnits);
  const { runningSequences } = reading;
  const isForeign = runningSequences === null || runningSequences > ownSequences;
  // No request of ours comes to hold more than it was granted.
  const mostOursUnits = Math.max(0, mayBeOursUnits - explainedUnits);
  if (!isForeign) return { units: Math.min(units, mostOursUnits), isForeign };
  return { units, isForeign };
}

/** From one reading to the next, and until a cancellation that follows from that one has freed memory. */
const READINGS_AHEAD = 2;

/**
 * What others are taken to come to hold: they go on as they did between the last
 * two readings. Nothing else tells how fast another client fills a pool, and a
 * prompt of its own fills it far faster than tokens do.
 */
export function foreseenUnits(before: Unexplained, now: Unexplained): number {
  const isKnown = before.isForeign && now.isForeign;
  return now.units + (isKnown ? READINGS_AHEAD * Math.max(0, now.units - before.units) : 0);
}
