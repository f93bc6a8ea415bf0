/**
 * What a full block holds, as a number: the same for two sequences exactly when
 * all their tokens up to the end of that block are the same (vLLM's prefix
 * caching chains block hashes in this way).
 */
import { FNV_BASIS, hash32 } from './hash.ts';

export const BLOCK_TOKENS = 16;

/** GPT-OSS has two groups of layers; their blocks hold different things. */
export type LayerGroup = 'full' | 'sliding';

export class ContentChain {
  readonly #tokenAt: (index: number) => number;
  /** Two 32-bit hashes a block, each chained to the block before; as far as they were needed. */
  readonly #links: [number, number][] = [];

  constructor(tokenAt: (index: number) => number) {
    this.#tokenAt = tokenAt;
  }

  /** A 53-bit number for the block with that index; all its tokens must exist. */
  of(blockIndex: number, group: LayerGroup): number {
    const [high, low] = this.#link(blockIndex);
    return (high & 0xfffff) * 2 ** 33 + low * 2 + (group === 'full' ? 0 : 1);
  }

  #link(blockIndex: number): [number, number] {
    let link = this.#links[blockIndex] ?? this.#links.at(-1) ?? [FNV_BASIS, ~FNV_BASIS];
    for (let next = this.#links.length; next <= blockIndex; next++) {
      const tokens = Array.from({ length: BLOCK_TOKENS }, (_, offset) =>
        this.#tokenAt(next * BLOCK_TOKENS + offset),
      );
      link = [hash32(link[0], tokens), hash32(link[1], tokens)];
      this.#links.push(link);
    }
    return link;
  }
}
