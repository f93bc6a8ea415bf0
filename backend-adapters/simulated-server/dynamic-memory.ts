/**
 * What one generation of transformers 5.18 allocates on the GPU, by formulas
 * that were checked against its allocations (meta-device tracker).
 */
import type { ModelGeometry } from './geometry.ts';
import { kvBytesPerTokenLayer } from './geometry.ts';

export type Attention = 'eager' | 'flash';

const BYTES_PER_ELEMENT = 2;

/** KV right after prefill: every layer, sliding ones too, still holds the whole prompt. */
export function prefillKvBytes(model: ModelGeometry, promptTokens: number): number {
  const layers = model.fullLayers + model.slidingLayers;
  return layers * kvBytesPerTokenLayer(model) * promptTokens;
}

/**
 * Peak of prefill beside its KV.
 * `flash`: activations, linear in the prompt; they are those of the experts.
 * `eager`: three score matrices live at once (weights, combined logits, shifted
 * copy), two masks, and per token repeated K and V, queries, three hidden
 * states and the rotary tables: together 24.95 GiB at 8,192 tokens with KV.
 */
export function prefillTransientBytes(
  model: ModelGeometry,
  attention: Attention,
  promptTokens: number,
): number {
  if (attention === 'flash') return model.activationBytesPerToken * promptTokens;
  const scores = model.queryHeads * promptTokens * (promptTokens + 1) * BYTES_PER_ELEMENT;
  const masks = 2 * promptTokens ** 2 * BYTES_PER_ELEMENT;
  const headsWidth = model.queryHeads * model.headDim;
  const rowWidth = 3 * headsWidth + 3 * model.hiddenSize + model.headDim;
  return 3 * scores + masks + rowWidth * promptTokens * BYTES_PER_ELEMENT;
}

/** KV from the first decode step on: sliding layers keep their window only. */
export function decodeKvBytes(model: ModelGeometry, tokens: number): number {
  const { fullLayers, slidingLayers, windowTokens } = model;
  const layerTokens = fullLayers * tokens + slidingLayers * Math.min(tokens, windowTokens);
  return kvBytesPerTokenLayer(model) * layerTokens;
}

/** A decode step: the KV, and the new copy of one full layer that `torch.cat` makes beside the old. */
export function decodeStepBytes(model: ModelGeometry, tokens: number): number {
  return decodeKvBytes(model, tokens) + kvBytesPerTokenLayer(model) * tokens;
}
