/** What a live lease holds now, and what it will hold some tokens later. */
import { heldUnits } from '../memory/charge.ts';
import type { Lease } from './lease.ts';
import type { Speeds } from './speeds.ts';

/** Units by the tokens that are still to come. */
export interface LeaseGrowth {
  readonly heldUnits: number;
  /** What it holds by the time that it has so many tokens more: the first steps after prefill are over by then. */
  readonly after: (tokens: number) => number;
}

/**
 * Of a lease whose tokens are not seen, as many are taken to exist as can by
 * now. None grows beyond the output it was granted, unless it already did.
 */
export function growthOf(lease: Lease, speeds: Speeds, nowMs: number): LeaseGrowth {
  const { layout, charge, instance, streams, takenAtMs } = lease.terms;
  const { generatedTokens } = lease;
  const isSeen = streams && lease.state === 'open';
  const mayExist = isSeen ? 0 : speeds.mostOutputTokensAfter(instance, nowMs - takenAtMs);
  const limitTokens = charge.outputTokens;
  const produced = Math.max(generatedTokens, Math.min(limitTokens, mayExist));
  const unitsAt = (tokens: number) =>
    Math.max(lease.heldUnits, heldUnits(layout, charge, 'decode', tokens));
  const hasOverrun = produced > limitTokens;
  return {
    heldUnits: produced === generatedTokens ? lease.heldUnits : unitsAt(produced),
    after: (tokens) => {
      const then = hasOverrun ? produced + tokens : Math.min(limitTokens, produced + tokens);
      return lease.firstTokenSeen && then > 1
        ? heldUnits(layout, charge, 'decode', then)
        : unitsAt(then);
    },
  };
}
