/**
 * llama.cpp's `llama-server`. Cells are fixed at its start and belong to
 * slots; in a unified pool an overflow ends every request in flight with 500
 * (server-context.cpp), so nothing may go in that could outgrow it.
 *
 * A request with the header `X-Conversation-Id` outlives its connection
 * (server-stream.cpp); the header must not be passed on.
 */
import type { Adapter, EngineReply, ScannedRequest } from './adapter.ts';
import { parseByRoute, rewriteByRoute, streamEventByRoute } from './by-route.ts';
import { field, getJson, parseJson, stringField } from './engine-answer.ts';
import { countLlamacppTokens } from './llamacpp/count-tokens.ts';
import { llamacppError } from './llamacpp/errors.ts';
import { nativeStreamEvent, nativeUsage } from './llamacpp/native-answer.ts';
import { parseNativeText } from './llamacpp/native-request.ts';
import { probeLlamaServer } from './llamacpp/probe.ts';
import { GENERATION_ROUTES, PASSTHROUGH_ROUTES } from './llamacpp/routes.ts';
import { readSlots } from './llamacpp/slots.ts';
import { llamacppUsage, withTimings } from './llamacpp/usage.ts';
import { tryChatToken } from './one-token.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import { rewriteOpenAi } from './openai-rewrite.ts';

/** One limit with aliases on every route, OpenAI's included (server-schema.cpp). */
const OUTPUT_LIMITS = ['n_predict', 'max_completion_tokens', 'max_tokens'] as const;

const DIALECT: OpenAiDialect = {
  routes: GENERATION_ROUTES,
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
  usageOnRequest: false,
  refusedFields: new Map(),
  responses: {
    // Its body becomes a chat's, so the aliases hold here too (server-chat.cpp).
    outputLimits: ['n_predict', 'max_completion_tokens', 'max_output_tokens'],
    defaultTokens: null,
    streamsByDefault: false,
    // It gives way to max_output_tokens, even to null there.
    // Several samples come as an array, or as streams in one another: no client can read them.
    refusedFields: new Map([
      ['max_tokens', 'max_tokens is not supported: use max_output_tokens'],
      ['n', 'n is not supported on this route'],
      ['n_cmpl', 'n_cmpl is not supported on this route'],
    ]),
  },
  // Its body becomes a chat's from a list of fields without aliases (server-chat.cpp).
  messages: { missingLimit: 4096 },
  embeddings: {
    inputs: ['input', 'content'],
    prompts: 'mixed',
    refusedFields: new Map(),
    takesMessages: false,
  },
  rankings: {
    sides: [
      ['query', 'documents'],
      ['query', 'texts'],
    ],
  },
};

export const llamacpp: Adapter = {
  name: 'llamacpp',
  generationRoutes: DIALECT.routes,
  passthroughRoutes: PASSTHROUGH_ROUTES,
  // Waiting for a result, the server looks at the connection after each full second in which nobody
  // got one, and every read of /slots counts as one (tools/server/server-queue.cpp,
  // recv_with_timeout; measured: polled every 500 ms it never noticed, left alone it did).
  cancelQuietMs: 1_200,
  rankHeader: null,

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
  read: readSlots,

  countTokens: countLlamacppTokens,
  tryOneToken: (io, facts, signal) => tryChatToken(io, facts.modelId, signal),

  parse: (request, facts) =>
    request.route.kind === 'native-text'
      ? parseNativeText(request, DIALECT, facts)
      : parseByRoute(request, DIALECT, facts),
  rewrite: (request, shape, grant) =>
    request.route.kind === 'native-text'
      ? rewriteOpenAi(asCompletion(request), DIALECT, shape, grant)
      : rewriteByRoute(request, DIALECT, shape, grant),
  usage: (answer, route) =>
    route.kind === 'native-text' ? nativeUsage(answer) : llamacppUsage(answer, route),
  streamEvent: (data, route) =>
    route.kind === 'native-text'
      ? nativeStreamEvent(data)
      : withTimings(streamEventByRoute(data, route, 'done'), data),
  classifyError: llamacppError,
};

/** The routes of its own limit output and set sampling by the same names as a completion. */
function asCompletion(request: ScannedRequest): ScannedRequest {
  return { ...request, route: { ...request.route, kind: 'completion' } };
}

/** Its own words for it, which every route answers until the model is loaded. */
function isLoading({ status, body }: EngineReply): boolean {
  const type = stringField(field(parseJson(body), 'error'), 'type');
  return status === 503 && type === 'unavailable_error';
}
