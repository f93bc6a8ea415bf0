/**
 * The one interface between kvgate and an engine. An adapter knows how its
 * engine really behaves and nothing else: every method but `detect`, `probe`
 * and `countTokens` is pure, and those three reach the engine only through the
 * `EngineIo` they are given.
 */
import type { Edit, ScannedObject } from '../proxy/json/types.ts';
import type { RequestShape, Sampling } from '../proxy/policy/types.ts';
import type { EngineFacts, EngineHints, EngineIo, EngineReading, ProbeResult } from './engine.ts';

export type {
  EngineFacts,
  EngineHints,
  EngineIo,
  EngineReading,
  EngineReply,
  Framing,
  HostTier,
  ProbeResult,
} from './engine.ts';

/** Body and route of a generation request, scanned. */
export interface ScannedRequest {
  readonly route: GenerationRoute;
  readonly body: Uint8Array;
  readonly object: ScannedObject;
}

/** A request the adapter refuses: becomes a 400 in the caller's dialect. */
export interface InvalidRequest {
  readonly invalid: string;
  /** The offending field, or null. */
  readonly param: string | null;
}

/**
 * How bodies are read: OpenAI's chats, completions, responses and embeddings,
 * Anthropic's messages, pairs to be compared (rerank, score), and what an
 * engine has of its own: the prompt of a chat or of one text.
 */
export type RequestKind =
  | 'chat'
  | 'completion'
  | 'responses'
  | 'messages'
  | 'embedding'
  | 'ranking'
  | 'native-chat'
  | 'native-text';

/** How answers, events and errors look on a route. */
export type Api = 'openai' | 'responses' | 'anthropic' | 'ollama' | 'tgi' | 'gpt-oss-hf';

export interface GenerationRoute {
  readonly path: string;
  readonly kind: RequestKind;
  readonly api: Api;
}

export interface PassthroughRoute {
  /** `WEBSOCKET` is a GET that asks for an upgrade. */
  readonly method: 'GET' | 'HEAD' | 'POST' | 'WEBSOCKET';
  /** Compared as a whole; one that ends in `/*` stands for everything below. */
  readonly path: string;
}

export interface Rewrite {
  readonly edits: readonly Edit[];
  /** Fields changed, for `X-Kvgate-Changed`. */
  readonly changed: readonly string[];
  /** Changes that this engine can't express safely, with the field's name. */
  readonly skipped: readonly string[];
  /** Whether the stream was made to tell its usage: an event that the client did not ask for. */
  readonly asksForUsage: boolean;
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
  /** Nothing but usage: what is left out where only kvgate asked for it. */
  readonly isUsageOnly: boolean;
}

export type ErrorClass =
  /** The caller's own mistake: passed on as it is. */
  | 'client'
  /** The prompt, or prompt and output, are longer than the engine takes. */
  | 'too-long'
  | 'loading'
  | 'busy'
  /** The KV pool ran over while requests were in flight. */
  | 'overflow'
  /** GPU memory ran out: what the engine does next is not known. */
  | 'oom'
  /** The engine itself is dying or dead. */
  | 'dying'
  | 'fault';

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
  /** Whether it answers nothing at all while it works on a request that is not streamed. */
  readonly muteWhileGenerating?: true;
  /** The request header that names the data-parallel rank to use; null where there is none. */
  readonly rankHeader: string | null;

  /** True when the server behind `io` is this engine. Never throws: unreachable is false. */
  detect(io: EngineIo, signal: AbortSignal): Promise<boolean>;
  probe(io: EngineIo, hints: EngineHints, signal: AbortSignal): Promise<ProbeResult>;
  /** Just the moving part, for every poll after the first probe. */
  read(io: EngineIo, facts: EngineFacts, signal: AbortSignal): Promise<EngineReading>;
  /** Whether nothing of the engine counts prompts: `countTokens` is always null. */
  readonly hasNoCounter?: true;
  /** Exact prompt tokens by the engine's own counter; null where it has none. */
  countTokens(io: EngineIo, request: ScannedRequest, signal: AbortSignal): Promise<number | null>;
  /**
   * Generates one token: the only proof that an engine works again after it ran
   * out of memory or was gone. Null when it did, else why it did not. Never throws.
   */
  tryOneToken(io: EngineIo, facts: EngineFacts, signal: AbortSignal): Promise<string | null>;

  parse(request: ScannedRequest, facts: EngineFacts): RequestShape | InvalidRequest;
  /** The splices that make the request what was granted, every alias of a field included. */
  rewrite(
    request: ScannedRequest,
    shape: RequestShape,
    grant: { readonly outputTokens: number | null; readonly sampling: Sampling },
  ): Rewrite;
  /** Of a whole JSON answer. */
  usage(answer: unknown, route: GenerationRoute): Usage | null;
  /** @param data the payload of one server-sent event, or one line where streams are lines */
  streamEvent(data: string, route: GenerationRoute): StreamEvent;
  classifyError(status: number, body: string): ErrorClass;
  /**
   * What a 200 really means, where the engine answers so although it failed;
   * null: a success. An engine without this always means what its status says.
   */
  readonly hiddenFailure?: (answer: unknown, route: GenerationRoute) => ErrorClass | null;
}
