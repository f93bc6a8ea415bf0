/**
 * A prompt while it is put together: text between special tokens, and what an
 * engine may or may not print.
 */
import type { TokenRange } from '../../memory/token-bounds.ts';
import { exactly, NO_TOKENS, plus, type Vocabulary } from '../token-count.ts';

/** As the Harmony format spells them (openai/harmony: src/tiktoken_ext/public_encodings.rs). */
const SPECIAL_TOKEN =
  /<\|(?:startoftext|endoftext|return|constrain|channel|start|end|message|call|endofprompt|reserved_\d{6})\|>/gu;

export class PromptParts {
  readonly #specialsCount: boolean;
  readonly #texts: string[] = [];
  readonly #perhaps: string[] = [];
  #specials = 0;
  #less = 0;
  #more = 0;

  /**
   * @param readsSpecials whether the engine takes what spells a special token in
   *   a text for that token: all do that make one text of a prompt first
   */
  constructor({ readsSpecials }: { readonly readsSpecials: boolean }) {
    this.#specialsCount = readsSpecials;
  }

  special(count = 1): this {
    this.#specials += count;
    return this;
  }

  text(text: string): this {
    if (text !== '') this.#texts.push(text);
    return this;
  }

  /** Printed by some versions of a template and left out by others. */
  perhaps(text: string, specials = 0): this {
    if (text !== '') this.#perhaps.push(text);
    return this.slack(0, specials);
  }

  /** So many tokens less or more than what was put in. */
  slack(less: number, more: number): this {
    this.#less += less;
    this.#more += more;
    return this;
  }

  count(vocabulary: Vocabulary, deadlineMs: number): TokenRange {
    const sure = this.#countAll(this.#texts, vocabulary, deadlineMs);
    const perhaps = this.#countAll(this.#perhaps, vocabulary, deadlineMs);
    const { lo, expected, hi } = plus(exactly(this.#specials), sure);
    return {
      lo: Math.max(1, lo - this.#less),
      expected: Math.max(1, expected),
      hi: hi + perhaps.hi + this.#more,
    };
  }

  #countAll(texts: readonly string[], vocabulary: Vocabulary, deadlineMs: number): TokenRange {
    let sum = NO_TOKENS;
    for (const text of texts) {
      const between = this.#specialsCount ? text.split(SPECIAL_TOKEN) : [text];
      sum = plus(sum, exactly(between.length - 1));
      for (const piece of between) sum = plus(sum, vocabulary.count(piece, deadlineMs));
    }
    return sum;
  }
}
