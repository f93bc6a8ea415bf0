/**
 * Blocks that a request holds in a pool like vLLM's: layers are put into
 * groups of one size, and a block of the pool serves one group. A request
 * holds blocks for each group (vLLM: kv_cache_utils.py, kv_cache_interface.py,
 * kv_cache_manager.py).
 */
import { type PagedLayout, tokenBytesOfLayer } from './kv-layout.ts';
import type { ModelSpec } from './model-spec.ts';

/** Groups of layers that take blocks together. */
interface BlockGroups {
  readonly groups: number;
  readonly windowTokens: number | null;
}

/** Without a spec the groups are not known either: the blocks of one are the least there can be. */
const UNKNOWN_MODEL: readonly BlockGroups[] = [{ groups: 1, windowTokens: null }];

/**
 * Layers of one block: the smallest number of layers of a kind, or the largest
 * one where they are nearly equal and padding costs less than more groups.
 */
function layersOfBlock(spec: ModelSpec): number {
  const counts = spec.groups.map((group) => group.layers);
  const fewest = Math.min(...counts);
  const most = Math.max(...counts);
  return most < 1.5 * fewest ? most : fewest;
}

function blockGroups(spec: ModelSpec | null): readonly BlockGroups[] {
  if (spec === null) return UNKNOWN_MODEL;
  const layers = layersOfBlock(spec);
  return spec.groups.map((group) => ({
    groups: Math.ceil(group.layers / layers),
    windowTokens: group.windowTokens,
  }));
}

/** Bytes of one block of the pool on each GPU; null when the model's geometry is unknown. */
export function blockBytes(layout: PagedLayout): number | null {
  const { spec, kvBytesPerElement, tensorParallel, blockTokens } = layout;
  if (spec === null) return null;
  const pageBytes = spec.groups.map(
    (group) => blockTokens * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel),
  );
  return Math.ceil(layersOfBlock(spec) * Math.max(...pageBytes));
}

/** The most blocks that hold `tokens` in all, however they are split over the sequences. */
function blocksOfTokens(layout: PagedLayout, tokens: number, sequences: number): number {
  const lastBlocksAlmostEmpty = sequences * (layout.blockTokens - 1);
  return Math.floor((tokens + lastBlocksAlmostEmpty) / layout.blockTokens);
}

/** In flight while decoding: a step's token, and the next one with async scheduling. */
const DECODE_STEP_TOKENS = 1;

/**
 * Blocks with up to `stepTokens` of each sequence in flight beyond the last
 * computed one. A sliding group keeps W - 1 tokens before them, in one block
 * more where those do not begin at a block's start.
 */
function blocksInFlight(
  layout: PagedLayout,
  tokens: number,
  sequences: number,
  stepTokens: number,
): number {
  const wholeBlocks = blocksOfTokens(layout, tokens, sequences);
  return blockGroups(layout.spec).reduce((sum, { groups, windowTokens }) => {
    if (windowTokens === null) return sum + groups * wholeBlocks;
    const spanTokens = Math.min(windowTokens - 1 + stepTokens, layout.contextTokens);
    const windowBlocks = Math.ceil(spanTokens / layout.blockTokens) + 1;
    return sum + groups * Math.min(wholeBlocks, sequences * windowBlocks);
  }, 0);
}

/**
 * Blocks while decoding with `tokens` of KV: every token in full groups, the
 * window in sliding ones (8 or 9 blocks of 16 for a window of 128: 9 here).
 */
export function pagedBlocks(layout: PagedLayout, tokens: number, sequences = 1): number {
  return blocksInFlight(layout, tokens, sequences, DECODE_STEP_TOKENS);
}

/** Blocks at the end of prefill, as vLLM's admission counts them. */
export function pagedPrefillBlocks(
  layout: PagedLayout,
  promptTokens: number,
  sequences = 1,
): number {
  return blocksInFlight(layout, promptTokens, sequences, layout.inFlightTokens);
}
