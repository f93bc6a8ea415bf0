/**
 * Bytes that llama.cpp allocates when it loads a model: keys and values of
 * every cell, and the states of layers that have no cells (llama-kv-cache.cpp,
 * llama-memory-recurrent.cpp). These are its tensors: a backend may round a
 * buffer up to its alignment, and the compute buffer, which depends on the
 * build, is not among them.
 */
import { type KvTypes, keptTokens } from '../kv-layout.ts';
import type { LayerGroup, ModelSpec } from '../models/model-spec.ts';
import {
  type LlamacppCells,
  type LlamacppContext,
  layerCells,
  llamacppCells,
} from './llamacpp-cells.ts';
import { type StateStorage, sequenceStateBytes } from './states.ts';

export interface LlamacppStart extends LlamacppContext, KvTypes {
  /** `-fa off`: values are stored transposed, all layers as wide as the widest. */
  readonly flashAttention?: boolean;
  /** Earlier states kept for each sequence, so that a draft can be taken back (`n_rs_seq`). */
  readonly rollbackStates?: number;
}

/** The cells of one group of layers, and their bytes in all streams. */
export interface LlamacppCache {
  readonly group: LayerGroup;
  /** Of one stream. */
  readonly cells: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
}

export interface LlamacppAllocation extends LlamacppCells {
  readonly caches: readonly LlamacppCache[];
  /** `R` in its log: the positions that short convolutions remember. */
  readonly convStateBytes: number;
  /** `S` in its log: the recurrent states themselves. */
  readonly recurrentStateBytes: number;
  /** Of all caches and states. */
  readonly bytes: number;
}

/**
 * States are f32 whatever the type of the cache (llama-model.cpp, create_memory),
 * without the position that is about to leave the convolution (llama-hparams.cpp, n_embd_r).
 */
const STATES: StateStorage = {
  convPositionsLess: 1,
  convElementBytes: 4,
  recurrentElementBytes: 4,
};

/** What a server allocates at its start. @param start counts are whole and at least 1 */
export function llamacppAllocation(spec: ModelSpec, start: LlamacppStart): LlamacppAllocation {
  const cells = llamacppCells(start);
  const caches = spec.groups.map((group) => {
    const groupCells = layerCells(start, group.windowTokens);
    const rows = group.layers * cells.streams * groupCells;
    const widest = start.flashAttention === false ? spec.groups : [group];
    const valueBytes = Math.max(...widest.map((each) => valueRowBytes(each, start)));
    return {
      group,
      cells: groupCells,
      keyBytes: rows * keyRowBytes(group, start),
      valueBytes: rows * valueBytes,
    };
  });
  const rows = start.sequences * (1 + (start.rollbackStates ?? 0));
  const stateBytes = rows * sequenceStateBytes(spec, STATES);
  const convStateBytes = rows * sequenceStateBytes(spec, { ...STATES, recurrentElementBytes: 0 });
  const kvBytes = sumOf(caches, ({ keyBytes, valueBytes }) => keyBytes + valueBytes);
  return {
    ...cells,
    caches,
    convStateBytes,
    recurrentStateBytes: stateBytes - convStateBytes,
    bytes: kvBytes + stateBytes,
  };
}

/**
 * Bytes of the cells and states that hold something: a sliding layer's cells
 * outside the window of a sequence count as free, as they do when the server
 * saves a slot.
 *
 * @param tokens of all `sequences` together
 */
export function llamacppLiveBytes(
  spec: ModelSpec,
  types: KvTypes,
  tokens: number,
  sequences = 1,
): number {
  const cells = sumOf(
    spec.groups,
    (group) =>
      group.layers *
      keptTokens(group, tokens, sequences) *
      (keyRowBytes(group, types) + valueRowBytes(group, types)),
  );
  return cells + sequences * sequenceStateBytes(spec, STATES);
}

function keyRowBytes({ kvHeads, keyDim }: LayerGroup, { keyBytesPerElement }: KvTypes): number {
  return Math.ceil(kvHeads * keyDim * keyBytesPerElement);
}

function valueRowBytes(
  { kvHeads, valueDim }: LayerGroup,
  { valueBytesPerElement }: KvTypes,
): number {
  return Math.ceil(kvHeads * valueDim * valueBytesPerElement);
}

function sumOf<T>(items: readonly T[], amountOf: (item: T) => number): number {
  return items.reduce((sum, item) => sum + amountOf(item), 0);
}
