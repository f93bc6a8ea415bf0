/**
 * Samples of an engine's memory at moments when all that it holds is known: no
 * sequence runs there but those of kvgate's own streams, each well into its
 * output. How long a prompt really was an engine tells at the end, so a sample
 * waits until all its requests are settled; one that is not makes it worthless.
 * No request is in two samples: they are independent of each other.
 */
import type { HeldSequence, Observation, Range } from '../memory/calibration/observation.ts';
import type { Lease } from './lease.ts';
import type { StampedReading } from './pools.ts';
import type { SettledRequest } from './settled.ts';

/** By then the blocks that a long prefill took beyond the window are given back. */
const TOKENS_INTO_OUTPUT = 8;
/** Between what an engine has computed and what was seen to arrive, either way. */
const IN_TRANSIT_TOKENS = 32;
/** Engines round their gauges to four digits, some of them. */
const GAUGE_PRECISION = 0.000_05;
const MAX_WAITING = 16;
/** Of more than that so much may be shared and in transit that they tell nothing apart. */
const MAX_SEQUENCES = 16;

interface Sampled {
  readonly lease: Lease;
  readonly generatedTokens: Range;
  readonly atMs: number;
  /** Once it is settled. */
  sequence: HeldSequence | null;
}

interface Waiting {
  readonly measured: Range;
  readonly parts: readonly Sampled[];
}

export class HeldSamples {
  #waiting: Waiting[] = [];
  /** In a sample already, or preempted once: then what it holds is not known. */
  readonly #spent = new WeakSet<Lease>();
  #preemptions: number | null = null;

  /** Takes a sample of a new reading where it is a clean one. */
  take(latest: StampedReading, leases: ReadonlySet<Lease>): void {
    this.#dropLost();
    if (this.#hasPreempted(latest)) {
      for (const lease of leases) this.#spent.add(lease);
      this.#waiting = [];
    }
    const sample = cleanSample(latest, leases);
    if (sample === null) return;
    const again = this.#waiting.findIndex(({ parts }) => sameLeases(parts, leases));
    // The later it is taken, the more there is to tell layouts apart by.
    if (again >= 0) {
      this.#waiting[again] = sample;
      return;
    }
    if (this.#waiting.length >= MAX_WAITING) return;
    if ([...leases].some((lease) => this.#spent.has(lease))) return;
    for (const lease of leases) this.#spent.add(lease);
    this.#waiting.push(sample);
  }

  /** Takes what is told of a request at its end. @returns the samples that are complete by it */
  settled(request: SettledRequest): readonly Observation[] {
    for (const { parts } of this.#waiting) {
      for (const part of parts) {
        if (part.lease.terms.requestId === request.requestId) {
          part.sequence = sequenceOf(part, request);
        }
      }
    }
    const complete = this.#waiting.filter(isComplete);
    this.#waiting = this.#waiting.filter((sample) => !isComplete(sample));
    return complete.map(({ measured, parts }) => ({
      kind: 'held_units',
      measured,
      sequences: parts.flatMap(({ sequence }) => sequence ?? []),
    }));
  }

  #hasPreempted({ reading: { preemptions } }: StampedReading): boolean {
    const before = this.#preemptions;
    this.#preemptions = preemptions ?? before;
    return before !== null && preemptions !== null && preemptions > before;
  }

  /** A lease is settled in the step in which it ends, or never. */
  #dropLost(): void {
    this.#waiting = this.#waiting.filter(({ parts }) =>
      parts.every(({ lease, sequence }) => sequence !== null || lease.state === 'open'),
    );
  }
}

/** null where anything is at work that can't be accounted for to the token. */
function cleanSample(
  { reading, finishedAtMs, generatedAtStart }: StampedReading,
  leases: ReadonlySet<Lease>,
): Waiting | null {
  const { usedUnits, capacityUnits, runningSequences, waitingSequences } = reading;
  if (usedUnits === null || generatedAtStart === undefined || reading.isMixture) return null;
  if (runningSequences !== leases.size || (waitingSequences ?? 0) > 0) return null;
  if (leases.size === 0 || leases.size > MAX_SEQUENCES) return null;
  if (generatedAtStart.size !== leases.size) return null;
  const parts: Sampled[] = [];
  for (const lease of leases) {
    const lo = generatedAtStart.get(lease) ?? 0;
    const isClear = lease.state === 'open' && lease.terms.streams;
    if (!isClear || lo < TOKENS_INTO_OUTPUT || lease.terms.charge.sequences > 1) return null;
    const generatedTokens = { lo, hi: lease.generatedTokens };
    parts.push({ lease, generatedTokens, atMs: finishedAtMs, sequence: null });
  }
  const precision = Math.ceil((capacityUnits ?? usedUnits) * GAUGE_PRECISION);
  return { measured: { lo: usedUnits - precision, hi: usedUnits + precision }, parts };
}

/** null where the engine does not tell the tokens of its prompts. */
function sequenceOf(
  { lease, generatedTokens, atMs }: Sampled,
  { told, outputTokens, ttftMs, totalMs }: SettledRequest,
): HeldSequence | null {
  if (told.promptTokens === null || ttftMs === null || totalMs <= ttftMs) return null;
  // An event may carry several tokens and count as one: by its pace it may have been further.
  const elapsedMs = atMs - lease.terms.takenAtMs - ttftMs;
  const byPace = outputTokens * Math.min(1, Math.max(0, elapsedMs / (totalMs - ttftMs)));
  const most = Math.max(generatedTokens.hi, Math.ceil(byPace)) + IN_TRANSIT_TOKENS;
  return {
    tokens: {
      lo: told.promptTokens + Math.max(0, generatedTokens.lo - IN_TRANSIT_TOKENS),
      hi: told.promptTokens + Math.max(generatedTokens.lo, Math.min(most, outputTokens)),
    },
    // OpenAI's Responses API has no room for a null: engines that do not count it tell 0.
    sharedTokens: told.cachedTokens === 0 ? null : told.cachedTokens,
  };
}

function isComplete({ parts }: Waiting): boolean {
  return parts.every(({ sequence }) => sequence !== null);
}

function sameLeases(parts: readonly Sampled[], leases: ReadonlySet<Lease>): boolean {
  return parts.length === leases.size && parts.every(({ lease }) => leases.has(lease));
}
