/**
 * The simulated tokenizer, simple enough to count by hand:
 *
 * - one token for each UTF-8 byte of text;
 * - a chat adds 64 tokens, 4 more for each message, and the bytes of the
 *   compact JSON of `tools` when tools are given; role names, ids and tool
 *   calls of messages add nothing;
 * - a completion adds nothing.
 *
 * Of the 64, the last 4 open the assistant's answer. They equal the framing of
 * an assistant message, so the next turn of a chat begins with exactly the
 * tokens that the last one left in the cache, as with real templates.
 */
const BASE_TOKENS = 64;
const MESSAGE_TOKENS = 4;

/** Ids 0..255 are bytes; framing has ids of its own, one a role. */
const TEMPLATE_ID = 256;
const ROLE_IDS: ReadonlyMap<unknown, number> = new Map([
  ['system', 257],
  ['developer', 258],
  ['user', 259],
  ['assistant', 260],
  ['tool', 261],
]);
const OTHER_ROLE_ID = 262;

const encoder = new TextEncoder();

export interface ChatMessage {
  readonly role?: unknown;
  readonly content?: unknown;
}

/** Tokens of plain text: its UTF-8 bytes. */
export function textTokens(text: string): Uint32Array {
  return Uint32Array.from(encoder.encode(text));
}

/** Tokens of a chat prompt, the opening of the answer included. */
export function chatTokens(messages: readonly ChatMessage[], tools: unknown): Uint32Array {
  const opening = Array<number>(BASE_TOKENS - MESSAGE_TOKENS).fill(TEMPLATE_ID);
  const parts: ArrayLike<number>[] = [opening];
  if (tools !== undefined && tools !== null) parts.push(encoder.encode(JSON.stringify(tools)));
  for (const message of messages) {
    parts.push(frame(message.role), encoder.encode(contentText(message.content)));
  }
  parts.push(frame('assistant'));
  return concatenate(parts);
}

function frame(role: unknown): number[] {
  return Array<number>(MESSAGE_TOKENS).fill(ROLE_IDS.get(role) ?? OTHER_ROLE_ID);
}

/** Text of a message: a string, or the `text` of its parts one after another. */
function contentText(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map((part: { text?: unknown } | null) => (typeof part?.text === 'string' ? part.text : ''))
    .join('');
}

function concatenate(parts: readonly ArrayLike<number>[]): Uint32Array {
  const tokens = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    tokens.set(part, offset);
    offset += part.length;
  }
  return tokens;
}
