/** One sequence as vLLM's scheduler sees it. */
import type { BlockPool } from './block-pool.ts';
import { BlockTable } from './block-table.ts';
import type { Sequence } from './engine.ts';
import { TokenMeter } from './pace.ts';

export interface Scheduled {
  readonly sequence: Sequence;
  readonly table: BlockTable;
  readonly meter: TokenMeter;
  /** Tokens whose KV is in blocks, and how far the blocks taken reach. */
  computedTokens: number;
  grantedTokens: number;
  generatedTokens: number;
  /** Found in the cache when it was first admitted; null before. */
  cachedTokens: number | null;
}

export function scheduled(
  sequence: Sequence,
  pool: BlockPool,
  windowTokens: number | null,
): Scheduled {
  const { prompt, text } = sequence;
  const tokenAt = (index: number) => prompt[index] ?? text.token(index - prompt.length);
  return {
    sequence,
    table: new BlockTable(pool, windowTokens, tokenAt),
    meter: new TokenMeter(),
    computedTokens: 0,
    grantedTokens: 0,
    generatedTokens: 0,
    cachedTokens: null,
  };
}

/** Tokens that exist already: the prompt, and after a preemption what was generated too. */
export function knownTokens({ sequence, generatedTokens }: Scheduled): number {
  return sequence.prompt.length + generatedTokens;
}

/** A decoding sequence lacks the KV of its newest token only. */
export function isPrefilling(entry: Scheduled): boolean {
  return entry.generatedTokens === 0 || entry.computedTokens < knownTokens(entry) - 1;
}
