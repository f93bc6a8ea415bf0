/**
 * An engine as kvgate sees it: the I/O by which it is reached, what the operator
 * says of it, what it says of itself, and its state at one moment.
 */

import type { Observation } from '../proxy/memory/calibration/observation.ts';
import type { GgufMetadata } from '../proxy/memory/gguf/metadata.ts';
import type { KvLayout } from '../proxy/memory/kv-layout.ts';
import type { MediaBounds } from '../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../proxy/memory/models/model-spec.ts';

export interface EngineReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** I/O lent to an adapter. A refused or timed-out connection rejects with an Error. */
export interface EngineIo {
  get(path: string, signal: AbortSignal): Promise<EngineReply>;
  post(path: string, body: string | Uint8Array, signal: AbortSignal): Promise<EngineReply>;
  /** The server's own command line, where it runs on this host and can be seen; else null. */
  commandLine(): Promise<readonly string[] | null>;
  /**
   * The metadata of the model file that the server names, where it runs on this
   * host and the file can be read; else null. Left out: files are never looked at.
   */
  modelMetadata?(path: string, signal: AbortSignal): Promise<GgufMetadata | null>;
}

/** What the operator told kvgate about an engine, for what no endpoint says. */
export interface EngineHints {
  readonly modelSpec: ModelSpec | null;
  readonly kvBytesPerElement: number | null;
  readonly kvLayout: 'auto' | 'split' | 'unified';
  readonly attention: 'eager' | 'flash';
  readonly tensorParallel: number;
  /** Requests that Ollama runs at a time, where the operator told. */
  readonly ollamaNumParallel: number | null;
  /** Tokens that one image or one audio part takes at most, where the operator told. */
  readonly imageTokens: number | null;
  readonly audioTokens: number | null;
}

/** The engine's state at one moment, in its own unit. A field it does not tell is null. */
export interface EngineReading {
  readonly state: 'ready' | 'loading';
  /** Units that leases may fill, where the engine tells it (blocks, cells). */
  readonly capacityUnits: number | null;
  /** Units in use by running requests of anyone, idle caches excluded. */
  readonly usedUnits: number | null;
  /** Sequences being worked on, and waiting inside the engine. */
  readonly runningSequences: number | null;
  readonly waitingSequences: number | null;
  readonly maxSequences: number | null;
  /** Preemptions or retractions since the engine started. */
  readonly preemptions: number | null;
  /** Several pools are told as one, as full as the fullest: it is not known what lives in which. */
  readonly isMixture?: true;
  /** KV that the engine keeps in host memory; null where it keeps none or does not tell. */
  readonly hostTier: HostTier | null;
  /**
   * One reading for each data-parallel rank, in their order, where there are
   * several: each has a pool of its own, and a request lives in one of them.
   */
  readonly ranks: readonly EngineReading[];
}

/** A tier of its own: it relieves the GPU and is no room for leases. */
export interface HostTier {
  readonly capacityBytes: number | null;
  /** 0..1, null where the engine does not tell. */
  readonly usedShare: number | null;
}

/** Facts that hold as long as the engine process lives. */
export interface EngineFacts {
  readonly layout: KvLayout;
  readonly modelId: string;
  /** As the engine tells it; null where it does not. */
  readonly version: string | null;
  /** Data-parallel ranks, each with a KV pool of its own; 1 where there is just one. */
  readonly ranks: number;
  /** Tokens of an image, a recording, ... at most. */
  readonly media: MediaBounds;
  /** Plain sentences an operator should see: what is assumed and how to make it certain. */
  readonly warnings: readonly string[];
  /** Tokens a chat template adds at most, where it was measured; else a default is used. */
  readonly framing: Framing;
  /** Figures of the engine's own by which layouts can be told apart; left out: it tells none. */
  readonly toldFigures?: readonly Observation[];
  /** KV kept in host memory, where only the engine's start options tell of it. */
  readonly hostTier?: HostTier | null;
}

export interface Framing {
  readonly baseTokens: number;
  readonly perMessageTokens: number;
}

export type ProbeResult =
  | { readonly ok: true; readonly facts: EngineFacts; readonly reading: EngineReading }
  /** Answering, but not serving yet. */
  | { readonly ok: false; readonly state: 'loading'; readonly why: string }
  /** Refused, timed out, or not this engine. */
  | { readonly ok: false; readonly state: 'unreachable'; readonly why: string }
  /** It can't be guarded as it is configured: the start must be refused with this reason. */
  | { readonly ok: false; readonly state: 'unusable'; readonly why: string };
