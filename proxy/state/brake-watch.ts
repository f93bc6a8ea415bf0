/** What the emergency brake remembers of an instance between two looks at it. */
import type { BrakeLimits } from '../policy/brake.ts';
import type { ServingInstance } from './pools.ts';
import { NOTHING_UNEXPLAINED, type Unexplained } from './unexplained.ts';

export interface Watched {
  isOn: boolean;
  /** What may come to be held before it must be looked at again. */
  slackUnits: number;
  unexplained: Unexplained;
  /** As they may be by the next reading. */
  foreseenUnits: number;
  capacityUnits: number | null;
  /** When a lease ended last. */
  endedAtMs: number;
}

export function nothingWatched(): Watched {
  return {
    isOn: false,
    slackUnits: 0,
    unexplained: NOTHING_UNEXPLAINED,
    foreseenUnits: 0,
    capacityUnits: null,
    endedAtMs: Number.NEGATIVE_INFINITY,
  };
}

/**
 * A reading that is older than the last end of a lease explains what others hold
 * by a lease that had let go already: by it there would be room that is taken.
 */
export function isOutdated({ latest }: ServingInstance, { endedAtMs }: Watched): boolean {
  const tellsUse = (latest?.reading.usedUnits ?? null) !== null;
  return latest !== null && tellsUse && latest.startedAtMs <= endedAtMs;
}

/** What made it go on: others' use of the engine, less room than before, or requests that grew. */
export function causeOf(
  { unexplained, capacityUnits: before }: Watched,
  limits: BrakeLimits | null,
): 'others' | 'capacity' | 'requests' {
  if (unexplained.isForeign && unexplained.units > 0) return 'others';
  return before !== null && (limits?.capacityUnits ?? 0) < before ? 'capacity' : 'requests';
}
