/**
 * How long a prompt can get on gpt-oss-hf-server, which cuts it to 4096 tokens,
 * though not always (prompt_builder.py, _truncate_prompt): what remains at last
 * is the first message, whole, where the chat begins with a system message, and
 * 500 characters of the last one. Before that, patterns in the text give way to
 * shorter or, for a few bytes, longer words, none of which has more tokens than
 * it replaces bytes.
 */
import { BACKSLASH, CLOSE_BRACE, OPEN_BRACE, QUOTE } from '../../proxy/json/bytes.ts';
import { JsonScanner } from '../../proxy/json/scanner.ts';
import type { Member } from '../../proxy/json/types.ts';
import type { TokenBounds } from '../../proxy/policy/types.ts';
import type { ScannedRequest } from '../adapter.ts';
import { RequestFields } from '../request-fields.ts';

const MAX_INPUT_TOKENS = 4096;
/** 500 characters of four bytes, the notice before them, and the template around both. */
const LAST_MESSAGE_TOKENS = 2_000 + 100 + 160;

export function cutPrompt(request: ScannedRequest, tokens: TokenBounds): TokenBounds {
  const longest = Math.max(MAX_INPUT_TOKENS, systemTokens(request) + LAST_MESSAGE_TOKENS);
  const hi = Math.min(tokens.hi, longest);
  // Text that is replaced or cut leaves nothing that is surely there.
  return { lo: 1, expected: Math.min(tokens.expected, hi), hi, source: tokens.source };
}

/** A longer message is not scanned a second time, all in one go. */
const MAX_ELEMENT_BYTES = 256 * 1024;

/** At most, of a first message that is a system message; the server's own prompt is shorter. */
function systemTokens(request: ScannedRequest): number {
  const messages = request.object.members.get('messages');
  if (messages === undefined) return 0;
  const first = firstObject(request, messages);
  if (first === 'long') return messages.stringBytes;
  if (first === null) return 0;
  const role = new RequestFields(first).string('role');
  return role === 'system' ? (first.object.members.get('content')?.stringBytes ?? 0) : 0;
}

/** The first element of an array of objects, known to be well-formed; null when there is none. */
function firstObject(
  { route, body }: ScannedRequest,
  array: Member,
): ScannedRequest | 'long' | null {
  const to = Math.min(array.valueEnd, array.valueStart + MAX_ELEMENT_BYTES);
  const from = body.subarray(array.valueStart, to).indexOf(OPEN_BRACE);
  if (from === -1) return to < array.valueEnd ? 'long' : null;
  const end = endOfObject(body, array.valueStart + from, to);
  if (end === null) return 'long';
  const element = body.subarray(array.valueStart + from, end);
  const scanner = new JsonScanner();
  scanner.push(element);
  const object = scanner.end();
  return 'code' in object ? null : { route, body: element, object };
}

/** One past the brace that closes the object at `from`; null where that is not before `to`. */
function endOfObject(body: Uint8Array, from: number, to: number): number | null {
  let depth = 0;
  let inString = false;
  for (let at = from; at < to; at += 1) {
    const byte = body[at];
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_BRACE) depth += 1;
    else if (byte === CLOSE_BRACE) {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return null;
}
