/**
 * Sizes of what the engine will evaluate, from the scan alone: the messages of
 * a chat with everything else a template may print, or a completion's prompts.
 */
import type { Member } from '../proxy/json/types.ts';
import { boundsFromBytes } from '../proxy/memory/token-bounds.ts';
import type { TokenBounds } from '../proxy/policy/types.ts';
import type { Framing } from './adapter.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import type { RequestFields } from './request-fields.ts';

export interface PromptSize {
  readonly promptTokens: TokenBounds;
  readonly prompts: number;
}

/** Members beside the messages that chat templates print into the prompt. */
const TEMPLATE_FIELDS = [
  'tools',
  'tool_choice',
  'functions',
  'function_call',
  'response_format',
  'json_schema',
  'documents',
  'reasoning_effort',
  'chat_template',
  'chat_template_kwargs',
];

/** Tokenizers add a first and a last special token at most to a plain text. */
const PLAIN_TEXT: Framing = { baseTokens: 0, perMessageTokens: 2 };

const NOTHING: PromptSize = {
  promptTokens: { lo: 0, expected: 0, hi: 0, source: 'bytes' },
  prompts: 1,
};

export function chatPrompt(fields: RequestFields, framing: Framing): PromptSize {
  const messages = fields.member('messages');
  if (messages === null) fields.refuse('messages', 'messages is required');
  else if (messages.kind !== 'array' || messages.childKinds.some((kind) => kind !== 'object')) {
    fields.refuse('messages', 'messages must be an array of objects');
  } else if (messages.children === 0) fields.refuse('messages', 'messages must not be empty');
  if (messages === null || fields.problem !== null) return NOTHING;
  // Templates may print structure too (arguments of tool calls, schemas), so
  // everything around the text counts by its length in the body.
  const structureBytes = spanBytes(messages) - messages.stringBytes;
  const templateBytes = TEMPLATE_FIELDS.map((name) => fields.member(name))
    .filter((member) => member !== null)
    .reduce((sum, member) => sum + spanBytes(member), 0);
  const promptTokens = boundsFromBytes({
    textBytes: messages.stringBytes,
    otherBytes: structureBytes + templateBytes,
    messages: messages.children,
    framing,
  });
  return { promptTokens, prompts: 1 };
}

export function completionPrompt(
  fields: RequestFields,
  accepted: OpenAiDialect['prompts'],
): PromptSize {
  const prompt = fields.member('prompt');
  if (prompt === null) fields.refuse('prompt', 'prompt is required');
  else if (prompt.kind === 'array' && accepted !== 'one-string') {
    return promptList(fields, prompt, accepted);
  } else if (prompt.kind === 'string') return textPrompts(prompt, 1);
  else {
    const lists = accepted === 'one-string' ? '' : ' or an array of strings or token ids';
    fields.refuse('prompt', `prompt must be a string${lists}`);
  }
  return NOTHING;
}

/**
 * llama.cpp takes a list that holds any number for one prompt, and every other
 * list for several (server-common.cpp, tokenize_input_prompts).
 */
function promptList(
  fields: RequestFields,
  prompt: Member,
  accepted: 'lists' | 'mixed',
): PromptSize {
  const kinds = new Set(prompt.childKinds);
  const known = [...kinds].every((kind) => ['string', 'number', 'array'].includes(kind));
  if (prompt.children === 0) fields.refuse('prompt', 'prompt must not be empty');
  else if (!known || (kinds.has('number') && kinds.has('array')) || prompt.keyBytes > 0) {
    fields.refuse('prompt', 'prompt must be a string or an array of strings or token ids');
  } else if (accepted === 'lists' && kinds.size > 1) {
    fields.refuse('prompt', 'prompt must not mix strings and token ids');
  } else return textPrompts(prompt, kinds.has('number') ? 1 : prompt.children);
  return NOTHING;
}

/** Token ids count one each; text by its bytes. */
function textPrompts(prompt: Member, prompts: number): PromptSize {
  const ids = prompt.numbers;
  if (ids > 0 && prompt.stringBytes === 0) {
    return { promptTokens: { lo: ids, expected: ids, hi: ids, source: 'token-ids' }, prompts };
  }
  const text = boundsFromBytes({
    textBytes: prompt.stringBytes,
    otherBytes: 0,
    messages: prompts,
    framing: PLAIN_TEXT,
  });
  return {
    promptTokens: {
      lo: text.lo + ids,
      expected: text.expected + ids,
      hi: text.hi + ids,
      source: text.source,
    },
    prompts,
  };
}

function spanBytes(member: Member): number {
  return member.valueEnd - member.valueStart;
}
