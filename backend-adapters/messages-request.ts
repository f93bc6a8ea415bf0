/**
 * From the scanned body of Anthropic's Messages API to what it asks for, or to
 * the first mistake in it. Field names: the API's reference
 * (anthropic-sdk-typescript, resources/messages/messages.ts); what engines make
 * of them: llama.cpp (server-chat.cpp), vLLM (entrypoints/anthropic).
 */
import { smallValue } from '../proxy/json/splice.ts';
import type { Edit } from '../proxy/json/types.ts';
import type { RequestShape } from '../proxy/policy/types.ts';
import type { EngineFacts, InvalidRequest, ScannedRequest } from './adapter.ts';
import { field } from './engine-answer.ts';
import { closeNested, nestedProblem, openNested } from './nested-fields.ts';
import type { MessagesRules, OpenAiDialect } from './openai-dialect.ts';
import { MAX_INT32, outputLimit } from './openai-limits.ts';
import {
  conversationPrompt,
  NO_PROMPT,
  type PromptSize,
  requiredMessages,
  TEMPLATE_FIELDS,
} from './openai-prompt.ts';
import { refuseFields, TOP_P } from './openai-request.ts';
import { reasoningEffortOf } from './reasoning-effort.ts';
import { RequestFields } from './request-fields.ts';

const TEMPERATURE = {
  words: 'from 0 to 1',
  includes: (value: number) => value >= 0 && value <= 1,
};

const PRINTED = [...TEMPLATE_FIELDS, 'output_config', 'thinking'];
const THINKING = 'thinking';
const BUDGET = 'budget_tokens';

export function parseMessages(
  request: ScannedRequest,
  dialect: OpenAiDialect,
  { missingLimit }: MessagesRules,
  facts: EngineFacts,
): RequestShape | InvalidRequest {
  const fields = new RequestFields(request);
  refuseFields(fields, dialect.refusedFields);
  const prompt = messagesPrompt(fields, facts);
  if (missingLimit === 'required' && fields.member('max_tokens') === null) {
    fields.refuse('max_tokens', 'max_tokens is required');
  }
  const shape: RequestShape = {
    kind: 'chat',
    model: fields.string('model'),
    ...prompt,
    samplesPerPrompt: 1,
    requestedOutputTokens: outputLimit(fields, dialect, 'messages').asked,
    stream: fields.boolean('stream') ?? false,
    temperature: fields.number('temperature', TEMPERATURE),
    topP: fields.number('top_p', TOP_P),
    reasoningEffort: reasoningEffortOf(request),
    hasTools: (fields.member('tools')?.children ?? 0) > 0,
    hasResponseFormat: hasOutputFormat(request, fields),
  };
  return fields.problem ?? budgetProblem(request) ?? shape;
}

/**
 * The system prompt is one more message. Results of tools become messages of
 * their own too: what their blocks are written in is longer than a frame.
 */
function messagesPrompt(fields: RequestFields, facts: EngineFacts): PromptSize {
  const system = fields.member('system');
  const isList = system?.kind === 'array' && system.childKinds.every((kind) => kind === 'object');
  if (system !== null && system.kind !== 'string' && !isList) {
    fields.refuse('system', 'system must be a string or an array of objects');
  }
  const messages = requiredMessages(fields);
  if (messages === null) return NO_PROMPT;
  // Engines leave out some blocks: redacted thinking, a header of Claude Code's.
  const talk = system === null ? [messages] : [system, messages];
  return conversationPrompt(fields, { talk, besides: PRINTED, textIsSure: false }, facts);
}

/** `output_config.format`; one too long to read is a schema. */
function hasOutputFormat(request: ScannedRequest, fields: RequestFields): boolean {
  const member = fields.member('output_config');
  if (member === null) return false;
  const config = smallValue(request.body, member);
  return config === undefined || (field(config, 'format') ?? null) !== null;
}

function budgetProblem(request: ScannedRequest): InvalidRequest | null {
  const thinking = openNested(request, THINKING);
  if ('invalid' in thinking) return thinking;
  const fields = new RequestFields(thinking);
  fields.integer(BUDGET, { min: -1, max: MAX_INT32 });
  return fields.problem === null ? null : nestedProblem(THINKING, fields.problem);
}

/**
 * `thinking.budget_tokens` counts inside `max_tokens` and has to stay below
 * it, so where that is lowered the budget follows. It may fall below the 1024
 * of the API: of the engines behind, llama.cpp stops reasoning there and vLLM
 * ignores it; an engine that refuses it says so, and nothing was generated.
 */
export function thinkingEdits(request: ScannedRequest, outputTokens: number): readonly Edit[] {
  const thinking = openNested(request, THINKING);
  if ('invalid' in thinking) return [];
  const budget = new RequestFields(thinking).integer(BUDGET, { min: -1, max: MAX_INT32 });
  if (budget === null || budget < outputTokens) return [];
  const edits = [{ key: BUDGET, json: String(outputTokens - 1) }];
  return [closeNested(THINKING, thinking, edits)].filter((edit) => edit !== null);
}
