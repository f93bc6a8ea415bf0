/**
 * The body of `/generate`: `text` or `input_ids`, one or a list, and how to
 * sample in `sampling_params` (managers/io_struct.py, GenerateReqInput;
 * sampling/sampling_params.py).
 */
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { InvalidRequest, ScannedRequest } from '../adapter.ts';
import { nestedProblem, openNested } from '../nested-fields.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import { completionPrompt } from '../openai-prompt.ts';
import { refuseFields } from '../openai-request.ts';
import { RequestFields } from '../request-fields.ts';
import { NATIVE_MEDIA, REFUSED_FIELDS } from './dialect.ts';
import { BOTH_INPUTS, holds } from './inputs.ts';

export const SAMPLING = 'sampling_params';
/** Of a request that does not name the limit; with null it has none. */
export const DEFAULT_NEW_TOKENS = 128;

const MAX_SAMPLES = 128;
/** Each binds the output to a form. */
const FORMAT_FIELDS = ['json_schema', 'regex', 'ebnf', 'structural_tag'];

export function parseGenerate(request: ScannedRequest): RequestShape | InvalidRequest {
  // A list of them, one for each prompt, is told to be none.
  const nested = openNested(request, SAMPLING);
  if ('invalid' in nested) return nested;
  if (holds(request, 'text') && holds(request, 'input_ids')) return BOTH_INPUTS;
  const fields = new RequestFields(request);
  refuseFields(fields, REFUSED_FIELDS);
  refuseFields(fields, NATIVE_MEDIA);
  const inner = new RequestFields(nested);
  inner.integer('min_new_tokens', { min: 0, max: MAX_INT32 });
  const limit = inner.integer('max_new_tokens', { min: 0, max: MAX_INT32 });
  const shape: RequestShape = {
    kind: 'completion',
    // The model is never named.
    model: null,
    ...completionPrompt(fields, 'lists', holds(request, 'input_ids') ? 'input_ids' : 'text'),
    samplesPerPrompt: inner.integer('n', { min: 1, max: MAX_SAMPLES }) ?? 1,
    requestedOutputTokens: limit ?? (inner.isPresent('max_new_tokens') ? null : DEFAULT_NEW_TOKENS),
    stream: fields.boolean('stream') ?? false,
    temperature: inner.number('temperature', {
      words: 'of at least 0',
      includes: (value) => value >= 0,
    }),
    topP: inner.number('top_p', {
      words: 'above 0 and up to 1',
      includes: (value) => value > 0 && value <= 1,
    }),
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: FORMAT_FIELDS.some((name) => inner.member(name) !== null),
  };
  if (fields.problem !== null) return fields.problem;
  return inner.problem === null ? shape : nestedProblem(SAMPLING, inner.problem);
}
