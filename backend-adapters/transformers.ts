/**
 * Hugging Face `transformers serve` in its default mode. KV grows in GPU memory
 * with every request and nothing bounds it: what does not fit ends in an
 * out-of-memory error. Source: transformers, src/transformers/cli/serving.
 */
import type { Adapter } from './adapter.ts';
import { field, listField, parseJson, tryGetJson } from './engine-answer.ts';
import { errorClass } from './error-class.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { parseOpenAi } from './openai-request.ts';
import { openAiStreamEvent, openAiUsage } from './openai-response.ts';
import { rewriteOpenAi } from './openai-rewrite.ts';
import { checkHealth, probeTransformers } from './transformers/probe.ts';
import { UNKNOWN_READING } from './unknown-reading.ts';

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat' },
    { path: '/v1/completions', kind: 'completion' },
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
  refusedFields: new Map([
    [
      'generation_config',
      'generation_config is not supported: it would replace the limits of the request',
    ],
  ]),
};

export const transformers: Adapter = {
  name: 'transformers',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [{ method: 'GET', path: '/v1/models' }],
  /** Without a stream, generation goes on to its end whoever has left. */
  cancelQuietMs: 0,

  /**
   * It has no banner: it says it is well, lists models, and gives every answer
   * an id. The simulated server signs its models instead.
   */
  async detect(io, signal) {
    try {
      const health = await checkHealth(io, signal);
      if (field(parseJson(health.body), 'status') !== 'ok') return false;
      const listing = await tryGetJson(io, '/v1/models', signal);
      const models = listField(listing, 'data');
      if (field(listing, 'object') !== 'list' || models.some(isOfAnother)) return false;
      return health.headers['x-request-id'] !== undefined || models.some(isSimulated);
    } catch {
      return false;
    }
  },

  probe: probeTransformers,

  async read(io, _facts, signal) {
    await checkHealth(io, signal);
    return UNKNOWN_READING;
  },

  countTokens: async () => null,

  parse: (request, framing) => parseOpenAi(request, DIALECT, framing),
  rewrite: (request, shape, grant) => rewriteOpenAi(request, DIALECT, shape, grant),
  usage: openAiUsage,
  streamEvent: (data) => openAiStreamEvent(data, 'finish-reason'),
  classifyError: (status, body) => errorClass(status, body, []),
};

/** Engines that list their models the same way put their name or a context length beside them. */
function isOfAnother(model: unknown): boolean {
  const owner = field(model, 'owned_by');
  return (
    field(model, 'max_model_len') !== undefined ||
    field(model, 'meta') !== undefined ||
    ['llamacpp', 'vllm', 'sglang', 'library'].some((name) => name === owner)
  );
}

function isSimulated(model: unknown): boolean {
  return field(model, 'owned_by') === 'kvgate-simulated';
}
