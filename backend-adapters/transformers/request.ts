/**
 * What `transformers serve` makes of a request beyond what the shared parser
 * reads (src/transformers/cli/serving/utils.py, _build_generation_config).
 */
import { memberJson } from '../../proxy/json/splice.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { InvalidRequest, ScannedRequest } from '../adapter.ts';
import { RequestFields } from '../request-fields.ts';

/**
 * A request without a limit ends after 1024 tokens, or after those that the
 * model's own generation config allows where they are more. Nothing tells that
 * number, so 1024 are counted and written down.
 */
const DEFAULT_TOKENS = 1024;

/** A sign and the digits of 64 bits. */
const MAX_SEED_CHARS = 21;

/** The shape with the limit it gets, or why it is refused: the engine would answer 500. */
export function withinTransformers(
  request: ScannedRequest,
  shape: RequestShape,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  const seed = fields.member('seed');
  const isShort = seed !== null && seed.valueEnd - seed.valueStart <= MAX_SEED_CHARS;
  if (seed !== null && !(isShort && isSeed(memberJson(request.body, seed)))) {
    fields.refuse('seed', 'seed must be a whole number of at most 64 bits');
  }
  const prompt = fields.member('prompt');
  if (prompt?.kind === 'string' && prompt.stringBytes === 0) {
    fields.refuse('prompt', 'prompt must not be empty');
  }
  const requestedOutputTokens = shape.requestedOutputTokens ?? DEFAULT_TOKENS;
  return fields.problem ?? { ...shape, requestedOutputTokens };
}

/** As torch.manual_seed takes it: signed or unsigned, beyond what a double holds exactly. */
function isSeed(json: string): boolean {
  if (!/^-?\d{1,20}$/.test(json)) return false;
  const value = BigInt(json);
  return value >= -(2n ** 63n) && value < 2n ** 64n;
}
