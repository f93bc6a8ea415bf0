/**
 * The words of kvgate as types: what a request asks for, the rules, and what was
 * decided; what is known of the instances is in world.ts. Everything here is
 * plain immutable data; the functions beside this file turn it into a Decision.
 */
import type { Charge } from '../memory/charge.ts';
import type { LengthCurve } from './length-curve.ts';
import type { Estimate, RequestShape } from './request.ts';
import type { PoolView, SessionView } from './world.ts';

export { assertNever } from '../memory/assert-never.ts';
export type { Charge } from '../memory/charge.ts';
export type { TokenBounds } from '../memory/token-bounds.ts';
export type { Estimate, OutputForecast, ReasoningEffort, RequestShape } from './request.ts';
export { REASONING_EFFORTS, sequencesOf } from './request.ts';
export type {
  Capacity,
  Freeing,
  InstanceView,
  Outlook,
  PoolView,
  SessionView,
  Waiting,
} from './world.ts';

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

export interface PolicyConfig {
  readonly largeRequestTokens: number;
  readonly largeRequestKvBytes: number;
  readonly sessionKvLimitBytes: number;
  readonly shortWaitMs: number;
  readonly queueTimeoutMs: number;
  readonly queueMax: number;
  /** The longest predicted wait that a newcomer may join while the queue does not empty. */
  readonly queueTargetMs: number;
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
  /** Requests have had to wait for long without a pause: a burst would have passed by now. */
  readonly isQueueStanding: boolean;
  /** It is in the queue already, and its turn has come. */
  readonly waits: boolean;
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

/** What a request that waits is expected to need, as far as the wait of those behind it is foreseen. */
export interface ExpectedCourse {
  /** That have to be free for it to be let in. */
  readonly units: number;
  /** That it holds on the mean from then on. */
  readonly heldUnits: number;
  /** Of one sequence, on the mean. */
  readonly outputTokens: number;
}

export interface QueueDecision extends DecisionBase {
  readonly action: 'queue';
  readonly reason: 'short_wait' | 'memory_pressure';
  readonly pool: string;
  readonly predictedWaitMs: number | null;
  readonly charge: Charge;
  readonly expected: ExpectedCourse;
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
