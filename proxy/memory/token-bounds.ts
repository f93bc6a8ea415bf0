/**
 * How many tokens a prompt can have, from its bytes alone. Proven for
 * byte-level BPE vocabularies without a normaliser (gpt-oss's o200k among
 * them) and for text that the chat template keeps.
 */

/** Tokens of a text or a prompt: exact where `lo === hi`. */
export interface TokenRange {
  readonly lo: number;
  readonly expected: number;
  readonly hi: number;
}

/** A token count that may not be exact yet: `lo <= exact <= hi` always holds. */
export interface TokenBounds extends TokenRange {
  /**
   * Where the numbers come from: proven from the bytes, counted by the engine or
   * by a tokenizer of kvgate's own, or given as ids; `media`: bytes, and what
   * bounds images and recordings among them, which engines may leave out of
   * their counts.
   */
  readonly source: 'bytes' | 'engine' | 'tokenizer' | 'token-ids' | 'media';
  /** What `expected` was multiplied by, where earlier prompts had more or fewer tokens than expected. */
  readonly calibration?: number;
}

export interface PromptBytes {
  /** UTF-8 bytes of text that is surely in the prompt. */
  readonly textBytes: number;
  /** Bytes that the template may render or leave out: keys, roles, tool definitions. */
  readonly otherBytes: number;
  readonly messages: number;
  /** Tokens that the template adds at most. */
  readonly framing: { readonly baseTokens: number; readonly perMessageTokens: number };
}

/**
 * Bytes of the longest token that a vocabulary may have. The longest in OpenAI's
 * o200k_base.tiktoken is a run of 128 spaces; twice that leaves room for others.
 */
const LONGEST_TOKEN_BYTES = 256;

/** The usual share in English prose; code, JSON and other scripts need more tokens. */
const BYTES_PER_TOKEN = 4;

/**
 * Bounds a prompt's tokens. `hi`: byte-level BPE starts from single bytes and
 * only merges, so no text has more tokens than bytes. `lo`: no token covers
 * more than its longest one's bytes, and no prompt is empty.
 */
export function boundsFromBytes(prompt: PromptBytes): TokenBounds {
  const { textBytes, otherBytes, messages, framing } = prompt;
  const framingTokens = framing.baseTokens + messages * framing.perMessageTokens;
  const bytes = textBytes + otherBytes;
  const lo = Math.max(1, Math.ceil(textBytes / LONGEST_TOKEN_BYTES));
  const hi = Math.max(lo, bytes + framingTokens);
  const likely = Math.ceil(bytes / BYTES_PER_TOKEN) + framingTokens;
  return { lo, expected: within({ lo, hi }, likely), hi, source: 'bytes' };
}

/** Bounds by their bytes with an expectation that experience has corrected; the bounds themselves stay. */
export function calibrated(bounds: TokenBounds, calibration: number): TokenBounds {
  const expected = within(bounds, Math.round(bounds.expected * calibration));
  return { ...bounds, expected, calibration };
}

/** As `calibrated`, from the density of a sample: tokens of one byte. */
export function sampled(bounds: TokenBounds, tokensPerByte: number): TokenBounds {
  return { ...bounds, expected: within(bounds, Math.round(bounds.hi * tokensPerByte)) };
}

/**
 * Bounds by a tokenizer's counts of one prompt, one for each way of printing it
 * that is possible. null where they contradict the proven bounds: an engine that
 * cuts prompts, or another tokenizer.
 */
export function boundsFromCounts(
  bounds: TokenBounds,
  counts: readonly TokenRange[],
): TokenBounds | null {
  const [first] = counts;
  if (first === undefined) return null;
  const lo = Math.max(bounds.lo, Math.min(...counts.map((count) => count.lo)));
  const hi = Math.min(bounds.hi, Math.max(...counts.map((count) => count.hi)));
  if (lo > hi) return null;
  return { lo, expected: within({ lo, hi }, first.expected), hi, source: 'tokenizer' };
}

function within({ lo, hi }: Pick<TokenRange, 'lo' | 'hi'>, tokens: number): number {
  return Math.min(hi, Math.max(lo, tokens));
}
