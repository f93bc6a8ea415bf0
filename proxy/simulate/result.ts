/** What a simulation came to. */
import { median } from '../memory/calibration/residual.ts';
import type { StaticRun } from './best-static.ts';
import type { FillingLoad } from './load.ts';
import type { Machine } from './machine.ts';
import type { Score, Tally } from './score.ts';
import type { SeriesPoint } from './series.ts';
import type { RunFigures } from './simulation.ts';

/** Of requests of one kind. */
export interface GroupResult {
  readonly requests: number;
  readonly completed: number;
  /** Completed of those that arrived; null where none did. */
  readonly completionRate: number | null;
  /**
   * Output tokens a second of those that were finished in time, and while requests still came: who
   * lets many wait in the engine would else be credited with what it drains after the end.
   */
  readonly goodput: number;
}

export interface SimulationResult extends GroupResult {
  readonly policy: string;
  /** Output tokens of requests finished within 10 s and 50 ms for each output token. */
  readonly goodputTokens: number;
  readonly oom: number;
  readonly overflow: number;
  readonly preemptions: number;
  /** Preemptions for each request that was started. */
  readonly preemptedShare: number;
  readonly rejected: number;
  readonly rejectedFor: Readonly<Record<string, number>>;
  /** Of requests that waited and were let in. */
  readonly queueWaitMs: { readonly p50: number | null; readonly p95: number | null };
  /** Memory in use over capacity while requests arrive: the mean of the readings. */
  readonly utilisation: number;
  readonly heldMemory: { readonly mean: number; readonly peak: number };
  /** From arrival to the first token, of requests that were finished. */
  readonly ttftMs: { readonly p50: number | null; readonly p99: number | null };
  /** The shortest prompts first. */
  readonly promptQuartiles: readonly GroupResult[];
  readonly tenants: Readonly<Record<string, GroupResult>>;
  readonly levelChanges: { readonly total: number; readonly mostIn5s: number };
  /** |predicted - real| over the real wait, of requests that waited and were let in. */
  readonly waitPrediction: { readonly requests: number; readonly medianError: number | null };
  /** |told - true| over the true wait, of a sample of refused requests. */
  readonly retryAfter: {
    readonly requests: number;
    readonly medianError: number | null;
    /** Told less true: negative where it was told too short a wait. */
    readonly medianSignedError: number | null;
  };
  readonly brake: { readonly takenBack: number; readonly ended: number };
  readonly virtualSeconds: { readonly arrivals: number; readonly whole: number };
  readonly requestsPerSecond: number;
  /** Of `static:best`: every limit that was tried. */
  readonly staticRuns?: readonly StaticRun[];
  /** What fills the memory, by load.ts. */
  readonly fillingLoad: FillingLoad | null;
  readonly capacity: { readonly units: number; readonly tokens: number; readonly bytes: number };
  /** SHA-256 over every event: the same for the same seed and flags. */
  readonly eventLogHash: string;
  readonly series: { readonly pointMs: number; readonly points: readonly SeriesPoint[] };
}

export interface ResultParts {
  readonly policy: string;
  readonly score: Score;
  readonly figures: RunFigures;
  readonly machine: Machine;
  readonly fillingLoad: FillingLoad | null;
  readonly retryErrors: readonly number[];
}

export function resultOf(parts: ResultParts): SimulationResult {
  const { policy, score, figures, machine, fillingLoad, retryErrors } = parts;
  const seconds = Math.max(figures.arrivalsMs, 1) / 1000;
  const group = (each: Tally) => groupOf(each, seconds);
  const all = group(score.all);
  const started = Math.max(1, score.all.requests - score.refused);
  return {
    policy,
    ...all,
    goodputTokens: score.all.goodTokens,
    ...score.ended,
    preemptions: figures.preemptions,
    preemptedShare: figures.preemptions / started,
    rejected: score.refused,
    rejectedFor: Object.fromEntries(score.refusedFor),
    queueWaitMs: { p50: score.waitsMs.at(0.5), p95: score.waitsMs.at(0.95) },
    utilisation: figures.meanShare,
    heldMemory: { mean: figures.meanShare, peak: figures.peakShare },
    ttftMs: { p50: score.ttftMs.at(0.5), p99: score.ttftMs.at(0.99) },
    promptQuartiles: score.quartiles.map(group),
    tenants: Object.fromEntries(
      [...score.tenants].sort().map(([tenant, each]) => [tenant, group(each)]),
    ),
    levelChanges: { total: score.levelChanges, mostIn5s: score.mostLevelChanges },
    waitPrediction: { requests: score.waitErrors.size, medianError: score.waitErrors.at(0.5) },
    retryAfter: {
      requests: retryErrors.length,
      medianError: median(retryErrors.map(Math.abs)),
      medianSignedError: median(retryErrors),
    },
    brake: { takenBack: score.brake.taken_back, ended: score.brake.cut },
    virtualSeconds: { arrivals: seconds, whole: figures.wholeMs / 1000 },
    requestsPerSecond: score.all.requests / seconds,
    fillingLoad,
    capacity: {
      units: machine.capacityUnits,
      tokens: machine.capacityTokens,
      bytes: machine.capacityBytes,
    },
    eventLogHash: score.events.digest(),
    series: { pointMs: score.series.pointMs, points: score.series.points() },
  };
}

function groupOf({ requests, completed, steadyGoodTokens }: Tally, seconds: number): GroupResult {
  return {
    requests,
    completed,
    completionRate: requests === 0 ? null : completed / requests,
    goodput: steadyGoodTokens / seconds,
  };
}
