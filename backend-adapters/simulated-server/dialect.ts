/** What differs between the servers over HTTP: how a request is read, and how things are said. */
import type { EngineFault } from './engine.ts';

export type RouteKind = 'chat' | 'completion';

/** A whole answer. A string body is sent as plain text, null as no body, anything else as JSON. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Prompt {
  readonly tokens: Uint32Array;
  /** Limit of one sequence's output; may be infinite. */
  readonly maxOutputTokens: number;
}

/** A generation request as the server of that personality understands it. */
export interface GenerationRequest {
  readonly kind: RouteKind;
  readonly prompts: readonly Prompt[];
  readonly samplesPerPrompt: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** The request's `seed` as text, empty where it has no effect. */
  readonly seed: string;
  readonly ignoreEos: boolean;
  readonly slot: number | null;
  readonly reusesPrefix: boolean;
}

export type ParsedRequest = { readonly request: GenerationRequest } | { readonly refusal: Reply };

export type JsonObject = Readonly<Record<string, unknown>>;

/** One call to a route that does not generate; `body` is the parsed JSON of a POST, else null. */
export interface StateCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: JsonObject | null;
}

interface StreamRules {
  /** true: always in the last finish chunk; false: in a chunk of its own when asked for. */
  readonly usageInFinishChunk: Readonly<Record<RouteKind, boolean>>;
  /** Whether `data: [DONE]` ends a stream that went well. */
  readonly sendsDone: boolean;
}

export interface Dialect {
  readonly streamRules: StreamRules;
  parse(kind: RouteKind, body: JsonObject): ParsedRequest;
  /** The answer to a broken request: `message` says what is wrong with it. */
  badRequest(message: string): Reply;
  fault(fault: EngineFault): Reply;
  /** Headers of every answer to the request with this id. */
  headers(requestId: string): Readonly<Record<string, string>>;
  usage(counts: UsageCounts): JsonObject;
  /** Members of the last chunk, and of a whole answer, beside `usage`. */
  extras(counts: UsageCounts): JsonObject;
  /** Any other route; null where the server has no such route. */
  state(call: StateCall): Reply | Promise<Reply> | null;
}

export interface UsageCounts {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export function plainUsage(counts: UsageCounts): JsonObject {
  return {
    prompt_tokens: counts.promptTokens,
    completion_tokens: counts.completionTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
  };
}

export function usageWithCache(counts: UsageCounts): JsonObject {
  return {
    ...plainUsage(counts),
    prompt_tokens_details: { cached_tokens: counts.cachedTokens },
  };
}
