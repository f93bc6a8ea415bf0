/**
 * Blocks of a pool in which a block serves all layers of the model at once, as
 * in SGLang and TGI: a token takes one place, whatever the layers are.
 *
 * SGLang gives sliding layers a second pool of a share of the first one's size
 * (pool_configurator.py: full_tokens = bytes / cell, swa_tokens = ratio x
 * full_tokens). Both have to hold a request, so it is charged the worse of the
 * two in blocks of the first: a sum of maxima is never below a maximum of sums.
 */
import { type PagedLayout, tokenBytesOfLayer } from './kv-layout.ts';

export interface TokenPool {
  /** Blocks of the pool as told at the engine's start; null: only a reading tells. */
  readonly blocks: number | null;
  /** Size of the sliding layers' own pool over that of the first; null: there is none. */
  readonly slidingShare: number | null;
  /** Tokens behind the window that a sliding layer keeps until it is tidied. */
  readonly slidingSlackTokens: number;
  /** Output tokens for which places are taken ahead at a time; 1: as they are generated. */
  readonly outputChunkTokens: number;
}

/**
 * @param wholeBlocks blocks that hold all tokens of all sequences
 * @param stepTokens tokens of each sequence in flight beyond the last computed one
 */
export function tokenPoolBlocks(
  layout: PagedLayout,
  pool: TokenPool,
  wholeBlocks: number,
  sequences: number,
  stepTokens: number,
): number {
  const { slidingShare, slidingSlackTokens } = pool;
  if (slidingShare === null) return wholeBlocks;
  const windowTokens = widestWindow(layout);
  if (windowTokens === null) return wholeBlocks;
  const spanTokens = Math.min(
    windowTokens - 1 + slidingSlackTokens + stepTokens,
    layout.contextTokens,
  );
  const windowBlocks = Math.ceil(spanTokens / layout.blockTokens) + 1;
  const slidingBlocks = Math.min(wholeBlocks, sequences * windowBlocks);
  return Math.max(wholeBlocks, Math.ceil(slidingBlocks / slidingShare));
}

/** Bytes of one block on each GPU, with its share of the second pool; null without a geometry. */
export function tokenPoolBlockBytes(layout: PagedLayout, pool: TokenPool): number | null {
  const { spec, kvBytesPerElement, tensorParallel, blockTokens } = layout;
  if (spec === null) return null;
  const tokenBytes = spec.groups.reduce((sum, group) => {
    const share = group.windowTokens === null ? 1 : (pool.slidingShare ?? 1);
    return sum + share * group.layers * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel);
  }, 0);
  return Math.ceil(blockTokens * tokenBytes);
}

/**
 * Output tokens of one sequence that have their places once so many are generated.
 * @param outputTokens those it may generate at most
 */
export function placedOutputTokens(
  pool: TokenPool | undefined,
  outputTokens: number,
  generatedTokens: number,
): number {
  const chunkTokens = pool?.outputChunkTokens ?? 1;
  if (chunkTokens === 1) return generatedTokens;
  const chunks = Math.floor(generatedTokens / chunkTokens) + 1;
  return Math.max(generatedTokens, Math.min(outputTokens, chunks * chunkTokens));
}

/** null where no layer slides; without a geometry the window may be as long as the context. */
function widestWindow({ spec, contextTokens }: PagedLayout): number | null {
  if (spec === null) return contextTokens;
  const windows = spec.groups.flatMap(({ windowTokens }) => windowTokens ?? []);
  return windows.length === 0 ? null : Math.max(...windows);
}
