/**
 * vLLM. KV lives in a pool of blocks that is sized at its start; when it runs
 * dry the engine preempts and computes again later, so an overrun costs time
 * and no request. A missing max tokens is therefore left alone.
 */
import type { Adapter } from './adapter.ts';
import { stringField, tryGetJson } from './engine-answer.ts';
import { errorClass } from './error-class.ts';
import { kindOf, type OpenAiDialect } from './openai-dialect.ts';
import { parseOpenAi } from './openai-request.ts';
import { openAiStreamEvent, openAiUsage } from './openai-response.ts';
import { rewriteOpenAi } from './openai-rewrite.ts';
import { countPromptTokens } from './vllm/count-tokens.ts';
import { probeVllm } from './vllm/probe.ts';
import { fetchMetrics, readingOf } from './vllm/state.ts';

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat' },
    { path: '/v1/completions', kind: 'completion' },
  ],
  // A completion knows no max_completion_tokens; there it would not limit anything.
  outputLimits: { chat: ['max_completion_tokens', 'max_tokens'], completion: ['max_tokens'] },
  ignoredOutputLimit: null,
  completionDefaultTokens: 16,
  minusOneIsUnlimited: false,
  allowsPrefillOnly: false,
  outputFloor: 'min_tokens',
  sampleFields: ['n', 'best_of'],
  samplesAreIgnored: false,
  prompts: 'lists',
  greedyNeedsOneSample: true,
  refusedFields: new Map([
    ['prompt_embeds', "prompt_embeds is not supported: its size in tokens can't be told"],
  ]),
};

export const vllm: Adapter = {
  name: 'vllm',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/version' },
    { method: 'POST', path: '/tokenize' },
    { method: 'POST', path: '/detokenize' },
  ],
  cancelQuietMs: 0,

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
  read: async (io, _facts, signal) => readingOf(await fetchMetrics(io, signal)),

  async countTokens(io, request, signal) {
    const kind = kindOf(DIALECT, request.path);
    return kind === null ? null : countPromptTokens(io, request, kind, signal);
  },

  parse: (request, framing) => parseOpenAi(request, DIALECT, framing),
  rewrite: (request, shape, grant) => rewriteOpenAi(request, DIALECT, shape, grant),
  usage: openAiUsage,
  streamEvent: (data) => openAiStreamEvent(data, 'done'),

  /** `--max-num-queued-reqs` answers 503 "Service Unavailable"; a dead engine 500. */
  classifyError: (status, body) => errorClass(status, body, [[/Service Unavailable/i, 'busy']]),
};
