/**
 * The words of kvgate as types: what a request asks for, what is known of the
 * instances that could serve it, and what was decided. Everything here is
 * plain immutable data; the functions beside this file turn it into a Decision.
 */
import type { Charge } from '../memory/charge.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import type { Future } from './chance.ts';
import type { LengthCurve } from './length-curve.ts';
import type { Estimate, RequestShape } from './request.ts';

export { assertNever } from '../memory/assert-never.ts';
export type { Charge } from '../memory/charge.ts';
export type { TokenBounds } from '../memory/token-bounds.ts';
export type { Estimate, OutputForecast, ReasoningEffort, RequestShape } from './request.ts';
export { REASONING_EFFORTS, sequencesOf } from './request.ts';

/** Classes of requests that wait: the higher one is served more often, none is left out. */
export type Priority = 'high' | 'normal' | 'low';

export type Level = 'low' | 'medium' | 'high' | 'critical' | 'emergency';

export interface Sampling {
  readonly temperature?: number;
  readonly topP?: number;
}

/** What the request is allowed to be when it goes out. */
export interface Grant {
  /** Output tokens of one sequence; null: nothing is written, the request goes as it came. */
  readonly outputTokens: number | null;
  /** Sampling values to set; empty when the level changes none. */
  readonly sampling: Sampling;
}

export type Capacity =
  /**
   * Measured or told by the engine: units that leases may fill now, and those
   * they could fill were nobody else on the instance's GPUs.
   */
  | { readonly state: 'known'; readonly units: number; readonly aloneUnits: number }
  /** Readings are missing or stale: a lowered budget, on the ledger alone. */
  | {
      readonly state: 'conservative';
      readonly units: number;
      readonly aloneUnits: number;
      readonly why: string;
    }
  /** `--on-stale pass`, or an engine whose limit is unknown and accepted as such. */
  | { readonly state: 'unlimited'; readonly why: string }
  /** `--on-stale reject`, or nothing was ever known: nothing may be admitted. */
  | { readonly state: 'blind'; readonly why: string };

/** A live lease, as far as a forecast needs it. */
export interface Freeing {
  /** Predicted end; null when nothing was learned of the instance's speed yet, or when it is overdue. */
  readonly atMs: number | null;
  readonly units: number;
  readonly sequences: number;
}

/** One instance at the moment of a decision. */
export interface InstanceView {
  readonly name: string;
  readonly layout: KvLayout;
  readonly capacity: Capacity;
  /**
   * Units promised, plus what others hold there: of live leases the sum of their
   * peaks, or, with an outlook, the peak of their sum but for the chance that is taken.
   */
  readonly committedUnits: number;
  /** How its requests will go on, together; null: each counts with all it may ever hold. */
  readonly outlook: Outlook | null;
  /** Sequences in flight, of kvgate and of others. */
  readonly sequences: number;
  /** Hard limit of sequences (slots, `max_num_seqs`); null when there is none. */
  readonly maxSequences: number | null;
  /** Soft limit of sequences from degradation or `--max-concurrency`; null: none. */
  readonly concurrencyCap: number | null;
  readonly level: Level;
  /** Live leases with their predicted ends, in any order. */
  readonly freeing: readonly Freeing[];
}

/** What is foreseen of an instance's live leases. */
export interface Outlook {
  readonly future: Future;
  /** What others hold there: it stays. */
  readonly othersUnits: number;
  /** Chance that is taken that they come to need more than there is. */
  readonly overrunProbability: number;
  /** Decode steps that pass while a token of a prompt is read, at most; null: not known yet. */
  readonly stepsPerPromptToken: number | null;
  /** Share of outputs that may run to their limit, whatever was learned: see `doubtOf`. */
  readonly doubt: number;
}

export interface PoolView {
  readonly name: string;
  /** The multi-GPU pool that large requests prefer. */
  readonly large: boolean;
  /** Healthy instances only. */
  readonly instances: readonly InstanceView[];
  /** Those who wait for this pool and are served before the request, in order. */
  readonly waiting: readonly Waiting[];
}

