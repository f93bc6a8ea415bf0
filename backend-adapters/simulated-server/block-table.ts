/** The blocks one sequence holds in a vLLM pool, one by one; block-counts.ts has how many. */
import { admissionBlocks, blocksOf, firstBlockInWindow } from './block-counts.ts';
import type { BlockPool } from './block-pool.ts';
import type { LayerGroup } from './content-chain.ts';
import { BLOCK_TOKENS, ContentChain } from './content-chain.ts';
import type { ModelGeometry } from './geometry.ts';
import { kvBytesPerTokenLayer } from './geometry.ts';

/**
 * Bytes of one pool block: 16 tokens in all layers of one group; of two groups
 * both have as many layers.
 */
export function pageBytes(model: ModelGeometry, hybridManager = true): number {
  const layers = hybridManager ? model.fullLayers : model.fullLayers + model.slidingLayers;
  return layers * BLOCK_TOKENS * kvBytesPerTokenLayer(model);
}

/**
 * Blocks of one request of full length as vLLM's start-up figure counts them:
 * the sliding group's bound is not cut at the blocks of the context.
 */
export function fullLengthBlocks(
  limits: { readonly contextTokens: number; readonly maxBatchedTokens: number },
  windowTokens: number | null,
): number {
  const full = blocksOf(limits.contextTokens);
  if (windowTokens === null) return full;
  const spanTokens = windowTokens - 1 + limits.maxBatchedTokens;
  return full + blocksOf(Math.min(spanTokens, limits.contextTokens)) + 1;
}

export class BlockTable {
  readonly #pool: BlockPool;
  /** null: there is no sliding group. */
  readonly #windowTokens: number | null;
  readonly #full: number[] = [];
  /** Block index to block; indexes before the window are gone. */
  readonly #sliding = new Map<number, number>();
  readonly #contents: ContentChain;

  constructor(pool: BlockPool, windowTokens: number | null, tokenAt: (index: number) => number) {
    this.#pool = pool;
    this.#windowTokens = windowTokens;
    this.#contents = new ContentChain(tokenAt);
  }

  /**
   * Takes the longest cached prefix of `tokens` known tokens, if what is left of
   * them fits the pool as a whole; vLLM admits on that gate alone, output is not
   * reserved. Returns the tokens found, or null where the rest does not fit.
   */
  admit(tokens: number, inFlightTokens: number): number | null {
    // The last token is always computed: its logits give the next one.
    const hits = this.#cachedBlocks(Math.floor(Math.max(0, tokens - 1) / BLOCK_TOKENS));
    const windowStart = firstBlockInWindow(hits * BLOCK_TOKENS, this.#windowTokens);
    const found = [...range(0, hits)].map((index) => this.#lookUp(index, 'full'));
    const slidingStart = this.#windowTokens === null ? hits : windowStart;
    const foundSliding = [...range(slidingStart, hits)].map((index) =>
      this.#lookUp(index, 'sliding'),
    );
    const restTokens = tokens - hits * BLOCK_TOKENS;
    const needed = admissionBlocks(restTokens, this.#windowTokens, inFlightTokens);
    const revived = [...found, ...foundSliding].filter((block) => !this.#pool.isReferenced(block));
    if (needed + revived.length > this.#pool.freeBlocks) return null;
    for (const block of found) {
      this.#pool.share(block);
      this.#full.push(block);
    }
    for (const [offset, block] of foundSliding.entries()) {
      this.#pool.share(block);
      this.#sliding.set(windowStart + offset, block);
    }
    return hits * BLOCK_TOKENS;
  }

  /**
   * Holds what is needed to go from `computed` tokens to `target`. False, and
   * nothing taken, where the pool is short.
   */
  grow(computed: number, target: number): boolean {
    this.#dropBefore(firstBlockInWindow(computed, this.#windowTokens));
    const end = blocksOf(target);
    const start = this.#full.length;
    const groups = this.#windowTokens === null ? 1 : 2;
    if (groups * Math.max(0, end - start) > this.#pool.freeBlocks) return false;
    for (const index of range(start, end)) {
      this.#full.push(this.#pool.take());
      if (groups > 1) this.#sliding.set(index, this.#pool.take());
    }
    this.#rememberFullBlocks(
      Math.floor(computed / BLOCK_TOKENS),
      Math.floor(target / BLOCK_TOKENS),
    );
    return true;
  }

  /** Gives everything back, the end first: it is the least likely to be asked for again. */
  release(): void {
    for (const block of this.#full.splice(0).reverse()) this.#pool.release(block);
    for (const block of [...this.#sliding.values()].reverse()) this.#pool.release(block);
    this.#sliding.clear();
  }

  get heldBlocks(): number {
    return this.#full.length + this.#sliding.size;
  }

  /** Longest prefix, in blocks, cached in the full group and by its last window in the sliding one. */
  #cachedBlocks(limit: number): number {
    let fullHits = 0;
    while (fullHits < limit && this.#find(fullHits, 'full') !== null) fullHits++;
    if (this.#windowTokens === null) return fullHits;
    const windowBlocks = Math.ceil((this.#windowTokens - 1) / BLOCK_TOKENS);
    let run = 0;
    for (let index = fullHits - 1; index >= 0; index--) {
      run = this.#find(index, 'sliding') === null ? 0 : run + 1;
      if (run === windowBlocks) return index + windowBlocks;
    }
    return run;
  }

  #lookUp(index: number, group: LayerGroup): number {
    const block = this.#find(index, group);
    if (block === null) throw new Error(`block ${index} of the ${group} group left the cache`);
    return block;
  }

  #find(index: number, group: LayerGroup): number | null {
    return this.#pool.find(this.#contents.of(index, group));
  }

  #rememberFullBlocks(from: number, to: number): void {
    for (const index of range(from, to)) {
      const full = this.#full[index];
      const sliding = this.#sliding.get(index);
      if (full !== undefined) this.#pool.remember(full, this.#contents.of(index, 'full'));
      if (sliding !== undefined) this.#pool.remember(sliding, this.#contents.of(index, 'sliding'));
    }
  }

  #dropBefore(first: number): void {
    for (const [index, block] of this.#sliding) {
      if (index >= first) return;
      this.#sliding.delete(index);
      this.#pool.release(block);
    }
  }
}

function* range(from: number, to: number): Generator<number> {
  for (let index = from; index < to; index++) yield index;
}
