/**
 * vLLM, v0.9 to v0.33 (facts are named by file below `vllm/` of its repository).
 * KV lives in a pool of blocks that is sized at its start; when it runs dry the
 * engine preempts and computes again later, so an overrun costs time and no
 * request. A missing max tokens is therefore left alone.
 *
 * Refused, since nobody reads their bodies here: /invocations (any other route's
 * body, without a key), /inference/v1/generate, /v1/chat/completions/batch,
 * /v1/decisions, /v1/systemone, /generative_scoring, /v2/embed, /cohere/v2/chat,
 * /v1/audio/*, the /v1/realtime WebSocket, stored responses, and all that only
 * VLLM_SERVER_DEV_MODE or LoRA updating opens.
 */
import type { Adapter } from './adapter.ts';
import { parseByRoute, rewriteByRoute, streamEventByRoute, usageByRoute } from './by-route.ts';
import { stringField, tryGetJson } from './engine-answer.ts';
import { errorClass } from './error-class.ts';
import { tryChatToken } from './one-token.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { countPromptTokens } from './vllm/count-tokens.ts';
import { probeVllm } from './vllm/probe.ts';
import { withinVllm } from './vllm/request.ts';
import { settingsOf } from './vllm/settings.ts';
import { fetchMetrics, readingOf } from './vllm/state.ts';

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat', api: 'openai' },
    { path: '/v1/completions', kind: 'completion', api: 'openai' },
    { path: '/v1/responses', kind: 'responses', api: 'responses' },
    { path: '/v1/messages', kind: 'messages', api: 'anthropic' },
    { path: '/v1/embeddings', kind: 'embedding', api: 'openai' },
    { path: '/pooling', kind: 'embedding', api: 'openai' },
    { path: '/classify', kind: 'embedding', api: 'openai' },
    { path: '/score', kind: 'ranking', api: 'openai' },
    { path: '/v1/score', kind: 'ranking', api: 'openai' },
    { path: '/rerank', kind: 'ranking', api: 'openai' },
    { path: '/v1/rerank', kind: 'ranking', api: 'openai' },
    { path: '/v2/rerank', kind: 'ranking', api: 'openai' },
  ],
  // A completion knows no max_completion_tokens; there it would not limit anything.
  outputLimits: { chat: ['max_completion_tokens', 'max_tokens'], completion: ['max_tokens'] },
  ignoredOutputLimit: null,
  completionDefaultTokens: 16,
  minusOneIsUnlimited: false,
  // With `echo`; without it the engine refuses 0 itself.
  allowsPrefillOnly: true,
  outputFloor: 'min_tokens',
  // Of a beam search, `n` is the width: as many sequences are kept.
  sampleFields: ['n', 'best_of'],
  samplesAreIgnored: false,
  prompts: 'lists',
  greedyNeedsOneSample: true,
  usageOnRequest: true,
  refusedFields: new Map([
    ['prompt_embeds', "prompt_embeds is not supported: its size in tokens can't be told"],
    [
      'kv_transfer_params',
      'kv_transfer_params is not supported: the engine would hold KV beyond the answer',
    ],
    [
      'ec_transfer_params',
      'ec_transfer_params is not supported: the engine would hold memory beyond the answer',
    ],
  ]),
  responses: {
    outputLimits: ['max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: false,
    refusedFields: new Map([
      [
        'previous_response',
        "previous_response is not supported: the size of its state in tokens can't be told",
      ],
    ]),
  },
  messages: { missingLimit: 'required' },
  embeddings: {
    inputs: ['input'],
    prompts: 'lists',
    // Fills a prompt up to the longest there can be.
    refusedFields: new Map([['padding', 'padding is not supported: it makes prompts longer']]),
    takesMessages: true,
  },
  rankings: {
    sides: [
      ['query', 'documents'],
      ['queries', 'documents'],
      ['queries', 'items'],
      ['text_1', 'text_2'],
      ['data_1', 'data_2'],
    ],
  },
};

/**
 * Texts of v0.11 to v0.33: renderers/params.py and v1/engine/input_processor.py
 * for prompts, exceptions.py for full queues (`--max-num-queued-reqs`: a 503),
 * v1/engine/exceptions.py for an engine that died, be it of memory: its process
 * is gone, and clients are told no more than that.
 */
const ERROR_WORDS = [
  [/maximum context length/i, 'too-long'],
  [/\bmax_(completion_|output_)?tokens=\d+ cannot be greater than/i, 'too-long'],
  [/longer than the maximum model length/i, 'too-long'],
  [
    /EngineCore encountered an issue|EngineDeadError|Background loop (has errored|is not running)/i,
    'dying',
  ],
  [/The server had an error while processing your request/i, 'dying'],
  [/Service ?Unavailable/i, 'busy'],
] as const;

export const vllm: Adapter = {
  name: 'vllm',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/version' },
    { method: 'POST', path: '/tokenize' },
    { method: 'POST', path: '/detokenize' },
    { method: 'POST', path: '/v1/messages/count_tokens' },
    // They render a prompt and compute nothing of it (entrypoints/scale_out/render).
    { method: 'POST', path: '/v1/chat/completions/render' },
    { method: 'POST', path: '/v1/completions/render' },
    { method: 'POST', path: '/v1/messages/render' },
    { method: 'POST', path: '/v1/responses/render' },
  ],
  cancelQuietMs: 0,
  rankHeader: 'X-data-parallel-rank',

  async detect(io, signal) {
    const version = await tryGetJson(io, '/version', signal);
    if (stringField(version, 'version') === null) return false;
    try {
      const metrics = await io.get('/metrics', signal);
      return metrics.status === 200 && /^vllm:/m.test(metrics.body);
    } catch {
      return false;
    }
  },

  probe: probeVllm,

  async read(io, facts, signal) {
    const metrics = await fetchMetrics(io, signal);
    return readingOf(metrics, settingsOf(facts), facts.ranks > 1);
  },

  countTokens: countPromptTokens,

  tryOneToken: (io, facts, signal) => tryChatToken(io, facts.modelId, signal),

  parse(request, facts) {
    const shape = parseByRoute(request, DIALECT, facts);
    return 'invalid' in shape ? shape : withinVllm(request, facts, shape);
  },
  rewrite: (request, shape, grant) => rewriteByRoute(request, DIALECT, shape, grant),
  usage: usageByRoute,
  streamEvent: (data, route) => streamEventByRoute(data, route, 'done'),

  classifyError: (status, body) => errorClass(status, body, ERROR_WORDS),
};
