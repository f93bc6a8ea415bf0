/**
 * llama.cpp's `llama-server`. Cells are fixed at its start and belong to
 * slots; in a unified pool an overflow ends every request in flight with 500
 * (server-context.cpp), so nothing may go in that could outgrow it.
 *
 * A request with the header `X-Conversation-Id` outlives its connection
 * (server-stream.cpp); the header must not be passed on.
 */
import type { Adapter, EngineReply } from './adapter.ts';
import { field, getJson, parseJson, stringField } from './engine-answer.ts';
import { errorClass } from './error-class.ts';
import { countChatTokens, countTextTokens } from './llamacpp/count-tokens.ts';
import { probeLlamaServer } from './llamacpp/probe.ts';
import { readSlots } from './llamacpp/slots.ts';
import { llamacppUsage } from './llamacpp/usage.ts';
import { kindOf, type OpenAiDialect } from './openai-dialect.ts';
import { parseOpenAi } from './openai-request.ts';
import { openAiStreamEvent } from './openai-response.ts';
import { rewriteOpenAi } from './openai-rewrite.ts';

/** One limit with aliases on every route, OpenAI's included (server-schema.cpp). */
const OUTPUT_LIMITS = ['n_predict', 'max_completion_tokens', 'max_tokens'] as const;

const DIALECT: OpenAiDialect = {
  routes: [
    { path: '/v1/chat/completions', kind: 'chat' },
    { path: '/chat/completions', kind: 'chat' },
    { path: '/v1/completions', kind: 'completion' },
  ],
  outputLimits: { chat: OUTPUT_LIMITS, completion: OUTPUT_LIMITS },
  ignoredOutputLimit: null,
  completionDefaultTokens: null,
  minusOneIsUnlimited: true,
  allowsPrefillOnly: true,
  outputFloor: null,
  sampleFields: ['n_cmpl', 'n'],
  samplesAreIgnored: false,
  prompts: 'mixed',
  greedyNeedsOneSample: false,
  refusedFields: new Map(),
};

export const llamacpp: Adapter = {
  name: 'llamacpp',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: [
    { method: 'GET', path: '/v1/models' },
    { method: 'GET', path: '/models' },
    { method: 'POST', path: '/tokenize' },
    { method: 'POST', path: '/detokenize' },
    { method: 'POST', path: '/apply-template' },
    { method: 'POST', path: '/v1/chat/completions/input_tokens' },
    { method: 'POST', path: '/chat/completions/input_tokens' },
  ],
  // Waiting for a result, the server looks at the connection after each full second in which nobody
  // got one, and every read of /slots counts as one (tools/server/server-queue.cpp,
  // recv_with_timeout; measured: polled every 500 ms it never noticed, left alone it did).
  cancelQuietMs: 1_200,

  async detect(io, signal) {
    try {
      const health = await io.get('/health', signal);
      if (health.headers.server === 'llama.cpp' || isLoading(health)) return true;
      const props = await getJson(io, '/props', signal);
      return (
        field(props, 'default_generation_settings') !== undefined &&
        (field(props, 'total_slots') !== undefined || field(props, 'role') === 'router')
      );
    } catch {
      return false;
    }
  },

  probe: probeLlamaServer,
  read: (io, facts, signal) => readSlots(io, facts.layout, signal),

  async countTokens(io, request, signal) {
    return kindOf(DIALECT, request.path) === 'chat'
      ? countChatTokens(io, request.path, request.body, signal)
      : countTextTokens(io, request, signal);
  },

  parse: (request, framing) => parseOpenAi(request, DIALECT, framing),
  rewrite: (request, shape, grant) => rewriteOpenAi(request, DIALECT, shape, grant),
  usage: llamacppUsage,
  streamEvent: (data) => openAiStreamEvent(data, 'done'),

  classifyError: (status, body) =>
    errorClass(status, body, [
      [/no slot available/i, 'busy'],
      [/unavailable_error|Loading model/i, 'loading'],
      [/context size has been exceeded|exceeds the available context size/i, 'overflow'],
    ]),
};

/** Its own words for it, which every route answers until the model is loaded. */
function isLoading({ status, body }: EngineReply): boolean {
  const type = stringField(field(parseJson(body), 'error'), 'type');
  return status === 503 && type === 'unavailable_error';
}
