/**
 * Hugging Face `transformers serve` in its default mode, 5.17 to 5.24 (facts from
 * src/transformers/cli/serving, tried on 5.18). KV grows in GPU memory with every
 * request and nothing bounds it: what does not fit ends in an out-of-memory error.
 *
 * - One generation runs at a time, on one thread for each model (utils.py,
 *   InferenceThread); the others wait without a bound.
 * - A key that OpenAI does not have is a 422: only known ones are ever written.
 * - Any exception is a plain 500 "Internal Server Error", be it a field of a wrong
 *   type, an out-of-memory error, or a CUDA context that is broken for good, while
 *   /health stays well (server.py). So a 500 is a suspicion, and one token the
 *   proof: what clients commonly get wrong is refused before it gets there.
 * - In no list, so refused: /v1/audio/transcriptions, /v1/systemone, /load_model
 *   (loads a second model) and /reset (throws all of them out).
 */
import type { Adapter } from './adapter.ts';
import { parseByRoute, rewriteByRoute, streamEventByRoute, usageByRoute } from './by-route.ts';
import { errorClass } from './error-class.ts';
import { tryChatToken } from './one-token.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { isTransformers } from './transformers/detect.ts';
import { checkHealth, probeTransformers } from './transformers/probe.ts';
import { withinTransformers } from './transformers/request.ts';
import { UNKNOWN_READING } from './unknown-reading.ts';

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
    { path: '/v1/completions', kind: 'completion', api: 'openai' },
    { path: '/v1/responses', kind: 'responses', api: 'responses' },
  ],
  outputLimits: { chat: ['max_tokens'], completion: ['max_tokens'] },
  // Accepted without a word and not obeyed: the engine would go on to its default of 1024.
  ignoredOutputLimit: 'max_completion_tokens',
  completionDefaultTokens: null,
  minusOneIsUnlimited: false,
  allowsPrefillOnly: false,
  outputFloor: null,
  sampleFields: ['n'],
  samplesAreIgnored: true,
  prompts: 'one-string',
  greedyNeedsOneSample: false,
  usageOnRequest: false,
  refusedFields: new Map([
    [
      'generation_config',
      'generation_config is not supported: it would replace the limits of the request',
    ],
  ]),
  responses: {
    outputLimits: ['max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: true,
    refusedFields: new Map(),
  },
  messages: null,
  embeddings: null,
  rankings: null,
};

/** After such an error every later one fails too, until the process is started anew. */
const STREAM_ERROR_WORDS = [
  [/CUDA error|device-side assert|CUBLAS_STATUS|cudaError|HIP error/i, 'dying'],
  [/CB worker (is dead|died)/i, 'dying'],
] as const;
const SERVER_ERROR_WORDS = [
  ...STREAM_ERROR_WORDS,
  [/^\s*Internal Server Error\s*$/i, 'oom'],
] as const;

export const transformers: Adapter = {
  name: 'transformers',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [{ method: 'GET', path: '/v1/models' }],
  /** Without a stream, generation goes on to its end whoever has left. */
  cancelQuietMs: 0,
  rankHeader: null,

  detect: isTransformers,
  probe: probeTransformers,

  async read(io, _facts, signal) {
    await checkHealth(io, signal);
    return UNKNOWN_READING;
  },

  hasNoCounter: true,
  countTokens: async () => null,

  /** A pinned server takes no other name than its own, which is not always known; and it takes none. */
  async tryOneToken(io, facts, signal) {
    const unnamed = await tryChatToken(io, null, signal);
    return unnamed === null ? null : tryChatToken(io, facts.modelId, signal);
  },

  parse(request, facts) {
    const shape = parseByRoute(request, DIALECT, facts);
    return 'invalid' in shape ? shape : withinTransformers(request, shape);
  },
  rewrite: (request, shape, grant) =>
    rewriteByRoute(request, DIALECT, shape, {
      ...grant,
      outputTokens: grant.outputTokens ?? shape.requestedOutputTokens,
    }),
  usage: usageByRoute,
  streamEvent: (data, route) => streamEventByRoute(data, route, 'finish-reason'),
  classifyError: (status, body) =>
    errorClass(status, body, status >= 500 ? SERVER_ERROR_WORDS : STREAM_ERROR_WORDS),
};
