/**
 * Sizes of what the engine will evaluate, from the scan alone: the messages of
 * a chat with everything else a template may print, or a completion's prompts.
 */
import type { Member } from '../proxy/json/types.ts';
import { type MediaBounds, UNKNOWN_MEDIA } from '../proxy/memory/models/media-bounds.ts';
import { boundsFromBytes } from '../proxy/memory/token-bounds.ts';
import type { TokenBounds } from '../proxy/policy/types.ts';
import type { EngineFacts, Framing } from './adapter.ts';
import { mediaTokens, textBytesOf, writtenBytesOf } from './media.ts';
import type { OpenAiDialect } from './openai-dialect.ts';
import type { RequestFields } from './request-fields.ts';

export interface PromptSize {
  readonly promptTokens: TokenBounds;
  readonly prompts: number;
}

/** Members beside the messages that chat templates print into the prompt. */
export const TEMPLATE_FIELDS: readonly string[] = [
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

/** Of a body that was refused. */
export const NO_PROMPT: PromptSize = {
  promptTokens: { lo: 0, expected: 0, hi: 0, source: 'bytes' },
  prompts: 1,
};

export function chatPrompt(fields: RequestFields, facts: EngineFacts): PromptSize {
  const messages = requiredMessages(fields);
  if (messages === null) return NO_PROMPT;
  const parts = { talk: [messages], besides: TEMPLATE_FIELDS, textIsSure: true };
  return conversationPrompt(fields, parts, facts);
}

/** `messages`, which must hold some; null where the body was refused. */
export function requiredMessages(fields: RequestFields): Member | null {
  const messages = fields.member('messages');
  if (messages === null) fields.refuse('messages', 'messages is required');
  else if (messages.kind !== 'array' || messages.childKinds.some((kind) => kind !== 'object')) {
    fields.refuse('messages', 'messages must be an array of objects');
  } else if (messages.children === 0) fields.refuse('messages', 'messages must not be empty');
  return fields.problem === null ? messages : null;
}

/** What a template makes a prompt of. */
export interface Conversation {
  /** Each is a text, a message, or a list of messages. */
  readonly talk: readonly Member[];
  /** Members that it may print beside them. */
  readonly besides: readonly string[];
  /** Whether no text of the messages is ever left out. */
  readonly textIsSure: boolean;
}

/**
 * Templates may print structure too (arguments of tool calls, schemas), so
 * everything around the text counts by its length in the body.
 */
export function conversationPrompt(
  fields: RequestFields,
  { talk, besides, textIsSure }: Conversation,
  { framing, media }: EngineFacts,
): PromptSize {
  const textBytes = textIsSure ? sumOf(talk, textBytesOf) : 0;
  const others = besides.flatMap((name) => fields.member(name) ?? []);
  const text = boundsFromBytes({
    textBytes,
    otherBytes: sumOf(talk, writtenBytesOf) - textBytes + sumOf(others, printedBytes),
    messages: sumOf(talk, (member) => (member.kind === 'array' ? member.children : 1)),
    framing,
  });
  const promptTokens = withMedia(text, mediaTokens(fields, [...talk, ...others], media));
  return { promptTokens, prompts: 1 };
}

/** A template may print whole documents and schemas, but no list of nothing but images. */
function printedBytes(member: Member): number {
  return member.key === 'images' ? writtenBytesOf(member) : spanBytes(member);
}

/** Media take what bounds them as a rule: an image its model's largest size. */
export function withMedia(text: TokenBounds, tokens: number): TokenBounds {
  if (tokens === 0) return text;
  return { ...text, expected: text.expected + tokens, hi: text.hi + tokens, source: 'media' };
}

/**
 * @param name the field that holds the texts or token ids
 * @param media bounds for llama.cpp's prompts with media, which only it takes
 */
export function completionPrompt(
  fields: RequestFields,
  accepted: OpenAiDialect['prompts'],
  name = 'prompt',
  media = UNKNOWN_MEDIA,
): PromptSize {
  const prompt = fields.member(name);
  if (prompt === null) fields.refuse(name, `${name} is required`);
  else if (prompt.kind === 'array' && accepted !== 'one-string') {
    return promptList(fields, prompt, accepted, media);
  } else if (prompt.kind === 'string') return textPrompts(prompt, 1);
  else if (prompt.kind === 'object' && accepted === 'mixed') {
    return promptsWithMedia(fields, prompt, 1, media);
  } else {
    const lists = accepted === 'one-string' ? '' : ' or an array of strings or token ids';
    fields.refuse(name, `${name} must be a string${lists}`);
  }
  return NO_PROMPT;
}

/**
 * llama.cpp takes a list that holds any number for one prompt, and every other
 * list for several (server-common.cpp, tokenize_input_prompts).
 */
function promptList(
  fields: RequestFields,
  prompt: Member,
  accepted: 'lists' | 'mixed',
  media: MediaBounds,
): PromptSize {
  const kinds = new Set(prompt.childKinds);
  const name = prompt.key;
  if (accepted === 'mixed' && kinds.has('object') && !kinds.has('number')) {
    return promptsWithMedia(fields, prompt, prompt.children, media);
  }
  const known = [...kinds].every((kind) => ['string', 'number', 'array'].includes(kind));
  if (prompt.children === 0) fields.refuse(name, `${name} must not be empty`);
  else if (!known || (kinds.has('number') && kinds.has('array')) || prompt.keyBytes > 0) {
    fields.refuse(name, `${name} must be a string or an array of strings or token ids`);
  } else if (accepted === 'lists' && kinds.size > 1) {
    fields.refuse(name, `${name} must not mix strings and token ids`);
  } else return textPrompts(prompt, kinds.has('number') ? 1 : prompt.children);
  return NO_PROMPT;
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

/**
 * llama.cpp's `{ prompt_string, multimodal_data }`, or a list of such, texts and
 * lists of token ids (server-common.cpp, tokenize_input_subprompt). It does not
 * read other members, so no text is sure.
 */
function promptsWithMedia(
  fields: RequestFields,
  prompt: Member,
  prompts: number,
  media: MediaBounds,
): PromptSize {
  const text = boundsFromBytes({
    textBytes: 0,
    otherBytes: textBytesOf(prompt) + prompt.numbers,
    messages: prompts,
    framing: PLAIN_TEXT,
  });
  return { promptTokens: withMedia(text, mediaTokens(fields, [prompt], media)), prompts };
}

export function spanBytes(member: Member): number {
  return member.valueEnd - member.valueStart;
}

export function sumOf<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((sum, item) => sum + value(item), 0);
}
