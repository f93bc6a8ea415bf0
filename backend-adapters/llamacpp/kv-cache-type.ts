/**
 * Bytes that llama.cpp's cache types take for one element: a block of 32
 * elements and its scales (ggml-common.h, block_q8_0 and so on).
 */
const BYTES_PER_ELEMENT: ReadonlyMap<string, number> = new Map([
  ['f32', 4],
  ['f16', 2],
  ['bf16', 2],
  ['q8_0', 34 / 32],
  ['q5_1', 24 / 32],
  ['q5_0', 22 / 32],
  ['q4_1', 20 / 32],
  ['q4_0', 18 / 32],
  ['iq4_nl', 18 / 32],
]);

/** What `-ctk` and `-ctv` hold where they are not given. */
export const DEFAULT_BYTES_PER_ELEMENT = 2;

/** Bytes of one element; null for a type not known here. */
export function bytesPerElement(cacheType: string): number | null {
  return BYTES_PER_ELEMENT.get(cacheType.toLowerCase()) ?? null;
}
