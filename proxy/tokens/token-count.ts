/** What counts, and counts themselves. */
import type { TokenRange } from '../memory/token-bounds.ts';

/**
 * One tokenizer. `count` takes text as text: what only spells a special token is
 * none. Throws `OutOfTime` when it can't be done before `deadlineMs`
 * (performance.now() of its own thread).
 */
export interface Vocabulary {
  count(text: string, deadlineMs: number): TokenRange;
  /** Tokens that it puts around a plain text (a first one, a last one). */
  readonly addedTokens: number;
}

/** Counting was given up; the bounds that are known anyway have to do. */
export class OutOfTime extends Error {
  readonly code = 'count_out_of_time';
}

export const NO_TOKENS: TokenRange = { lo: 0, expected: 0, hi: 0 };

export function exactly(tokens: number): TokenRange {
  return { lo: tokens, expected: tokens, hi: tokens };
}

export function plus(a: TokenRange, b: TokenRange): TokenRange {
  return { lo: a.lo + b.lo, expected: a.expected + b.expected, hi: a.hi + b.hi };
}
