/**
 * How one instance lays out KV in memory, and the KV bytes that tokens take
 * whatever the layout. Pure arithmetic over a ModelSpec; what a layout adds of
 * its own is in dynamic.ts, paged.ts and slots.ts.
 *
 * Functions that take `sequences` want the tokens of all of them together and
 * hold for every way the tokens may be split between them.
 */
import type { LayerGroup, ModelSpec } from './model-spec.ts';
import type { TokenPool } from './token-pool.ts';

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

export interface SlotsLayout {
  readonly model: 'slots';
  readonly spec: ModelSpec | null;
  readonly kvBytesPerElement: number;
  /** Unified: all slots share one pool of `contextTokens` cells; split: each has its own. */
  readonly unified: boolean;
  readonly slots: number;
  /** Cells one sequence may use (`n_ctx` of a slot). */
  readonly contextTokens: number;
}

export type KvLayout = DynamicLayout | PagedLayout | SlotsLayout;

/**
 * Bytes of one token in one layer of a group on one GPU. Heads are split over
 * the GPUs of a tensor-parallel instance and replicated beyond one head each.
 */
export function tokenBytesOfLayer(
  group: LayerGroup,
  kvBytesPerElement: number,
  tensorParallel = 1,
): number {
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
  const bytesPerToken = spec.groups.reduce(
    (sum, group) => sum + group.layers * tokenBytesOfLayer(group, kvBytesPerElement),
    0,
  );
  return Math.ceil(bytesPerToken * tokens);
}
