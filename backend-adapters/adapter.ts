/**
 * The one interface between kvgate and an engine. An adapter knows how its
 * engine really behaves and nothing else: every method but `detect`, `probe`
 * and `countTokens` is pure, and those three reach the engine only through the
 * `EngineIo` they are given.
 */
import type { Edit, ScannedObject } from '../proxy/json/types.ts';
import type { KvLayout } from '../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../proxy/memory/model-spec.ts';
import type { RequestShape, Sampling } from '../proxy/policy/types.ts';

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
}

/** What the operator told kvgate about an engine, for what no endpoint says. */
export interface EngineHints {
  readonly modelSpec: ModelSpec | null;
  readonly kvBytesPerElement: number | null;
  readonly kvLayout: 'auto' | 'split' | 'unified';
  readonly attention: 'eager' | 'flash';
  readonly tensorParallel: number;
}

/** Body and route of a generation request, scanned. */
export interface ScannedRequest {
  readonly path: string;
  readonly body: Uint8Array;
  readonly object: ScannedObject;
}

/** A request the adapter refuses: becomes a 400 in the caller's dialect. */
export interface InvalidRequest {
  readonly invalid: string;
  /** The offending field, or null. */
  readonly param: string | null;
}

export interface GenerationRoute {
  readonly path: string;
  readonly kind: 'chat' | 'completion';
}

export interface PassthroughRoute {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
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
}

/** Facts that hold as long as the engine process lives. */
export interface EngineFacts {
  readonly layout: KvLayout;
  readonly modelId: string;
  /** Plain sentences an operator should see: what is assumed and how to make it certain. */
  readonly warnings: readonly string[];
  /** Tokens a chat template adds at most, where it was measured; else a default is used. */
  readonly framing: Framing;
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

export interface Rewrite {
  readonly edits: readonly Edit[];
  /** Fields changed, for `X-Kvgate-Changed`. */
  readonly changed: readonly string[];
  /** Changes that this engine can't express safely, with the field's name. */
  readonly skipped: readonly string[];
}

export interface Usage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
  readonly cachedTokens: number | null;
}

/** What one event of a stream means. */
export interface StreamEvent {
  /** Tokens of output it carries; 0 for role, usage and keep-alive events. */
  readonly outputTokens: number;
  readonly usage: Usage | null;
  /** The stream's regular end: `[DONE]`, or the finish chunk where an engine sends none. */
  readonly isEnd: boolean;
  /** An error reported inside the stream, in the engine's words. */
  readonly error: string | null;
}

export type ErrorClass =
  /** The caller's own mistake: passed on as it is. */
  'client' | 'loading' | 'busy' | 'overflow' | 'oom' | 'fault';

export interface Adapter {
  readonly name: string;
  /** Every route that generates. A route in neither list is refused. */
  readonly generationRoutes: readonly GenerationRoute[];
  readonly passthroughRoutes: readonly PassthroughRoute[];
  /**
   * How long an engine must be left alone before it looks whether a client has
   * left; 0 where reading its state does not keep it from that.
   */
  readonly cancelQuietMs: number;

  /** True when the server behind `io` is this engine. Never throws: unreachable is false. */
  detect(io: EngineIo, signal: AbortSignal): Promise<boolean>;
  probe(io: EngineIo, hints: EngineHints, signal: AbortSignal): Promise<ProbeResult>;
  /** Just the moving part, for every poll after the first probe. */
  read(io: EngineIo, facts: EngineFacts, signal: AbortSignal): Promise<EngineReading>;
  /** Exact prompt tokens by the engine's own counter; null where it has none. */
  countTokens(io: EngineIo, request: ScannedRequest, signal: AbortSignal): Promise<number | null>;

  parse(request: ScannedRequest, framing: Framing): RequestShape | InvalidRequest;
  /** The splices that make the request what was granted, every alias of a field included. */
  rewrite(
    request: ScannedRequest,
    shape: RequestShape,
    grant: { readonly outputTokens: number | null; readonly sampling: Sampling },
  ): Rewrite;
  usage(answer: unknown): Usage | null;
  streamEvent(data: string): StreamEvent;
  classifyError(status: number, body: string): ErrorClass;
}
