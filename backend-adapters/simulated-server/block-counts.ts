/**
 * How many blocks of a vLLM pool one sequence holds. GPT-OSS has two groups of
 * layers and both take from the same pool: the full group keeps a block for
 * every 16 tokens, the sliding group only those its window still reaches
 * (vLLM kv_cache_manager and single_type_kv_cache_manager). With the hybrid
 * manager off all layers are one group that keeps every block, and the window
 * is null.
 */
import { BLOCK_TOKENS } from './content-chain.ts';

export function blocksOf(tokens: number): number {
  return Math.ceil(tokens / BLOCK_TOKENS);
}

/** The most blocks the sliding group holds while `inFlightTokens` at a time are computed. */
export function slidingBlocksBound(
  tokens: number,
  windowTokens: number | null,
  inFlightTokens: number,
): number {
  if (windowTokens === null) return 0;
  const window = Math.ceil((windowTokens - 1 + inFlightTokens) / BLOCK_TOKENS) + 1;
  return Math.min(blocksOf(tokens), window);
}

/** Blocks that must be free before `tokens` tokens are begun: the whole prompt, no output. */
export function admissionBlocks(
  tokens: number,
  windowTokens: number | null,
  inFlightTokens: number,
): number {
  return blocksOf(tokens) + slidingBlocksBound(tokens, windowTokens, inFlightTokens);
}

/** Index of the first block that the window still reaches once `computed` tokens are there. */
export function firstBlockInWindow(computed: number, windowTokens: number | null): number {
  if (windowTokens === null) return 0;
  return Math.floor(Math.max(0, computed - windowTokens + 1) / BLOCK_TOKENS);
}

/** Blocks held while a step goes from `computed` tokens to `target`, of which none was cached. */
export function heldBlocks(computed: number, target: number, windowTokens: number | null): number {
  const full = blocksOf(target);
  if (windowTokens === null) return full;
  return 2 * full - firstBlockInWindow(computed, windowTokens);
}
