/**
 * How one instance lays out KV in memory, and the KV bytes that tokens take
 * whatever the layout. Pure arithmetic over a ModelSpec; what a layout adds of
 * its own is in dynamic.ts, paged.ts and slots.ts.
 *
 * Functions that take `sequences` want the tokens of all of them together and
 * hold for every way the tokens may be split between them.
 */

import type { TokenPool } from './engines/token-pool.ts';
import type { LayerGroup, ModelSpec } from './models/model-spec.ts';

export interface DynamicLayout {
  readonly model: 'dynamic';
  readonly spec: ModelSpec;
  readonly kvBytesPerElement: number;
  /** `eager` holds three score matrices at the peak of prefill; `flash` none. */
  readonly attention: 'eager' | 'flash';
  /** A server that calls the model itself gets the logits of the whole prompt, not of its last token. */
  readonly prefillLogits?: 'all';
}

export interface PagedLayout {
  readonly model: 'paged';
  readonly spec: ModelSpec | null;
  readonly kvBytesPerElement: number;
  readonly blockTokens: number;
  readonly contextTokens: number;
  /** Tokens of prefill in flight at a time (`max_num_batched_tokens`, doubled when async). */
  readonly inFlightTokens: number;
  readonly tensorParallel: number;
  /** What speculative decoding adds; null: the engine does not speculate. */
  readonly drafting: Drafting | null;
  /**
   * `false`: layers are not told apart, so each of them keeps every token
   * (vLLM: disable_hybrid_kv_cache_manager). Left out: it is on.
   */
  readonly hybridManager?: false;
  /**
   * Blocks that a sequence holds in each group of layers with a state, at most
   * (vLLM's mamba_cache_mode: 1 for `none`; for `align` the state it goes on from
   * and one for each batch in the works). `each`: a state is kept for every block
   * of tokens (`all`). Left out: 3.
   */
  readonly stateBlocks?: number | 'each';
  /** Where a block serves all layers at once; left out: groups of layers take blocks of their own. */
  readonly tokenPool?: TokenPool;
}

/** Tokens guessed ahead of the model, whose KV lives in the model's own pool. */
export interface Drafting {
  /** Slots of each sequence past the token it is at: guesses under check, and those being made. */
  readonly lookaheadTokens: number;
  /** Layers of the draft that take blocks, each of them like a full one of the model. */
  readonly layers: number;
}

/** Bytes of an element of each; a quantised type's may be a fraction (q8_0: 34 / 32). */
export interface KvTypes {
  readonly keyBytesPerElement: number;
  readonly valueBytesPerElement: number;
}

export interface SlotsLayout {
  readonly model: 'slots';
  readonly spec: ModelSpec | null;
  readonly kvBytesPerElement: number;
  /** Unified: all slots share one pool of `contextTokens` cells; split: each has its own. */
  readonly unified: boolean;
  readonly slots: number;
  /** Cells one sequence may use (`n_ctx` of a slot). */
  readonly contextTokens: number;
  /** Where keys and values differ; left out: both are of `kvBytesPerElement`, which is the wider. */
  readonly kvTypes?: KvTypes;
  /** Tokens of one physical batch, for which sliding layers have cells too; left out: llama.cpp's default. */
  readonly ubatchTokens?: number;
}

export type KvLayout = DynamicLayout | PagedLayout | SlotsLayout;

/**
 * Bytes of one token in one layer of a group on one GPU. Heads are split over
 * the GPUs of a tensor-parallel instance and replicated beyond one head each;
 * what an engine packs in a way of its own is replicated on each of them.
 */
export function tokenBytesOfLayer(
  group: LayerGroup,
  kvBytesPerElement: number,
  tensorParallel = 1,
): number {
  if (group.packedTokenBytes !== undefined) return group.packedTokenBytes;
  const kvHeadsPerGpu = Math.max(1, Math.ceil(group.kvHeads / tensorParallel));
  return kvHeadsPerGpu * (group.keyDim + group.valueDim) * kvBytesPerElement;
}

/** Tokens that a layer of the group keeps: all of them, or a window of each sequence. */
export function keptTokens(group: LayerGroup, tokens: number, sequences = 1): number {
  return group.windowTokens === null ? tokens : Math.min(tokens, sequences * group.windowTokens);
}

/**
 * KV bytes while decoding, on each GPU: sliding layers keep their window only.
 * The formula is 2048 x (F x n + S x min(n, W)) for gpt-oss in bf16
 * (measured on transformers' DynamicCache; vLLM's kv_cache_interface.py).
 *
 * @param kvBytesPerElement 2 for bf16 and f16; may be a fraction (q8_0: 1.0625)
 */
export function steadyKvBytes(
  spec: ModelSpec,
  tokens: number,
  kvBytesPerElement: number,
  tensorParallel = 1,
  sequences = 1,
): number {
  const bytes = spec.groups.reduce(
    (sum, group) =>
      sum +
      group.layers *
        tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel) *
        keptTokens(group, tokens, sequences),
    0,
  );
  return Math.ceil(bytes);
}

/**
 * The plain formula, tokens x layers x kv_heads x head_dim x 2 x dtype bytes,
 * over all GPUs and as if every layer had full attention: an upper bound of
 * the KV, and exactly what transformers holds at the end of prefill.
 */
export function naiveKvBytes(spec: ModelSpec, tokens: number, kvBytesPerElement: number): number {
  const bytesPerToken = spec.groups.reduce((sum, group) => {
    const unpacked = group.kvHeads * (group.keyDim + group.valueDim) * kvBytesPerElement;
    return sum + group.layers * Math.max(unpacked, tokenBytesOfLayer(group, kvBytesPerElement));
  }, 0);
  return Math.ceil(bytesPerToken * tokens);
}
