/**
 * From the scanned body of OpenAI's Responses API to what it asks for, or to
 * the first mistake in it. Field names: the API's reference (openai-node,
 * resources/responses/responses.ts); what engines make of them: vLLM
 * (entrypoints/openai/responses/protocol.py), llama.cpp (server-chat.cpp),
 * transformers (cli/serving/response.py).
 */
import { smallValue } from '../proxy/json/splice.ts';
import type { RequestShape } from '../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from './adapter.ts';
import { field } from './engine-answer.ts';
import type { OpenAiDialect, ResponsesRules } from './openai-dialect.ts';
import { outputLimit } from './openai-limits.ts';
import {
  conversationPrompt,
  NO_PROMPT,
  type PromptSize,
  TEMPLATE_FIELDS,
} from './openai-prompt.ts';
import { FORMAT_FIELDS, refuseFields, TEMPERATURE, TOP_P } from './openai-request.ts';
import { reasoningEffortOf } from './reasoning-effort.ts';
import { RequestFields } from './request-fields.ts';

/** Members beside the input that may end up in the prompt; the last are vLLM's. */
const PRINTED = [
  ...TEMPLATE_FIELDS,
  'instructions',
  'text',
  'reasoning',
  'previous_input_messages',
];

/** They name a prompt that lies at the server. `conversation` does not: engines ignore it. */
const STORED: ReadonlyMap<string, string> = new Map(
  ['previous_response_id', 'prompt'].map((name) => [
    name,
    `${name} is not supported: the size of what is stored in tokens can't be told`,
  ]),
);

export function parseResponses(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  responses: ResponsesRules,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  refuseFields(fields, dialect.refusedFields);
  refuseFields(fields, responses.refusedFields);
  refuseFields(fields, STORED);
  if (fields.boolean('background') === true) {
    const why = 'it would go on without anyone to end it';
    fields.refuse('background', `background is not supported: ${why}`);
  }
  const prompt = inputPrompt(fields, facts);
  const shape: RequestShape = {
    kind: 'chat',
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: 1,
    requestedOutputTokens: outputLimit(fields, dialect, 'responses').asked,
    stream: fields.isPresent('stream')
      ? (fields.boolean('stream') ?? false)
      : responses.streamsByDefault,
    temperature: fields.number('temperature', TEMPERATURE),
    topP: fields.number('top_p', TOP_P),
    reasoningEffort: reasoningEffortOf(request),
    hasTools: (fields.member('tools')?.children ?? 0) > 0,
    hasResponseFormat:
      hasTextFormat(request, fields) || FORMAT_FIELDS.some((name) => fields.member(name) !== null),
  };
  return fields.problem ?? shape;
}

/** A text, one item, or a list of items: messages, calls, their outputs, reasoning. */
function inputPrompt(fields: RequestFields, facts: EngineFacts): PromptSize {
  const input = fields.member('input');
  if (input === null) fields.refuse('input', 'input is required');
  else if (input.kind === 'string' || input.kind === 'object') {
    const parts = { talk: [input], besides: PRINTED, textIsSure: input.kind === 'string' };
    return conversationPrompt(fields, parts, facts);
  } else if (input.kind !== 'array' || input.childKinds.some((kind) => kind !== 'object')) {
    fields.refuse('input', 'input must be a string or an array of objects');
  } else if (input.children === 0) fields.refuse('input', 'input must not be empty');
  else {
    // Engines leave out some items: encrypted reasoning, calls of tools that they don't know.
    const parts = { talk: [input], besides: PRINTED, textIsSure: false };
    return conversationPrompt(fields, parts, facts);
  }
  return NO_PROMPT;
}

/** `text.format`, unless it is of the default type; one too long to read is a schema. */
function hasTextFormat(request: ScannedRequest, fields: RequestFields): boolean {
  const member = fields.member('text');
  if (member === null) return false;
  const text = smallValue(request.body, member);
  if (text === undefined) return true;
  const format = field(text, 'format') ?? null;
  return format !== null && field(format, 'type') !== 'text';
}
