/**
 * The Python gpt-oss-hf-server (victor0777/gpt-oss-hf-server v4.8.0,
 * src/server.py): transformers behind FastAPI. KV grows with every request, and
 * an out-of-memory error looks like a success with an empty answer. Up to ten
 * requests run at a time; one that does not stream holds the event loop until
 * it is done, and meanwhile the server answers nothing, /health neither.
 */
import type { Adapter, GenerationRoute } from './adapter.ts';
import { countField, field, listField, parseJson, stringField } from './engine-answer.ts';
import { errorClass } from './error-class.ts';
import { usageOf } from './gpt-oss-hf/answer.ts';
import { checkHealth, isHealthOfGptOssHf, probeGptOssHf, readingOf } from './gpt-oss-hf/probe.ts';
import { parseGptOssHf, rewriteGptOssHf } from './gpt-oss-hf/request.ts';
import { streamEventOf } from './gpt-oss-hf/stream-event.ts';
import { tryChatToken } from './one-token.ts';

const ROUTES: readonly GenerationRoute[] = [
  { path: '/v1/chat/completions', kind: 'chat', api: 'gpt-oss-hf' },
];

export const gptOssHf: Adapter = {
  name: 'gpt-oss-hf',
  generationRoutes: ROUTES,
  /** Its other routes bear the names of kvgate's own (/health, /stats, /memory_stats, ...). */
  passthroughRoutes: [],
  cancelQuietMs: 0,
  muteWhileGenerating: true,
  rankHeader: null,

  async detect(io, signal) {
    try {
      const health = await io.get('/health', signal);
      return health.status === 200 && isHealthOfGptOssHf(parseJson(health.body));
    } catch {
      return false;
    }
  },

  probe: probeGptOssHf,
  read: async (io, _facts, signal) => readingOf(await checkHealth(io, signal)),

  hasNoCounter: true,
  countTokens: async () => null,

  // A first token may well be a special one, whose text is left out: the prompt's count tells.
  tryOneToken: (io, facts, signal) =>
    tryChatToken(io, facts.modelId, signal, (answer) => hasChoice(answer) && !hasFailed(answer)),

  parse: parseGptOssHf,
  rewrite: rewriteGptOssHf,
  usage: usageOf,
  streamEvent: streamEventOf,

  /** All of these are 503; a request that its own guard means to refuse ends as a bare 500. */
  classifyError: (status, body) =>
    errorClass(status, body, [
      [/Server overloaded|Request rejected/i, 'busy'],
      [/Model not loaded/i, 'loading'],
    ]),

  hiddenFailure: (answer) => (hasFailed(answer) ? 'oom' : null),
};

/**
 * Whatever `generate` reports instead of a text is dropped by the handler, which
 * then answers 200 with an empty text and no metadata, so with 0 prompt tokens
 * (server.py, chat_completion). It may be any fault; out of memory is the one to fear.
 */
function hasFailed(answer: unknown): boolean {
  const choice = listField(answer, 'choices')[0];
  const text = stringField(field(choice, 'message'), 'content');
  const promptTokens = countField(field(answer, 'usage'), 'prompt_tokens');
  return hasChoice(answer) && text === null && promptTokens === 0;
}

function hasChoice(answer: unknown): boolean {
  return listField(answer, 'choices').length > 0;
}
