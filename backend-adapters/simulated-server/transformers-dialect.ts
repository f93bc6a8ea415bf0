/** `transformers serve` 5.18 over HTTP: which keys it knows, which it ignores, what it answers. */
import { BodyFields, isObject } from './body-fields.ts';
import type { Dialect, JsonObject, ParsedRequest, Reply, RouteKind, StateCall } from './dialect.ts';
import { plainUsage } from './dialect.ts';

const DEFAULT_MAX_NEW_TOKENS = 1024;

const SHARED_KEYS = [
  ...['model', 'stream', 'max_tokens', 'temperature', 'top_p', 'seed', 'stop', 'logit_bias'],
  ...['frequency_penalty', 'presence_penalty', 'generation_config', 'logprobs', 'n'],
  ...['stream_options', 'user'],
];
/** Anything else in a body is a 422. Many of these, `max_completion_tokens` too, have no effect. */
const KNOWN_KEYS: Readonly<Record<RouteKind, ReadonlySet<string>>> = {
  chat: new Set([
    ...SHARED_KEYS,
    ...['messages', 'tools', 'tool_choice', 'chat_template_kwargs', 'audio', 'function_call'],
    ...['functions', 'max_completion_tokens', 'metadata', 'modalities', 'parallel_tool_calls'],
    ...['prediction', 'reasoning_effort', 'response_format', 'service_tier', 'store'],
    ...['top_logprobs', 'web_search_options'],
  ]),
  completion: new Set([...SHARED_KEYS, 'prompt', 'best_of', 'echo', 'suffix']),
};

export function transformersDialect(modelId: string): Dialect {
  return {
    streamRules: { usageInFinishChunk: { chat: true, completion: true }, sendsDone: false },
    parse,
    badRequest: (message) => ({ status: 400, body: { detail: message } }),
    fault: ({ message }) => ({
      status: 500,
      body: { error: { message, type: 'server_error', param: null, code: null } },
    }),
    headers: (requestId) => ({ 'x-request-id': requestId }),
    usage: plainUsage,
    extras: () => ({}),
    state: (call) => state(call, modelId),
  };
}

function parse(kind: RouteKind, body: JsonObject): ParsedRequest {
  const unexpected = Object.keys(body).filter((key) => !KNOWN_KEYS[kind].has(key));
  if (unexpected.length > 0) {
    const keys = unexpected.map((key) => `'${key}'`).join(', ');
    return { refusal: detail(422, `Unexpected fields in the request: {${keys}}`) };
  }
  const fields = new BodyFields(body);
  const maxTokens = fields.integer('max_tokens', 1);
  if (kind === 'completion' && typeof body.prompt !== 'string') {
    fields.complain('prompt must be a string');
  }
  const [tokens = new Uint32Array()] =
    kind === 'chat' ? [fields.chatPrompt()] : fields.completionPrompts();
  const stream = fields.boolean('stream', false);
  if (fields.problem !== null) return { refusal: detail(400, fields.problem) };
  const maxOutputTokens = maxTokens ?? configuredMaxNewTokens(body) ?? DEFAULT_MAX_NEW_TOKENS;
  return {
    request: {
      kind,
      prompts: [{ tokens, maxOutputTokens }],
      samplesPerPrompt: 1,
      stream,
      includeUsage: true,
      seed: fields.seed(),
      ignoreEos: false,
      slot: null,
      reusesPrefix: false,
    },
  };
}

/** `generation_config` is JSON in a string and replaces the whole configuration. */
function configuredMaxNewTokens(body: JsonObject): number | null {
  if (typeof body.generation_config !== 'string') return null;
  try {
    const config: unknown = JSON.parse(body.generation_config);
    const limit = isObject(config) ? config.max_new_tokens : null;
    return typeof limit === 'number' && limit >= 1 ? Math.floor(limit) : null;
  } catch {
    return null;
  }
}

function state({ method, path }: StateCall, modelId: string): Reply | null {
  if (method !== 'GET') return null;
  if (path === '/health') return { status: 200, body: { status: 'ok' } };
  if (path !== '/v1/models') return null;
  const model = { id: modelId, object: 'model', created: 0, owned_by: 'kvgate-simulated' };
  return { status: 200, body: { object: 'list', data: [model] } };
}

function detail(status: number, message: string): Reply {
  return { status, body: { detail: message } };
}
