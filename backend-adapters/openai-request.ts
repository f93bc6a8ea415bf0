/**
 * From the scanned body of an OpenAI chat or completion request to what it
 * asks for, or to the first mistake in it.
 */
import type { RequestShape } from '../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from './adapter.ts';
import type { OpenAiDialect, OpenAiKind } from './openai-dialect.ts';
import { MAX_INT32, outputLimit } from './openai-limits.ts';
import { chatPrompt, completionPrompt } from './openai-prompt.ts';
import { reasoningEffortOf } from './reasoning-effort.ts';
import { RequestFields } from './request-fields.ts';

/** OpenAI's own bound of `n`. */
const MAX_SAMPLES = 128;

export const TEMPERATURE = {
  words: 'from 0 to 2',
  includes: (value: number) => value >= 0 && value <= 2,
};
export const TOP_P = {
  words: 'above 0 and up to 1',
  includes: (value: number) => value > 0 && value <= 1,
};

const TOOL_FIELDS = ['tools', 'functions'];
/** Each of them binds the output to a form that a shorter answer would break. */
export const FORMAT_FIELDS: readonly string[] = [
  'response_format',
  'json_schema',
  'grammar',
  'structured_outputs',
  'guided_json',
  'guided_regex',
  'guided_choice',
  'guided_grammar',
];

/** What the body asks for; the 400's words, naming the field, when it makes no sense. */
export function parseOpenAi(
  request: ScannedRequest,
  kind: OpenAiKind,
  dialect: OpenAiDialect,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  refuseFields(fields, dialect.refusedFields);
  const prompt =
    kind === 'chat'
      ? chatPrompt(fields, facts)
      : completionPrompt(fields, dialect.prompts, 'prompt', facts.media);
  if (dialect.outputFloor !== null) fields.integer(dialect.outputFloor, { min: 0, max: MAX_INT32 });
  const shape: RequestShape = {
    kind,
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: samplesPerPrompt(fields, dialect),
    requestedOutputTokens: outputLimit(fields, dialect, kind).asked,
    stream: fields.boolean('stream') ?? false,
    temperature: fields.number('temperature', TEMPERATURE),
    topP: fields.number('top_p', TOP_P),
    reasoningEffort: reasoningEffortOf(request),
    hasTools: TOOL_FIELDS.some((name) => (fields.member(name)?.children ?? 0) > 0),
    hasResponseFormat: FORMAT_FIELDS.some((name) => fields.member(name) !== null),
  };
  return fields.problem ?? shape;
}

export function refuseFields(fields: RequestFields, refused: ReadonlyMap<string, string>): void {
  for (const [name, why] of refused) {
    if (fields.member(name) !== null) fields.refuse(name, why);
  }
}

function samplesPerPrompt(fields: RequestFields, dialect: OpenAiDialect): number {
  const samples = dialect.sampleFields.map(
    (name) => fields.integer(name, { min: 1, max: MAX_SAMPLES }) ?? 1,
  );
  return dialect.samplesAreIgnored ? 1 : Math.max(1, ...samples);
}
