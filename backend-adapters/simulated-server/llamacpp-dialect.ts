/** llama-server over HTTP: aliases of the token limit, errors, timings. State is in llamacpp-state.ts. */
import { BodyFields } from './body-fields.ts';
import type { Dialect, JsonObject, ParsedRequest, RouteKind, UsageCounts } from './dialect.ts';
import { usageWithCache } from './dialect.ts';
import { contextExceeded, invalidRequest, llamaError } from './llamacpp-errors.ts';
import { llamacppState } from './llamacpp-state.ts';
import type { Rates } from './pace.ts';
import type { SlotsEngine } from './slots-engine.ts';

const INT32_MAX = 2 ** 31 - 1;
/** First one that is neither absent nor null wins (server-schema.cpp). */
const LIMIT_FIELDS = ['n_predict', 'max_completion_tokens', 'max_tokens'] as const;

export interface LlamaServer {
  readonly modelId: string;
  /** Cells one slot may use. */
  readonly slotContextTokens: number;
  readonly trainedContextTokens: number;
  readonly weightsBytes: number;
  readonly rates: Rates;
  readonly engine: SlotsEngine;
}

export function llamacppDialect(server: LlamaServer): Dialect {
  return {
    streamRules: { usageInFinishChunk: { chat: false, completion: true }, sendsDone: true },
    parse: (kind, body) => parse(kind, body, server),
    badRequest: invalidRequest,
    fault: ({ message }) => llamaError(500, 'server_error', message),
    headers: () => ({}),
    usage: usageWithCache,
    extras: (counts) => ({ timings: timings(counts, server.rates) }),
    state: (call) => llamacppState(call, server),
  };
}

function parse(kind: RouteKind, body: JsonObject, server: LlamaServer): ParsedRequest {
  const fields = new BodyFields(body);
  const tokenLists = kind === 'chat' ? [fields.chatPrompt()] : fields.completionPrompts();
  const limits = LIMIT_FIELDS.map((field) => fields.integer(field, -1, INT32_MAX));
  const limit = limits.find((value) => value !== null) ?? -1;
  const stream = fields.boolean('stream', false);
  const slots = server.engine.slots.length;
  const samplesPerPrompt = fields.integer('n', 1, slots) ?? fields.integer('n_cmpl', 1, slots) ?? 1;
  const slot = fields.integer('id_slot', -1) ?? -1;
  const ignoreEos = fields.boolean('ignore_eos', false);
  const reusesPrefix = fields.boolean('cache_prompt', true);
  if (fields.problem !== null) return { refusal: invalidRequest(fields.problem) };
  const slotContext = server.slotContextTokens;
  const tooLong = tokenLists.find((tokens) => tokens.length >= slotContext);
  if (tooLong !== undefined) return { refusal: contextExceeded(tooLong.length, slotContext) };
  const wanted = limit === -1 ? Number.POSITIVE_INFINITY : limit;
  return {
    request: {
      kind,
      // Without context shift a slot stops when its cells are full (server-context.cpp).
      prompts: tokenLists.map((tokens) => ({
        tokens,
        maxOutputTokens: Math.min(wanted, slotContext - tokens.length),
      })),
      samplesPerPrompt,
      stream,
      includeUsage: fields.includeUsage(),
      seed: fields.seed(),
      ignoreEos,
      slot: slot === -1 ? null : slot,
      reusesPrefix,
    },
  };
}

/** Times a request would take alone, so that equal requests have equal answers. */
function timings(counts: UsageCounts, rates: Rates): JsonObject {
  const computed = counts.promptTokens - counts.cachedTokens;
  const predicted = counts.completionTokens;
  return {
    cache_n: counts.cachedTokens,
    prompt_n: computed,
    prompt_ms: (1000 * computed) / rates.prefillTokensPerSecond,
    prompt_per_second: rates.prefillTokensPerSecond,
    predicted_n: predicted,
    predicted_ms: (1000 * predicted) / rates.decodeTokensPerSecond,
    predicted_per_second: rates.decodeTokensPerSecond,
  };
}
