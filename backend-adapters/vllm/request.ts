/**
 * What vLLM's own fields do to a request that the shared parser has read: where
 * the prompt is cut, and what the engine computes beside the answer.
 */
import { contextTokensOf } from '../../proxy/memory/units.ts';
import type { RequestShape, TokenBounds } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from '../adapter.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import { RequestFields } from '../request-fields.ts';

/**
 * Rows of logits that vLLM surely has memory for: newer versions compute a
 * prompt's in pieces of that many (v1/worker/gpu/sample/prompt_logprob.py), older
 * ones all of a batch at once, which its start-up measurement does not cover.
 * With a vocabulary of 200,000, 8192 rows are 6.6 GB in 32 bits: the way in
 * which a single request kills the engine and all that it works on.
 */
const SAFE_LOGIT_ROWS = 1024;

/** The shape as the engine will see it, or why it must not. */
export function withinVllm(
  request: ScannedRequest,
  facts: EngineFacts,
  shape: RequestShape,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  fields.boolean('use_beam_search');
  const promptTokens = cutTokens(fields, facts, shape);
  const asked = promptLogprobsField(fields, shape);
  if (asked !== null && promptTokens.hi > SAFE_LOGIT_ROWS) {
    fields.refuse(
      asked,
      `${asked} would make the engine compute the logits of the whole prompt, which can kill it: supported up to ${SAFE_LOGIT_ROWS} bytes of text or token ids`,
    );
  }
  return fields.problem ?? { ...shape, promptTokens };
}

/** The most tokens each prompt keeps by `truncate_prompt_tokens`; null where it is not cut. */
function cutOf(fields: RequestFields, facts: EngineFacts): number | null {
  const cut = fields.integer('truncate_prompt_tokens', { min: -1, max: MAX_INT32 });
  return cut === -1 ? contextTokensOf(facts.layout) : cut;
}

/** A template of the client's own may print anything, as long as it fits the context. */
function cutTokens(fields: RequestFields, facts: EngineFacts, shape: RequestShape): TokenBounds {
  const { lo, expected, hi, source } = shape.promptTokens;
  const most =
    fields.member('chat_template') === null ? hi : Math.max(hi, contextTokensOf(facts.layout));
  const cut = cutOf(fields, facts);
  const limit = cut === null ? most : Math.max(1, cut) * shape.prompts;
  const within = (tokens: number) => Math.min(tokens, limit);
  return { lo: within(lo), expected: within(expected), hi: within(most), source };
}

/** The field that asks for the logits of the prompt (protocol.py, to_sampling_params). */
function promptLogprobsField(fields: RequestFields, { kind }: RequestShape): string | null {
  if (fields.integer('prompt_logprobs', { min: -1, max: MAX_INT32 }) !== null) {
    return 'prompt_logprobs';
  }
  if (fields.boolean('echo') !== true) return null;
  return kind === 'chat' || fields.member('logprobs') !== null ? 'echo' : null;
}
