/**
 * Hugging Face's text-generation-inference, as of its last release (v3.3.7;
 * read in router/src/server.rs, validation.rs, infer/mod.rs, chat.rs and
 * backends/v3/src/backend.rs, queue.rs, block_allocator.rs).
 *
 * The pool is counted in tokens. A request is not begun before the places of
 * its prompt and of the next 1,024 tokens of its output are free, and it waits
 * again after each 1,024 (validation.rs, DEFAULT_GENERATION_LENGTH), so an
 * overrun costs time. What it rounds up to whole blocks of its attention kernel
 * (1 to 256 tokens) is told nowhere and not counted.
 *
 * The port opens only after the model is warm. A client that leaves ends its
 * request at the next token (the response channel is closed).
 *
 * `/invocations`, `/vertex`, the route that AIP_PREDICT_ROUTE names and `/v2`
 * generate as well; they are in no list, so they are refused.
 */
import type { RequestShape } from '../proxy/policy/types.ts';
import type {
  Adapter,
  EngineFacts,
  ErrorClass,
  GenerationRoute,
  InvalidRequest,
  ScannedRequest,
} from './adapter.ts';
import { parseByRoute, rewriteByRoute, streamEventByRoute, usageByRoute } from './by-route.ts';
import { countField, field, stringField, tryGetJson } from './engine-answer.ts';
import { tryPost } from './one-token.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { RequestFields } from './request-fields.ts';
import { countTgiTokens } from './tgi/count-tokens.ts';
import { tgiErrorClass } from './tgi/errors.ts';
import { nativeStreamEvent, nativeUsage } from './tgi/native-answer.ts';
import { parseNative } from './tgi/native-request.ts';
import { rewriteNative } from './tgi/native-rewrite.ts';
import { probeTgi } from './tgi/probe.ts';
import { readTgi } from './tgi/state.ts';
import { withTextImages } from './tgi/text-images.ts';

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/', kind: 'native-text', api: 'tgi' },
    { path: '/generate', kind: 'native-text', api: 'tgi' },
    { path: '/generate_stream', kind: 'native-text', api: 'tgi' },
    { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
    { path: '/v1/completions', kind: 'completion', api: 'openai' },
  ],
  // Aliases of one field: a chat that names both is refused by the engine (lib.rs, ChatRequest).
  outputLimits: { chat: ['max_completion_tokens', 'max_tokens'], completion: ['max_tokens'] },
  ignoredOutputLimit: null,
  // Without a limit a request may fill the context (validation.rs, validate_input).
  completionDefaultTokens: null,
  minusOneIsUnlimited: false,
  allowsPrefillOnly: false,
  outputFloor: null,
  sampleFields: ['n'],
  // "UNUSED" (lib.rs, ChatRequest); a completion does not know it.
  samplesAreIgnored: true,
  prompts: 'lists',
  greedyNeedsOneSample: false,
  usageOnRequest: true,
  refusedFields: new Map(),
  responses: null,
  messages: null,
  embeddings: null,
  rankings: null,
};

export const tgi: Adapter = {
  name: 'tgi',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/info' },
    { method: 'POST', path: '/tokenize' },
    { method: 'POST', path: '/chat_tokenize' },
  ],
  cancelQuietMs: 0,
  rankHeader: null,

  /** `/info` of the router; the embeddings server has one too, without a limit of tokens in all. */
  async detect(io, signal) {
    const info = await tryGetJson(io, '/info', signal);
    return (
      stringField(info, 'model_id') !== null &&
      countField(info, 'max_total_tokens') !== null &&
      countField(info, 'max_concurrent_requests') !== null
    );
  },

  probe: probeTgi,
  read: (io, facts, signal) => readTgi(io, facts.layout, signal),
  countTokens: countTgiTokens,

  // Not by the chat route: a base model has no template.
  tryOneToken: (io, _facts, signal) =>
    tryPost(
      io,
      '/generate',
      { inputs: 'Hi', parameters: { max_new_tokens: 1 } },
      signal,
      (answer) => typeof field(answer, 'generated_text') === 'string',
    ),

  parse: (request, facts) =>
    isNative(request.route) ? parseNative(request, facts) : parseShared(request, facts),
  rewrite: (request, shape, grant) =>
    isNative(request.route)
      ? rewriteNative(request, shape, grant)
      : rewriteByRoute(request, DIALECT, shape, grant),
  usage: (answer, route) => (isNative(route) ? nativeUsage(answer) : usageByRoute(answer, route)),
  streamEvent: (data, route) =>
    isNative(route) ? nativeStreamEvent(data) : streamEventByRoute(data, route, 'done'),
  classifyError: (status, body): ErrorClass => tgiErrorClass(status, body),
};

/** Whatever of a body the template prints may name images. */
function parseShared(request: ScannedRequest, facts: EngineFacts): RequestShape | InvalidRequest {
  const shape = parseByRoute(request, DIALECT, facts);
  if ('invalid' in shape) return shape;
  const fields = new RequestFields(request);
  const name = request.route.kind === 'chat' ? 'messages' : 'prompt';
  const { image } = facts.media;
  const promptTokens = withTextImages(fields, name, request.body, shape.promptTokens, image);
  return fields.problem ?? { ...shape, promptTokens };
}

function isNative({ kind }: GenerationRoute): boolean {
  return kind === 'native-text';
}
