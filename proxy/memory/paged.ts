/**
 * Blocks that a request holds in a pool like vLLM's: layers are put into
 * groups of one size, and a block of the pool serves one group. A request
 * holds blocks for each group (vLLM: kv_cache_utils.py, kv_cache_interface.py,
 * kv_cache_manager.py).
 */
import { type PagedLayout, tokenBytesOfLayer } from './kv-layout.ts';
import type { LayerGroup } from './model-spec.ts';
import { tokenPoolBlockBytes, tokenPoolBlocks } from './token-pool.ts';

/** Groups of layers that take blocks together. */
interface BlockGroups {
  readonly groups: number;
  readonly windowTokens: number | null;
}

/** Without a spec the groups are not known either: the blocks of one are the least there can be. */
const UNKNOWN_MODEL: readonly BlockGroups[] = [{ groups: 1, windowTokens: null }];

/**
 * The groups of layers that share the pool: the model's, and the layers of a
 * draft beside its full ones (vLLM counts every attention layer that is loaded:
 * v1/worker/gpu/attn_utils.py, get_kv_cache_spec).
 */
function pooledLayers({ spec, drafting }: PagedLayout): readonly LayerGroup[] {
  const groups = spec?.groups ?? [];
  const draftLayers = drafting?.layers ?? 0;
  const alike = groups.findIndex((group) => group.windowTokens === null);
  const shape = groups[Math.max(0, alike)];
  if (draftLayers === 0 || shape === undefined) return groups;
  const draft = { ...shape, windowTokens: null, layers: draftLayers };
  if (alike < 0) return [...groups, draft];
  return groups.with(alike, { ...shape, layers: shape.layers + draftLayers });
}

/**
 * Layers of one block: the smallest number of layers of a kind, or the largest
 * one where they are nearly equal and padding costs less than more groups.
 */
function layersOfBlock(groups: readonly LayerGroup[]): number {
  const counts = groups.map((group) => group.layers);
  const fewest = Math.min(...counts);
  const most = Math.max(...counts);
  return most < 1.5 * fewest ? most : fewest;
}

function blockGroups(layout: PagedLayout): readonly BlockGroups[] {
  if (layout.spec === null) return UNKNOWN_MODEL;
  const groups = pooledLayers(layout);
  const layers = layersOfBlock(groups);
  return groups.map((group) => ({
    groups: Math.ceil(group.layers / layers),
    windowTokens: group.windowTokens,
  }));
}

/** Bytes of one block of the pool on each GPU; null when the model's geometry is unknown. */
export function blockBytes(layout: PagedLayout): number | null {
  const { spec, kvBytesPerElement, tensorParallel, blockTokens, tokenPool } = layout;
  if (tokenPool !== undefined) return tokenPoolBlockBytes(layout, tokenPool);
  if (spec === null) return null;
  const groups = pooledLayers(layout);
  const pageBytes = groups.map(
    (group) => blockTokens * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel),
  );
  return Math.ceil(layersOfBlock(groups) * Math.max(...pageBytes));
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
 * computed one, and the slots that are kept for guesses (kv_cache_manager.py,
 * allocate_slots), as far as the context reaches. A sliding group keeps W - 1
 * tokens before them, in one block more where those do not begin at a block's start.
 */
function blocksInFlight(
  layout: PagedLayout,
  tokens: number,
  sequences: number,
  stepTokens: number,
): number {
  const lookaheadTokens = layout.drafting?.lookaheadTokens ?? 0;
  const slots = tokens === 0 ? 0 : tokens + sequences * lookaheadTokens;
  const wholeBlocks = blocksOfTokens(
    layout,
    Math.max(tokens, Math.min(slots, sequences * layout.contextTokens)),
    sequences,
  );
  if (layout.tokenPool !== undefined) {
    const inFlightTokens = stepTokens + lookaheadTokens;
    return tokenPoolBlocks(layout, layout.tokenPool, wholeBlocks, sequences, inFlightTokens);
  }
  return blockGroups(layout).reduce((sum, { groups, windowTokens }) => {
    if (windowTokens === null) return sum + groups * wholeBlocks;
    const spanTokens = Math.min(
      windowTokens - 1 + stepTokens + lookaheadTokens,
      layout.contextTokens,
    );
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
