/**
 * The tokenizer of any model, from its tokenizer.json. A large one takes some
 * seconds to load, so only the worker does.
 */
import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import type { TokenRange } from '../memory/token-bounds.ts';
import { exactly, OutOfTime, type Vocabulary } from './token-count.ts';

/** Between two looks at the clock; at 0.4 to 1 MB/s these are 40 ms. */
const SPAN_CHARS = 16_384;
/** Cut between two spans, the tokens on both sides may have been one, or split otherwise. */
const CUT_TOKENS = 4;

/** What a file may leave out, and the package asks for. */
const NOT_WRITTEN = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };

/** @throws Error with what is wrong with the file */
export async function loadTokenizerFile(path: string): Promise<Vocabulary> {
  const json: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (typeof json !== 'object' || json === null) throw new Error('not a JSON object');
  const tokenizer = new Tokenizer({ ...NOT_WRITTEN, ...json }, {});
  const tokensOf = (text: string, added: boolean) =>
    tokenizer.encode(text, { add_special_tokens: added }).ids.length;
  // Throws where the file holds something of another kind.
  const addedTokens = tokensOf('a', true) - tokensOf('a', false);
  return { addedTokens, count: (text, deadlineMs) => countSpans(text, deadlineMs, tokensOf) };
}

function countSpans(
  text: string,
  deadlineMs: number,
  tokensOf: (text: string, added: boolean) => number,
): TokenRange {
  let tokens = 0;
  let cuts = -1;
  for (let from = 0; from < text.length; cuts += 1) {
    if (performance.now() > deadlineMs) throw new OutOfTime();
    const end = endOfSpan(text, from);
    tokens += tokensOf(text.slice(from, end), false);
    from = end;
  }
  if (cuts <= 0) return exactly(tokens);
  const slack = cuts * CUT_TOKENS;
  return { lo: Math.max(1, tokens - slack), expected: tokens, hi: tokens + slack };
}

/** Before a line or a word where there is one, and never inside a character. */
function endOfSpan(text: string, from: number): number {
  const limit = from + SPAN_CHARS;
  if (limit >= text.length) return text.length;
  const least = from + SPAN_CHARS / 2;
  for (const mark of ['\n', ' ']) {
    const at = text.lastIndexOf(mark, limit);
    if (at > least) return at;
  }
  const code = text.charCodeAt(limit - 1);
  return code >= 0xd800 && code < 0xdc00 ? limit - 1 : limit;
}
