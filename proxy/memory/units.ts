/**
 * Units of any layout in its own currency: bytes on `dynamic`, blocks on
 * `paged`, cells on `slots`. Each function wants the tokens of all `sequences`
 * together and holds for every way they may be split between them.
 */
import { assertNever } from './assert-never.ts';
import { decodeBytes, firstStepBytes, prefillPeakBytes } from './engines/dynamic.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from './engines/paged.ts';
import { meanCellBytes, slotCells } from './engines/slots.ts';
import type { DynamicLayout, KvLayout } from './kv-layout.ts';

/** The longest sequence, prompt and output together, that the instance can hold. */
export function contextTokensOf(layout: KvLayout): number {
  return layout.model === 'dynamic' ? layout.spec.contextTokens : layout.contextTokens;
}

/** Bytes of one unit on each GPU, for reports; null when the geometry is unknown. */
export function unitBytes(layout: KvLayout): number | null {
  switch (layout.model) {
    case 'dynamic':
      return 1;
    case 'paged':
      return blockBytes(layout);
    case 'slots':
      return meanCellBytes(layout);
    default:
      return assertNever(layout);
  }
}

/**
 * The rows of a batch are padded to its longest sequence, which may have nearly
 * all tokens of the body.
 */
function longestRowTokens(layout: DynamicLayout, tokens: number): number {
  return Math.min(tokens, layout.spec.contextTokens);
}

/** Units until the first token is known to be out. */
export function prefillUnitsOf(layout: KvLayout, tokens: number, sequences: number): number {
  switch (layout.model) {
    case 'dynamic':
      return Math.max(
        sequences * prefillPeakBytes(layout, longestRowTokens(layout, tokens)),
        firstStepUnitsOf(layout, tokens, sequences),
      );
    case 'paged':
      return pagedPrefillBlocks(layout, tokens, sequences);
    case 'slots':
      return slotCells(layout, tokens, sequences);
    default:
      return assertNever(layout);
  }
}

/** Units of the first decode step, in which `dynamic` still holds the whole prompt. */
export function firstStepUnitsOf(
  layout: DynamicLayout,
  promptTokens: number,
  sequences: number,
): number {
  return sequences * firstStepBytes(layout, longestRowTokens(layout, promptTokens));
}

/** Units of a decode step at `tokens`, prompt and output. */
export function decodeUnitsOf(layout: KvLayout, tokens: number, sequences: number): number {
  switch (layout.model) {
    case 'dynamic':
      return sequences * decodeBytes(layout, longestRowTokens(layout, tokens));
    case 'paged':
      return pagedBlocks(layout, tokens, sequences);
    case 'slots':
      return slotCells(layout, tokens, sequences);
    default:
      return assertNever(layout);
  }
}
