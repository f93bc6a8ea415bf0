/**
 * What the rooms count, in their own words. No method takes a session, a
 * tenant or a request: a metric has few label values, or it is a leak.
 */
import type { Decision, Level, Priority, TokenBounds } from '../policy/types.ts';
import type { WaitOutcome } from './admission-result.ts';
import type { BrakeAction } from './brake-effects.ts';
import type { HeadroomCause } from './headrooms.ts';
import type { EvictionReason } from './sessions.ts';

/** Which model at which instance. An unknown tag is an empty string, as Prometheus has it. */
export interface InstanceTags {
  readonly instance: string;
  readonly pool: string;
  readonly modelId: string;
  readonly modelSize: string;
  readonly dtype: string;
  readonly gpuMode: string;
}

/** Counted at the moment each thing happens. */
export interface Metrics {
  /** Every decision, also those made after a wait; a refusal may have no pool. */
  decided(decision: {
    readonly action: Decision['action'];
    readonly reason: Decision['reason'];
    readonly pool?: string | null;
    readonly charge?: { readonly kvBytes: number | null } | null;
  }): void;
  /** The level changed something about a request. */
  degraded(level: Level, tags: InstanceTags): void;
  waitedInQueue(seconds: number, outcome: WaitOutcome, priority: Priority): void;
  /** A wait that was predicted has ended with admission. */
  waitPredicted(wait: { readonly predictedMs: number; readonly realMs: number }): void;
  observeTtft(seconds: number, tags: InstanceTags): void;
  /** Between two events of a stream that carry tokens. */
  observeInterToken(seconds: number, tags: InstanceTags): void;
  observeEndToEnd(seconds: number, tags: InstanceTags): void;
  tokens(kind: 'prompt' | 'output', count: number, tags: InstanceTags): void;
  /** Prompt tokens that the engine had in its prefix cache. */
  prefixCacheHit(tokens: number, tags: InstanceTags): void;
  /** A lease ended whose true size is known; both in the instance's own unit. */
  leaseSettled(
    sizes: { readonly estimatedUnits: number; readonly actualUnits: number },
    tags: InstanceTags,
  ): void;
  /** What a prompt was estimated at, and the tokens that the engine says it had. */
  promptCounted(bounds: TokenBounds, promptTokens: number, tags: InstanceTags): void;
  /** An output that ended by itself, and whether its forecast (q95) covered it. */
  outputForecast(covered: boolean, tags: InstanceTags): void;
  /** A second end of one lease: harmless, and a bug. */
  leaseEndedTwice(): void;
  sessionEvicted(reason: EvictionReason): void;
  /** The share of an instance's capacity that leases may fill has changed. */
  headroomMoved(cause: HeadroomCause, tags: InstanceTags): void;
  streamCancelled(by: 'client' | 'operator' | 'backend' | 'drain' | 'brake'): void;
  /** The emergency brake has made a request go. */
  brakeActed(action: BrakeAction, tags: InstanceTags): void;
}

/** State as it is when metrics are read. What is unknown is null, and has no sample. */
export interface MetricsSnapshot {
  readonly instances: readonly InstanceSample[];
  readonly gpus: readonly {
    /** Index or UUID. */
    readonly gpu: string;
    readonly usedBytes: number | null;
    readonly totalBytes: number | null;
  }[];
  /** Age of the newest reading of each source. */
  readonly probes: readonly { readonly source: string; readonly ageSeconds: number | null }[];
  readonly activeSessions: number;
  readonly queueDepth: number;
}

export interface InstanceSample extends InstanceTags {
  readonly up: boolean;
  readonly level: Level;
  /** 0 is empty, 1 is full; a forecast may be above. */
  readonly pressure: number | null;
  readonly reservedBytes: number | null;
  readonly usedBytes: number | null;
  readonly capacityBytes: number | null;
  /** Share of the capacity that leases may fill together; 1: all of it. */
  readonly headroomShare: number;
  /** Whether its emergency brake is on: nothing is admitted to it. */
  readonly braking: boolean;
  /** Whether what the engine shows is not explained by the model of its memory. */
  readonly calibrationAlarm: boolean | null;
}
