/**
 * Blocks that a request holds in a pool like vLLM's, where layers are put into
 * groups of one size and a block of the pool serves one group: see
 * block-groups.ts (vLLM: kv_cache_interface.py, kv_cache_manager.py,
 * single_type_kv_cache_manager.py).
 */
import { assertNever } from '../assert-never.ts';
import type { PagedLayout } from '../kv-layout.ts';
import { type BlockGroup, blockPlan } from './block-groups.ts';
import { tokenPoolBlockBytes, tokenPoolBlocks } from './token-pool.ts';

/** Bytes of one block of the pool on each GPU; null when the model's geometry is unknown. */
export function blockBytes(layout: PagedLayout): number | null {
  const { tokenPool } = layout;
  if (tokenPool !== undefined) return tokenPoolBlockBytes(layout, tokenPool);
  return blockPlan(layout)?.blockBytes ?? null;
}

/** Without a spec the groups are not known either: the blocks of one are the least there can be. */
export function blockGroups(layout: PagedLayout): readonly BlockGroup[] {
  const unknown = { groups: 1, blockTokens: layout.blockTokens, kept: { kind: 'all' as const } };
  return blockPlan(layout)?.groups ?? [unknown];
}

/** The most blocks that hold `tokens` in all, however they are split over the sequences. */
function blocksOfTokens(blockTokens: number, tokens: number, sequences: number): number {
  const lastBlocksAlmostEmpty = sequences * (blockTokens - 1);
  return Math.floor((tokens + lastBlocksAlmostEmpty) / blockTokens);
}

/** In flight while decoding: a step's token. The one that async scheduling adds is in the rounding. */
const DECODE_STEP_TOKENS = 1;

/** The most blocks that one sequence has in one group, however long it is; null: no such limit. */
function mostBlocks(group: BlockGroup, layout: PagedLayout, stepTokens: number): number | null {
  const { blockTokens, kept } = group;
  const lookaheadTokens = layout.drafting?.lookaheadTokens ?? 0;
  // Guesses may be in flight twice: those of the step before are not checked yet.
  const inFlightTokens = stepTokens + 2 * lookaheadTokens;
  const blocksOf = (tokens: number) =>
    Math.ceil(Math.min(tokens, layout.contextTokens) / blockTokens);
  switch (kept.kind) {
    case 'all':
      return null;
    case 'window':
      // W - 1 tokens lie before those in flight, and need not begin at a block's start.
      return blocksOf(kept.tokens - 1 + inFlightTokens) + 1;
    case 'chunk':
      return blocksOf(kept.tokens + inFlightTokens) + (kept.tokens % blockTokens === 0 ? 0 : 1);
    case 'state':
      // Each guess has a state of its own (num_speculative_blocks).
      return kept.blocks === 'each' ? null : kept.blocks + lookaheadTokens;
    default:
      return assertNever(kept);
  }
}

/** The most blocks that one sequence has in one group while it is prefilled. */
export function mostPrefillBlocks(group: BlockGroup, layout: PagedLayout): number {
  return mostBlocks(group, layout, layout.inFlightTokens) ?? Number.POSITIVE_INFINITY;
}

/**
 * Blocks with up to `stepTokens` of each sequence in flight beyond the last
 * computed one, and the slots that are kept for guesses (kv_cache_manager.py,
 * allocate_slots), as far as the context reaches.
 */
function blocksInFlight(
  layout: PagedLayout,
  tokens: number,
  sequences: number,
  stepTokens: number,
): number {
  const lookaheadTokens = layout.drafting?.lookaheadTokens ?? 0;
  if (layout.tokenPool === undefined) {
    const each = groupBlocks(layout, tokens, sequences, stepTokens);
    return each.reduce((sum, { group, blocks }) => sum + group.groups * blocks, 0);
  }
  const slots = slotTokens(layout, tokens, sequences);
  const wholeBlocks = blocksOfTokens(layout.blockTokens, slots, sequences);
  const inFlightTokens = stepTokens + lookaheadTokens;
  return tokenPoolBlocks(layout, layout.tokenPool, wholeBlocks, sequences, inFlightTokens);
}

/** Tokens that have their slots: those there are, and room for guesses. */
function slotTokens(layout: PagedLayout, tokens: number, sequences: number): number {
  const lookaheadTokens = layout.drafting?.lookaheadTokens ?? 0;
  const wanted = tokens === 0 ? 0 : tokens + sequences * lookaheadTokens;
  return Math.max(tokens, Math.min(wanted, sequences * layout.contextTokens));
}

/** Blocks that each group holds of the pool; groups that are alike hold as many each. */
export interface GroupBlocks {
  readonly group: BlockGroup;
  readonly blocks: number;
}

/** What `pagedBlocks` is the sum of, in a pool whose blocks serve one group each. */
export function decodeGroupBlocks(layout: PagedLayout, tokens: number): readonly GroupBlocks[] {
  return groupBlocks(layout, tokens, 1, DECODE_STEP_TOKENS);
}

function groupBlocks(
  layout: PagedLayout,
  tokens: number,
  sequences: number,
  stepTokens: number,
): readonly GroupBlocks[] {
  const lookaheadTokens = layout.drafting?.lookaheadTokens ?? 0;
  const slots = slotTokens(layout, tokens, sequences);
  return blockGroups(layout).map((group) => {
    const wholeBlocks = blocksOfTokens(group.blockTokens, slots, sequences);
    const most = mostBlocks(group, layout, stepTokens);
    if (most === null) return { group, blocks: wholeBlocks };
    const guesses = group.kept.kind === 'state' && tokens > 0 ? sequences * lookaheadTokens : 0;
    return { group, blocks: Math.min(wholeBlocks + guesses, sequences * most) };
  });
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
