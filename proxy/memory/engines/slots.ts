/**
 * Cells that a request holds in llama.cpp's KV cache: one for each token, up
 * to the context of its slot. Sliding layers have cells of their own, which
 * the server sizes so that they never run out before these do
 * (llama.cpp: llama-kv-cache-iswa.cpp).
 */
import type { KvTypes, SlotsLayout } from '../kv-layout.ts';
import type { LlamacppContext } from './llamacpp-cells.ts';
import {
  type LlamacppAllocation,
  llamacppAllocation,
  llamacppLiveBytes,
} from './llamacpp-memory.ts';

/** @param tokens prompt and output of all `sequences` together */
export function slotCells(layout: SlotsLayout, tokens: number, sequences = 1): number {
  return Math.min(tokens, sequences * layout.contextTokens);
}

/** Mean KV bytes of a cell in a full context; null when the model's geometry is unknown. */
export function meanCellBytes(layout: SlotsLayout): number | null {
  const { contextTokens } = layout;
  const bytes = liveCellBytes(layout, contextTokens);
  return bytes === null ? null : Math.ceil(bytes / contextTokens);
}

/**
 * Bytes of the cells and states that hold something; null when the model's
 * geometry is unknown.
 *
 * @param tokens of all `sequences` together
 */
export function liveCellBytes(layout: SlotsLayout, tokens: number, sequences = 1): number | null {
  const { spec } = layout;
  return spec === null ? null : llamacppLiveBytes(spec, kvTypesOf(layout), tokens, sequences);
}

/**
 * Bytes allocated for one slot of `contextTokens`, by default the layout's own:
 * what a sequence that may grow to them costs, however long it is at present.
 * Null when the model's geometry is unknown.
 */
export function slotBytes(
  layout: SlotsLayout,
  contextTokens = layout.contextTokens,
): number | null {
  return slotAllocation(layout, contextTokens)?.bytes ?? null;
}

/** What `slotBytes` is the sum of. */
export function slotAllocation(
  layout: SlotsLayout,
  contextTokens: number,
): LlamacppAllocation | null {
  return allocation(layout, { contextTokens, sequences: 1, unified: false });
}

/** Bytes of all slots, allocated when the server starts; null when the geometry is unknown. */
export function allSlotsBytes(layout: SlotsLayout): number | null {
  const { slots, contextTokens, unified } = layout;
  const context = { contextTokens: unified ? contextTokens : slots * contextTokens, unified };
  return allocation(layout, { ...context, sequences: slots })?.bytes ?? null;
}

function allocation(layout: SlotsLayout, context: LlamacppContext): LlamacppAllocation | null {
  const { spec, ubatchTokens } = layout;
  if (spec === null) return null;
  // A physical batch is never larger than the logical one, so what was seen of it is what it is.
  const batches = ubatchTokens === undefined ? {} : { ubatchTokens, batchTokens: ubatchTokens };
  return llamacppAllocation(spec, { ...context, ...batches, ...kvTypesOf(layout) });
}

function kvTypesOf({ kvTypes, kvBytesPerElement }: SlotsLayout): KvTypes {
  return (
    kvTypes ?? { keyBytesPerElement: kvBytesPerElement, valueBytesPerElement: kvBytesPerElement }
  );
}
