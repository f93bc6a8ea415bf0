/**
 * What the simulated model says: words that follow from a seed alone. One
 * token is one ASCII character, so an answer sent back as part of the next
 * prompt has as many tokens there as it had when it was generated.
 */
import { randomStream } from './hash.ts';

const WORDS =
  'a memory holds what was said and lets go of the rest so that the next word may find room in time'.split(
    ' ',
  );

export class OutputText {
  readonly #random: () => number;
  #text = '';

  constructor(seed: number) {
    this.#random = randomStream(seed);
  }

  /** Characters `from` (inclusive) to `to` (exclusive), one token each. */
  slice(from: number, to: number): string {
    while (this.#text.length < to) {
      this.#text += `${WORDS[Math.floor(this.#random() * WORDS.length)]} `;
    }
    return this.#text.slice(from, to);
  }

  /** Token id at `index`. */
  token(index: number): number {
    return this.slice(index, index + 1).charCodeAt(0);
  }
}

/** How many tokens an answer has before the model ends it by itself, drawn from `range`. */
export function naturalLength(
  seed: number,
  range: { readonly min: number; readonly max: number } | null,
): number {
  if (range === null) return Number.POSITIVE_INFINITY;
  return range.min + Math.floor(randomStream(~seed)() * (range.max - range.min + 1));
}
