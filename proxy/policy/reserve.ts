/**
 * Room: whether a charge fits an instance now, and whether it ever could.
 * Worst-case reserve: every lease counts at the highest it can reach.
 */
import { chargeOf } from '../memory/charge.ts';
import type { Capacity, Charge, InstanceView, RequestShape } from './types.ts';
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

export interface Occupancy {
  readonly units: number;
  readonly sequences: number;
}

/** Units and sequences within their limits. A request with more sequences than an instance may ever run is served alone, engine-queued. */
export function fitsInto(instance: InstanceView, occupied: Occupancy, wanted: Occupancy): boolean {
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
