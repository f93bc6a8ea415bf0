/** vLLM over HTTP: limits are rejected, never clamped; `/tokenize`, `/metrics` and friends. */
import { BodyFields } from './body-fields.ts';
import type {
  Dialect,
  JsonObject,
  ParsedRequest,
  Prompt,
  Reply,
  RouteKind,
  StateCall,
} from './dialect.ts';
import { usageWithCache } from './dialect.ts';
import type { PagedEngine } from './paged-engine.ts';
import { vllmMetrics } from './vllm-metrics.ts';

const COMPLETION_DEFAULT_MAX_TOKENS = 16;

export interface VllmServer {
  readonly modelId: string;
  readonly contextTokens: number;
  readonly gpuMemoryUtilization: number;
  readonly numGpuBlocks: number;
  /** Of one request of full length, where the metrics tell how many such requests fit. */
  readonly fullLengthBlocks: number | null;
  readonly engine: PagedEngine;
}

export function vllmDialect(server: VllmServer): Dialect {
  return {
    streamRules: { usageInFinishChunk: { chat: false, completion: false }, sendsDone: true },
    parse: (kind, body) => parse(kind, body, server.contextTokens),
    badRequest: (message) => badRequest(message, null),
    fault: ({ message }) => error(500, 'InternalServerError', message, null),
    headers: () => ({}),
    usage: usageWithCache,
    extras: () => ({}),
    state: (call) => state(call, server),
  };
}

function parse(kind: RouteKind, body: JsonObject, contextTokens: number): ParsedRequest {
  const fields = new BodyFields(body);
  const tokenLists = kind === 'chat' ? [fields.chatPrompt()] : fields.completionPrompts();
  const limitField =
    kind === 'chat' && (body.max_completion_tokens ?? null) !== null
      ? 'max_completion_tokens'
      : 'max_tokens';
  const limit = fields.integer(limitField, 1);
  const stream = fields.boolean('stream', false);
  const samplesPerPrompt = fields.integer('n', 1) ?? 1;
  const ignoreEos = fields.boolean('ignore_eos', false);
  if (!stream && (body.stream_options ?? null) !== null) {
    fields.complain('Stream options can only be defined when `stream=True`.');
  }
  if (tokenLists.some((tokens) => tokens.length === 0)) {
    fields.complain('The decoder prompt cannot be empty');
  }
  if (fields.problem !== null) return { refusal: badRequest(fields.problem, null) };
  if (limit !== null && limit > contextTokens) {
    const message = `${limitField}=${limit} cannot be greater than max_model_len=max_total_tokens=${contextTokens}. Please request fewer output tokens.`;
    return { refusal: badRequest(message, limitField) };
  }
  // An explicit null of a completion means the rest of the context, as in a chat.
  const isDefault = kind === 'completion' && body.max_tokens === undefined;
  const wanted = limit ?? (isDefault ? COMPLETION_DEFAULT_MAX_TOKENS : null);
  const prompts: Prompt[] = [];
  for (const tokens of tokenLists) {
    const tooLong = contextProblem(tokens.length, wanted ?? 1, contextTokens);
    if (tooLong !== null) return { refusal: badRequest(tooLong, 'input_tokens') };
    prompts.push({ tokens, maxOutputTokens: wanted ?? contextTokens - tokens.length });
  }
  return {
    request: {
      kind,
      prompts,
      samplesPerPrompt,
      stream,
      includeUsage: fields.includeUsage(),
      seed: fields.seed(),
      ignoreEos,
      slot: null,
      reusesPrefix: true,
    },
  };
}

function contextProblem(
  promptTokens: number,
  outputTokens: number,
  contextTokens: number,
): string | null {
  if (promptTokens + outputTokens <= contextTokens) return null;
  return (
    `You passed ${promptTokens} input tokens and requested ${outputTokens} output tokens. ` +
    `However, the model's context length is only ${contextTokens} tokens, resulting in a ` +
    `maximum input length of ${contextTokens - outputTokens} tokens. ` +
    'Please reduce the length of the input prompt.'
  );
}

function state({ method, path, body }: StateCall, server: VllmServer): Reply | null {
  if (method === 'POST') {
    return path === '/tokenize' && body !== null ? tokenize(body, server.contextTokens) : null;
  }
  if (method !== 'GET') return null;
  switch (path) {
    case '/health':
      return { status: 200, body: null };
    case '/version':
      return { status: 200, body: { version: '0.32.0' } };
    case '/metrics':
      return { status: 200, body: vllmMetrics(server) };
    case '/v1/models':
      return { status: 200, body: { object: 'list', data: [modelCard(server)] } };
    default:
      return null;
  }
}

function tokenize(body: JsonObject, contextTokens: number): Reply {
  const fields = new BodyFields(body);
  const tokens = body.messages === undefined ? fields.completionPrompts()[0] : fields.chatPrompt();
  if (fields.problem !== null || tokens === undefined) {
    return badRequest(fields.problem ?? 'prompt is missing', null);
  }
  return {
    status: 200,
    body: { count: tokens.length, max_model_len: contextTokens, tokens: [...tokens] },
  };
}

function modelCard({ modelId, contextTokens }: VllmServer): JsonObject {
  return {
    id: modelId,
    object: 'model',
    created: 0,
    owned_by: 'vllm',
    root: modelId,
    parent: null,
    max_model_len: contextTokens,
    permission: [],
  };
}

function badRequest(message: string, param: string | null): Reply {
  return error(400, 'BadRequestError', message, param);
}

function error(status: number, type: string, message: string, param: string | null): Reply {
  return { status, body: { error: { message, type, param, code: status } } };
}
