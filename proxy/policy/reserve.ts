/**
 * Room: whether a charge fits an instance now, and whether it ever could. With
 * an outlook all requests together must fit at every time to come, but for a
 * small chance (chance.ts); without one every lease counts at the highest it can reach.
 */
import { chargeOf, heldUnits } from '../memory/charge.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import type { LengthCurve } from './length-curve.ts';
import { futureOf } from './request-future.ts';
import type {
  Capacity,
  Charge,
  ExpectedCourse,
  InstanceView,
  Outlook,
  RequestShape,
} from './types.ts';
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

export interface Limits {
  readonly units: number;
  readonly sequences: number;
}

/** What an instance may hold in all. */
export function limitsOf({ capacity, maxSequences, concurrencyCap }: InstanceView): Limits {
  return {
    units: capacityUnits(capacity),
    sequences: Math.min(
      maxSequences ?? Number.POSITIVE_INFINITY,
      concurrencyCap ?? Number.POSITIVE_INFINITY,
    ),
  };
}

/** Leases are foreseen to end in parts: what is left of their sum is rounding. */
const NO_SEQUENCE = 1e-6;

/** Units and sequences within their limits. A request with more sequences than an instance may ever run is served alone, engine-queued. */
export function isWithin(
  limits: Limits,
  units: number,
  sequences: number,
  wanted: Occupancy,
): boolean {
  if (wanted.units > limits.units - units) return false;
  return sequences < NO_SEQUENCE || sequences + wanted.sequences <= limits.sequences;
}

/**
 * Prompt tokens that are prefilled at a time on a `dynamic` instance: enough to
 * keep a GPU's compute busy. Prefills that run side by side take as much longer
 * and hold their transients for all that time, ten times what their KV takes:
 * one after the other they leave the memory to those who generate.
 */
const PREFILL_TOKENS = 2_048;

function mayPrefill({ prefillTokens }: InstanceView, { promptTokens }: Charge): boolean {
  return prefillTokens === 0 || prefillTokens + promptTokens <= PREFILL_TOKENS;
}

/** @param curve lengths of outputs like the request's own; null: only its limit is known */
export function fitsNow(
  instance: InstanceView,
  charge: Charge,
  curve: LengthCurve | null,
): boolean {
  const { outlook, sequences, layout } = instance;
  if (!mayPrefill(instance, charge)) return false;
  const limits = limitsOf(instance);
  const wanted = { units: charge.peakUnits, sequences: charge.sequences };
  if (outlook === null) return isWithin(limits, instance.committedUnits, sequences, wanted);
  // Of units there is more to be said below.
  if (!isWithin(limits, 0, sequences, { ...wanted, units: 0 })) return false;
  const roomUnits = limits.units - outlook.othersUnits;
  // Alone it is charged by what it may ever hold, as when it was asked whether it could fit at all.
  if (charge.peakUnits > roomUnits) return false;
  // Whatever was foreseen, now counts what is there now.
  if (outlook.heldUnits + charge.prefillUnits > roomUnits) return false;
  const candidate = candidateFuture(layout, charge, outlook, curve);
  return outlook.future.fits(candidate, roomUnits, outlook.overrunProbability);
}

/** What the request is expected to need; without an outlook it needs its peak from its first to its last token. */
export function expectedCourse(
  { layout, outlook }: InstanceView,
  charge: Charge,
  curve: LengthCurve | null,
): ExpectedCourse {
  const { peakUnits } = charge;
  const outputTokens = Math.min(charge.outputTokens, curve?.meanTokens ?? charge.outputTokens);
  if (outlook === null) return { units: peakUnits, heldUnits: peakUnits, outputTokens };
  const { units, runs } = candidateFuture(layout, charge, outlook, curve);
  const entering = units.reduce((most, held, at) => Math.max(most, held * (runs[at] ?? 0)), 0);
  return {
    units: entering,
    heldUnits: heldUnits(layout, charge, 'decode', Math.ceil(outputTokens / 2)),
    outputTokens,
  };
}

function candidateFuture(
  layout: KvLayout,
  charge: Charge,
  { stepsPerPromptToken, doubt }: Outlook,
  curve: LengthCurve | null,
) {
  return futureOf({
    layout,
    charge,
    generatedTokens: { least: 0, most: 0 },
    phase: 'prefill',
    prefillSteps:
      stepsPerPromptToken === null
        ? Number.POSITIVE_INFINITY
        : stepsPerPromptToken * charge.promptTokens,
    curve,
    doubt,
  });
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
