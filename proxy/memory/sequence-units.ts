/**
 * Units of one decoding sequence by its tokens, remembered: forecasts ask for
 * the same few layouts at many lengths, and a layout never changes.
 */
import type { KvLayout } from './kv-layout.ts';
import { contextTokensOf, decodeUnitsOf } from './units.ts';

/** Lengths of a page, in tokens; pages are made when one of their lengths is asked for. */
const PAGE_TOKENS = 4_096;
/** 8 MB of pages for each layout; few sequences are longer. */
const REMEMBERED_TOKENS = 256 * PAGE_TOKENS;

const PAGES = new WeakMap<KvLayout, Map<number, Float64Array>>();

/**
 * What `decodeUnitsOf` says of one sequence.
 * @param tokens prompt and output, a whole number; beyond the context it is as at its end
 */
export function sequenceUnits(layout: KvLayout, tokens: number): number {
  const within = Math.min(tokens, contextTokensOf(layout));
  if (within >= REMEMBERED_TOKENS) return decodeUnitsOf(layout, within, 1);
  const page = pageOf(layout, Math.floor(within / PAGE_TOKENS));
  const place = within % PAGE_TOKENS;
  const known = page[place] ?? 0;
  // A sequence of any length holds something, so 0 is a place not filled yet.
  if (known > 0) return known;
  const units = decodeUnitsOf(layout, within, 1);
  page[place] = units;
  return units;
}

function pageOf(layout: KvLayout, index: number): Float64Array {
  const pages = PAGES.get(layout) ?? new Map<number, Float64Array>();
  if (pages.size === 0) PAGES.set(layout, pages);
  const known = pages.get(index);
  if (known !== undefined) return known;
  const fresh = new Float64Array(PAGE_TOKENS);
  pages.set(index, fresh);
  return fresh;
}
