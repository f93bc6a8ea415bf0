/**
 * Blocks of a pool in which a block serves all layers of the model at once, as
 * in SGLang and TGI: a token takes one place, whatever the layers are.
 *
 * SGLang gives sliding layers a second pool of a share of the first one's size
 * (pool_configurator.py: full_tokens = bytes / cell, swa_tokens = ratio x
 * full_tokens). Both have to hold a request, so it is charged the worse of the
 * two in blocks of the first: a sum of maxima is never below a maximum of sums.
 */
import { type PagedLayout, steadyKvBytes, tokenBytesOfLayer } from '../kv-layout.ts';
import { PAGED_STATES, sequenceStateBytes } from './states.ts';

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
  const { slidingSlackTokens } = pool;
  const slidingShare = secondPoolShare(layout, pool);
  const windowTokens = widestWindow(layout);
  if (slidingShare === null || windowTokens === null) return wholeBlocks;
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
  const tokenBytes = cellBytes(layout, pool);
  return tokenBytes === null ? null : Math.ceil(layout.blockTokens * tokenBytes);
}

/** What a token takes of both pools together; not always whole (SGLang's `cell_size`). */
function cellBytes(layout: PagedLayout, pool: TokenPool): number | null {
  const { spec, kvBytesPerElement, tensorParallel } = layout;
  if (spec === null) return null;
  const slidingShare = secondPoolShare(layout, pool) ?? 1;
  return spec.groups.reduce((sum, group) => {
    const share = group.windowTokens === null ? 1 : slidingShare;
    return sum + share * group.layers * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel);
  }, 0);
}

export interface TokenPoolBytes {
  /** Of the pools' memory, by the places that its tokens take: what the pool was sized by. */
  readonly placedBytes: number;
  /** KV that a request really has in them: sliding layers keep their window only. */
  readonly liveBytes: number;
  /** States of layers without KV, in a pool of their own. */
  readonly stateBytes: number;
}

/** Bytes of one sequence on each GPU, for reports; null without a geometry. */
export function tokenPoolBytes(
  layout: PagedLayout,
  pool: TokenPool,
  tokens: number,
): TokenPoolBytes | null {
  const { spec, kvBytesPerElement, tensorParallel } = layout;
  const tokenBytes = cellBytes(layout, pool);
  if (spec === null || tokenBytes === null) return null;
  return {
    placedBytes: Math.ceil(tokens * tokenBytes),
    liveBytes: steadyKvBytes(spec, tokens, kvBytesPerElement, tensorParallel),
    stateBytes: sequenceStateBytes(spec, PAGED_STATES, tensorParallel),
  };
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

/** null where there is one pool: a model whose layers all slide has no first one to share with. */
function secondPoolShare({ spec }: PagedLayout, pool: TokenPool): number | null {
  const allSlide = spec?.groups.every(({ windowTokens }) => windowTokens !== null) ?? false;
  return allSlide ? null : pool.slidingShare;
}

/** null where no layer slides; without a geometry the window may be as long as the context. */
function widestWindow({ spec, contextTokens }: PagedLayout): number | null {
  if (spec === null) return contextTokens;
  const windows = spec.groups.flatMap(({ windowTokens }) => windowTokens ?? []);
  return windows.length === 0 ? null : Math.max(...windows);
}