/** A queued request, as far as a forecast needs it. */
export interface Waiting {
  readonly units: number;
  readonly sequences: number;
  /** Predicted time from its admission to its end; null when nothing was learned yet. */
  readonly durationMs: number | null;
  /**
   * Of the first in line: a newcomer behind it may take what is free, which is
   * not enough for this one. Left out: nobody may.
   */
  readonly passable?: boolean;
}

/** The session a request belongs to, as accounted before the request. */
export interface SessionView {
  readonly liveBytes: number;
  readonly residentBytes: number;
}

export interface PolicyConfig {
  readonly largeRequestTokens: number;
  readonly largeRequestKvBytes: number;
  readonly sessionKvLimitBytes: number;
  readonly shortWaitMs: number;
  readonly queueTimeoutMs: number;
  readonly queueMax: number;
  readonly shrinkFloor: number;
  readonly minOutputTokens: number;
  readonly degrade: 'seed' | 'memory-only' | 'off';
  /** How much memory a request is taken to need: see chance.ts and reserve.ts. */
  readonly reserve: 'chance' | 'worst-case';
  /** The chance of an overrun that is taken; null: by what an overrun does to others. */
  readonly overrunProbability: number | null;
  readonly admissionOrder: readonly AdmissionStep[];
}

export type AdmissionStep = 'route' | 'short-queue' | 'shrink' | 'queue';

export interface DecideInput {
  readonly shape: RequestShape;
  /** Goes into the decision as it is; what decides is `promptTokens`. */
  readonly estimate: Estimate;
  /** Lengths of outputs like its own; null: not enough is known. */
  readonly outputLengths: LengthCurve | null;
  /** The prompt tokens to decide with: `lo`, `hi` or the exact count. */
  readonly promptTokens: number;
  readonly session: SessionView | null;
  /** `X-Kvgate-Degrade: never`: neither the level nor a shrink may touch the request. */
  readonly neverDegrade: boolean;
  /** Pools that serve the model, the default one first. */
  readonly pools: readonly PoolView[];
  readonly queueLength: number;
  readonly nowMs: number;
  readonly config: PolicyConfig;
}

export type AdmitReason =
  | 'fits'
  | 'large_request'
  | 'session_limit'
  | 'pool_full'
  | 'memory_pressure'
  | 'capacity';

export type RejectReason =
  | 'never_fits'
  | 'session_kv_limit'
  | 'session_busy'
  | 'memory_pressure'
  | 'queue_full'
  | 'queue_deadline'
  | 'no_healthy_instance'
  | 'telemetry_blind'
  | 'draining';

interface DecisionBase {
  readonly level: Level;
  /** Decided with. */
  readonly promptTokens: number;
  readonly estimate: Estimate;
}

export interface AdmitDecision extends DecisionBase {
  readonly action: 'accept' | 'shrink' | 'route';
  readonly reason: AdmitReason;
  readonly pool: string;
  readonly instance: string;
  readonly grant: Grant;
  readonly charge: Charge;
}

export interface QueueDecision extends DecisionBase {
  readonly action: 'queue';
  readonly reason: 'short_wait' | 'memory_pressure';
  readonly pool: string;
  readonly predictedWaitMs: number | null;
  readonly charge: Charge;
  /** Units that have to be free for it, as far as the wait of those behind it is foreseen. */
  readonly wantedUnits: number;
}

export interface RejectDecision extends DecisionBase {
  readonly action: 'reject';
  readonly reason: RejectReason;
  /** When enough memory is predicted to be free; null when that cannot be said. */
  readonly retryAfterMs: number | null;
  /** The least it would have been charged on the first instance asked; null when there was none. */
  readonly charge: Charge | null;
}

export type Decision = AdmitDecision | QueueDecision | RejectDecision;
