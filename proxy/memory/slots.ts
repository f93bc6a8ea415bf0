/**
 * Cells that a request holds in llama.cpp's KV cache: one for each token, up
 * to the context of its slot. Sliding layers have cells of their own, which
 * the server sizes so that they never run out before these do
 * (llama.cpp: llama-kv-cache-iswa.cpp).
 */
import { type SlotsLayout, steadyKvBytes } from './kv-layout.ts';

/** @param tokens prompt and output of all `sequences` together */
export function slotCells(layout: SlotsLayout, tokens: number, sequences = 1): number {
  return Math.min(tokens, sequences * layout.contextTokens);
}

/** Mean KV bytes of a cell in a full context; null when the model's geometry is unknown. */
export function meanCellBytes(layout: SlotsLayout): number | null {
  const { spec, contextTokens, kvBytesPerElement } = layout;
  if (spec === null) return null;
  return Math.ceil(steadyKvBytes(spec, contextTokens, kvBytesPerElement) / contextTokens);
}
