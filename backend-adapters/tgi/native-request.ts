/**
 * TGI's own bodies: one text in `inputs`, everything else in `parameters`
 * (lib.rs, GenerateRequest, CompatGenerateRequest, GenerateParameters).
 */
import { boundsFromBytes } from '../../proxy/memory/token-bounds.ts';
import type { RequestShape, TokenBounds } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from '../adapter.ts';
import { nestedProblem, openNested } from '../nested-fields.ts';
import { MAX_INT32 } from '../openai-limits.ts';
import { RequestFields } from '../request-fields.ts';
import { withTextImages } from './text-images.ts';

export const PARAMETERS = 'parameters';

/** A first and a last special token. */
const SPECIAL_TOKENS = 2;
const MAX_SAMPLES = 128;

export function parseNative(
  request: ScannedRequest,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const nested = openNested(request, PARAMETERS);
  if ('invalid' in nested) return nested;
  const fields = new RequestFields(request);
  const inner = new RequestFields(nested);
  const truncate = inner.integer('truncate', { min: 1, max: MAX_INT32 });
  const sampling = samplingOf(inner, request.object.members.has(PARAMETERS));
  const shape: RequestShape = {
    kind: 'completion',
    // The model is never named.
    model: null,
    promptTokens: atMost(promptOf(request, fields, facts), truncate),
    prompts: 1,
    samplesPerPrompt: inner.integer('best_of', { min: 1, max: MAX_SAMPLES }) ?? 1,
    requestedOutputTokens: inner.integer('max_new_tokens', { min: 1, max: MAX_INT32 }),
    stream: streams(request, fields),
    ...sampling,
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: inner.member('grammar') !== null,
  };
  if (fields.problem !== null) return fields.problem;
  return inner.problem === null ? shape : nestedProblem(PARAMETERS, inner.problem);
}

/** Only `/` looks at `stream`; the other two are one or the other by their name. */
function streams({ route }: ScannedRequest, fields: RequestFields): boolean {
  const asked = fields.boolean('stream') ?? false;
  return route.path === '/' ? asked : route.path === '/generate_stream';
}

function promptOf(
  request: ScannedRequest,
  fields: RequestFields,
  { media }: EngineFacts,
): TokenBounds {
  const inputs = fields.member('inputs');
  if (inputs?.kind !== 'string') {
    fields.refuse('inputs', inputs === null ? 'inputs is required' : 'inputs must be a string');
    return atMost({ lo: 0, expected: 0, hi: 0, source: 'bytes' }, null);
  }
  const text = boundsFromBytes({
    textBytes: inputs.stringBytes,
    otherBytes: 0,
    messages: 0,
    framing: { baseTokens: SPECIAL_TOKENS, perMessageTokens: 0 },
  });
  const written = request.body.subarray(inputs.valueStart, inputs.valueEnd);
  return withTextImages(fields, 'inputs', written, text, media.image);
}

/** `truncate` keeps the last so many tokens of the prompt. */
function atMost(bounds: TokenBounds, truncate: number | null): TokenBounds {
  if (truncate === null) return bounds;
  const { lo, expected, hi } = bounds;
  return {
    ...bounds,
    lo: Math.min(lo, truncate),
    expected: Math.min(expected, truncate),
    hi: Math.min(hi, truncate),
  };
}

/**
 * The engine samples where `do_sample` or any of the sampling values says so, and
 * where there are no parameters at all (lib.rs, default_parameters); else it is greedy.
 */
function samplingOf(
  inner: RequestFields,
  hasParameters: boolean,
): Pick<RequestShape, 'temperature' | 'topP'> {
  const temperature = inner.number('temperature', {
    words: 'above 0',
    includes: (value) => value > 0,
  });
  const topP = inner.number('top_p', {
    words: 'above 0 and below 1',
    includes: (value) => value > 0 && value < 1,
  });
  const others = ['top_k', 'typical_p'].some((name) => inner.member(name) !== null);
  const asked = inner.boolean('do_sample') ?? !hasParameters;
  const isGreedy = !asked && !others && temperature === null && topP === null;
  return { temperature: isGreedy ? 0 : temperature, topP };
}
