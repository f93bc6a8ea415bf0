/**
 * OpenAI's o200k vocabulary, of which gpt-oss's o200k_harmony is the same with
 * other special tokens. Counts are exact but for runs that its pattern does not
 * split: merging them takes time by the square of their length (32,000
 * characters of Chinese without a full stop: 6 s), so long ones are bounded.
 */
import { countTokens, setMergeCacheSize } from 'gpt-tokenizer/encoding/o200k_harmony';
import { O200K_TOKEN_SPLIT_REGEX } from 'gpt-tokenizer/encodingParams/constants';
import type { TokenRange } from '../memory/token-bounds.ts';
import { OutOfTime, type Vocabulary } from './token-count.ts';

/** Merging as much takes 3 ms at most. Code, prose and base64 have no such run; drawings of dashes may. */
const LONGEST_RUN_CHARS = 1_024;
/** o200k_base.tiktoken: 128 spaces. */
const LONGEST_TOKEN_BYTES = 128;
/** Between two looks at the clock: some 10 ms of work. */
const SPAN_CHARS = 65_536;
/** Merged runs that are remembered, a few hundred bytes each; the package's own default is 100,000. */
const MERGES_KEPT = 20_000;

/**
 * White space by Unicode and by JavaScript is not the same: U+0085 is only by
 * the one, U+FEFF only by the other, so the pattern may split there otherwise.
 */
const DISPUTED_SPACE = /[\u0085\uFEFF]/gu;
const DISPUTED_TOKENS = 3;

/** Without it, text that spells a special token is refused. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

setMergeCacheSize(MERGES_KEPT);

export const o200k: Vocabulary = {
  addedTokens: 0,
  count(text, deadlineMs) {
    if (performance.now() > deadlineMs) throw new OutOfTime();
    const spans = { exact: 0, lo: 0, expected: 0, hi: 0 };
    let from = 0;
    const countUpTo = (end: number) => {
      if (end > from) spans.exact += countTokens(text.slice(from, end), AS_TEXT);
      from = end;
    };
    // Pieces are tokenized each for itself, so a text may be cut between any two of them.
    for (const { 0: piece, index } of piecesOf(text)) {
      if (index - from > SPAN_CHARS) {
        if (performance.now() > deadlineMs) throw new OutOfTime();
        countUpTo(index);
      }
      if (piece.length <= LONGEST_RUN_CHARS) continue;
      countUpTo(index);
      const run = boundRun(piece);
      spans.lo += run.lo;
      spans.expected += run.expected;
      spans.hi += run.hi;
      from = index + piece.length;
    }
    countUpTo(text.length);
    const disputed = (text.match(DISPUTED_SPACE)?.length ?? 0) * DISPUTED_TOKENS;
    return {
      lo: Math.max(0, spans.exact + spans.lo - disputed),
      expected: spans.exact + spans.expected,
      hi: spans.exact + spans.hi + disputed,
    };
  },
};

/** Nothing to look for in a text that is no longer than the longest run. */
function piecesOf(text: string): Iterable<RegExpMatchArray & { readonly index: number }> {
  if (text.length <= LONGEST_RUN_CHARS) return [];
  return text.matchAll(O200K_TOKEN_SPLIT_REGEX);
}

/** A run by its bytes, and likely as dense as it begins. */
function boundRun(run: string): TokenRange {
  const bytes = Buffer.byteLength(run);
  const begin = run.slice(0, LONGEST_RUN_CHARS);
  const density = countTokens(begin, AS_TEXT) / Buffer.byteLength(begin);
  const lo = Math.ceil(bytes / LONGEST_TOKEN_BYTES);
  return { lo, expected: Math.min(bytes, Math.max(lo, Math.round(bytes * density))), hi: bytes };
}
