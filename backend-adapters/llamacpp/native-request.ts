/**
 * Bodies of llama-server's own text routes: `/completion`, and `/infill`,
 * which joins what stands before and after a gap to one prompt
 * (server-common.cpp, format_prompt_infill).
 */
import { boundsFromBytes } from '../../proxy/memory/token-bounds.ts';
import { contextTokensOf } from '../../proxy/memory/units.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from '../adapter.ts';
import type { OpenAiDialect } from '../openai-dialect.ts';
import { outputLimit } from '../openai-limits.ts';
import { completionPrompt, type PromptSize } from '../openai-prompt.ts';
import { RequestFields } from '../request-fields.ts';

const INFILL = '/infill';
/** Its last resort is `--parallel`, which the server checks. */
const MAX_SAMPLES = 128;
/** Values out of range are brought into it by the server (server-schema.cpp). */
const ANY_NUMBER = { words: 'in digits', includes: Number.isFinite };
/** Special tokens and file names around the parts: 24 and 5 for each extra, in single bytes. */
const INFILL_FRAMING = { baseTokens: 32, perMessageTokens: 8 };
const FORMAT_FIELDS = ['json_schema', 'grammar'];

const NOTHING: PromptSize = {
  promptTokens: { lo: 0, expected: 0, hi: 0, source: 'bytes' },
  prompts: 1,
};

/** What the body asks for, or the first mistake in it. */
export function parseNativeText(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  const requestedOutputTokens = outputLimit(fields, dialect, 'completion').asked;
  const prompt =
    request.route.path === INFILL
      ? infillPrompt(fields, contextTokensOf(facts.layout) - 1 - (requestedOutputTokens ?? 0))
      : completionPrompt(fields, dialect.prompts, 'prompt', facts.media);
  const samples = dialect.sampleFields.map(
    (name) => fields.integer(name, { min: 1, max: MAX_SAMPLES }) ?? 1,
  );
  const shape: RequestShape = {
    kind: 'completion',
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: Math.max(1, ...samples),
    requestedOutputTokens,
    stream: fields.boolean('stream') ?? false,
    temperature: fields.number('temperature', ANY_NUMBER),
    topP: fields.number('top_p', ANY_NUMBER),
    reasoningEffort: null,
    hasTools: false,
    hasResponseFormat: FORMAT_FIELDS.some((name) => fields.member(name) !== null),
  };
  return fields.problem ?? shape;
}

/**
 * One prompt of all parts together. The server cuts parts that are too long,
 * so any length is valid and none is longer than `mostTokens`.
 */
function infillPrompt(fields: RequestFields, mostTokens: number): PromptSize {
  for (const name of ['input_prefix', 'input_suffix']) {
    const kind = fields.member(name)?.kind;
    if (kind !== 'string' && kind !== 'array') {
      fields.refuse(name, `${name} must be a string or an array of strings and token ids`);
    }
  }
  const extra = fields.member('input_extra');
  if (extra !== null && (extra.kind !== 'array' || extra.childKinds.some((k) => k !== 'object'))) {
    fields.refuse('input_extra', 'input_extra must be an array of objects');
  }
  if (fields.problem !== null) return NOTHING;
  const parts = ['input_prefix', 'input_suffix', 'input_extra', 'prompt'].flatMap(
    (name) => fields.member(name) ?? [],
  );
  const bounds = boundsFromBytes({
    textBytes: 0,
    otherBytes: parts.reduce((sum, part) => sum + part.valueEnd - part.valueStart, 0),
    messages: extra?.children ?? 0,
    framing: INFILL_FRAMING,
  });
  const hi = Math.max(bounds.lo, Math.min(bounds.hi, mostTokens));
  return { promptTokens: { ...bounds, expected: Math.min(bounds.expected, hi), hi }, prompts: 1 };
}
