/**
 * The size of the file that `POST /slots/{id}?action=save` writes, as far as it
 * is not KV itself. Version 4 of llama.cpp's sequence state, with
 * --ctx-checkpoints 0: checkpoints come after it (llama-context.cpp,
 * state_seq_save_file; llama-kv-cache.cpp and llama-memory-recurrent.cpp,
 * state_write).
 */

import { keptTokens } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';

const WORD = 4;
/** Magic, version, length of the token list; the list has four words of the server's own. */
const HEADER_WORDS = 3;
const TOKEN_LIST_WORDS = 4;
/** Position, number of sequences, the sequence. */
const CELL_WORDS = 3;
/** The place in an image, for models whose positions have sections (M-RoPE). */
const PLACE_WORDS = 3;
/** Whether values are transposed, layers, and two words that were 0 in every file seen. */
const CACHE_WORDS = 4;
/** Type, and the size of a row in two words. */
const TENSOR_WORDS = 3;
/** Cells, then position and number of sequences of the one there is; transposed, layers. */
const STATE_WORDS = 5;

export interface SlotFileTraits {
  /** Of the server's caches: each is told to have cells or none. */
  readonly streams: number;
  readonly positionsHaveSections: boolean;
}

/** @param tokens that the slot holds */
export function slotFileOverheadBytes(
  spec: ModelSpec,
  tokens: number,
  { streams, positionsHaveSections }: SlotFileTraits,
): number {
  const cellWords = CELL_WORDS + (positionsHaveSections ? PLACE_WORDS : 0);
  const kinds = [
    spec.groups.filter(({ windowTokens }) => windowTokens === null),
    spec.groups.filter(({ windowTokens }) => windowTokens !== null),
  ].filter((groups) => groups.length > 0);
  const caches = kinds.map((groups) => {
    const cells = Math.max(...groups.map((group) => keptTokens(group, tokens)));
    const layers = groups.reduce((sum, group) => sum + group.layers, 0);
    return 1 + streams + cellWords * cells + CACHE_WORDS + 2 * layers * TENSOR_WORDS;
  });
  const stateLayers = spec.states.reduce((sum, group) => sum + group.layers, 0);
  const states = stateLayers === 0 ? 0 : STATE_WORDS + 2 * stateLayers * TENSOR_WORDS;
  const words = [HEADER_WORDS + TOKEN_LIST_WORDS + tokens, ...caches, states];
  return WORD * words.reduce((sum, count) => sum + count, 0);
}
