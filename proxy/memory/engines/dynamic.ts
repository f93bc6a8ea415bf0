/**
 * Memory of a server that allocates per request from free GPU memory: the
 * generate loop of Hugging Face transformers with its DynamicCache.
 *
 * The terms below follow the tensors that are alive at the peak of a layer
 * (transformers 5.18: modeling_gpt_oss.py, integrations/moe.py) and were
 * compared with an allocation trace of gpt-oss: see test/unit/memory-dynamic.test.ts.
 */
import {
  type DynamicLayout,
  keptTokens,
  naiveKvBytes,
  steadyKvBytes,
  tokenBytesOfLayer,
} from '../kv-layout.ts';
import type { LayerGroup, ModelSpec } from '../models/model-spec.ts';
import { layerStateBytes, type StateStorage, sequenceStateBytes } from './states.ts';

/** Routing holds, for each expert of a token: ids, sort order and sorted ids, all int64, spare. */
const ROUTING_BYTES = 4 * 8;

/** Activations are at least bf16; a DynamicCache holds what the model computes with. */
function activationElementBytes(layout: DynamicLayout): number {
  return Math.max(2, layout.kvBytesPerElement);
}

/** LinearAttentionLayer of cache_utils.py: the whole width of the convolution, and float32. */
export function stateStorage(layout: DynamicLayout): StateStorage {
  return {
    convPositionsLess: 0,
    convElementBytes: activationElementBytes(layout),
    recurrentElementBytes: 4,
  };
}

/** A DynamicCache packs nothing: keys of an indexer too are held as they were computed. */
export function unpacked({ spec }: DynamicLayout): ModelSpec {
  const groups = spec.groups.map(({ packedTokenBytes: _, ...group }): LayerGroup => group);
  return { ...spec, groups };
}

/** KV of every token, as it is until the first decode step cuts the windows, and the states. */
export function prefillCacheBytes(layout: DynamicLayout, promptTokens: number): number {
  return (
    naiveKvBytes(unpacked(layout), promptTokens, layout.kvBytesPerElement) +
    sequenceStateBytes(layout.spec, stateStorage(layout))
  );
}

/**
 * Bytes of the cache while decoding: KV, of which sliding and chunked layers keep
 * their window, and states of a fixed size.
 * @param tokens of all `sequences` together
 */
export function decodeCacheBytes(layout: DynamicLayout, tokens: number, sequences = 1): number {
  return (
    steadyKvBytes(unpacked(layout), tokens, layout.kvBytesPerElement, 1, sequences) +
    sequences * sequenceStateBytes(layout.spec, stateStorage(layout))
  );
}

/** Cosine and sine of one position. */
function rotaryElements(spec: ModelSpec): number {
  return 2 * spec.headDim;
}

/**
 * Bytes that one prompt token takes at the feed-forward peak of a layer.
 *
 * Experts (grouped_mm), for each of the top-k copies of a token: the gathered
 * input (H), bias and gate_up (2I each), and gate, up, up + 1, their sigmoid
 * product and the result (I each), that is H + 9I; and beside them the
 * embeddings, the layer's input, the residual and the normed input (4H) and
 * the router's logits (E). For gpt-oss: 253,912 and 254,104 bytes, where the
 * trace has 253,768 (20b) and 253,960 (120b).
 *
 * Dense models: 4H as above, gate, activated gate, up and product (4I), and
 * queries with their rotation (4 x Hq x hd). Not measured: it adds the peaks of
 * attention and feed-forward, which are not alive together.
 */
function activationBytesPerToken(layout: DynamicLayout): number {
  const { spec } = layout;
  const { hiddenSize, experts } = spec;
  const shared = 4 * hiddenSize + rotaryElements(spec);
  if (experts === null) {
    const dense = 4 * spec.intermediateSize + 4 * spec.queryHeads * spec.headDim;
    return activationElementBytes(layout) * (shared + dense);
  }
  const routed = experts.activePerToken * (hiddenSize + 9 * experts.intermediateSize);
  return (
    activationElementBytes(layout) * (shared + routed + experts.total) +
    experts.activePerToken * ROUTING_BYTES
  );
}

/**
 * Bytes of attention that materialises its scores, for `rows` query rows over
 * `tokens` keys. Alive together: scores, scores with sinks and their shifted
 * copy (3 x Hq x rows x (tokens + 1)), a full and a sliding mask, keys and
 * values repeated to the query heads, the queries, and three hidden states.
 * Models whose softmax is computed in float32 (gpt-oss's is not) take up to a
 * third more.
 */
function eagerAttentionBytes(layout: DynamicLayout, rows: number, tokens: number): number {
  const { queryHeads, headDim, hiddenSize } = layout.spec;
  const scores = 3 * queryHeads * rows * (tokens + 1);
  const masks = 2 * rows * tokens;
  const repeatedKv = 2 * queryHeads * headDim * tokens;
  const rowElements = queryHeads * headDim + 3 * hiddenSize + rotaryElements(layout.spec);
  return activationElementBytes(layout) * (scores + masks + repeatedKv + rows * rowElements);
}

/** Logits of the last position (`logits_to_keep=1`) and the float32 copy that sampling works on. */
function logitsBytes(layout: DynamicLayout): number {
  return layout.spec.vocabSize * (activationElementBytes(layout) + 4);
}

/** Logits of every position of a prompt; they stay alive until the next step has its own. */
function promptLogitsBytes(layout: DynamicLayout, promptTokens: number): number {
  if (layout.prefillLogits !== 'all') return 0;
  return promptTokens * layout.spec.vocabSize * activationElementBytes(layout);
}

/** What a decode step allocates beside the KV: the largest of its moments, whole. */
function decodeStepBytes(layout: DynamicLayout, tokens: number): number {
  // torch.cat writes a layer's new KV before it lets go of the old; a state is renewed alike.
  const copies = [
    ...unpacked(layout).groups.map(
      (group) => tokenBytesOfLayer(group, layout.kvBytesPerElement) * keptTokens(group, tokens),
    ),
    ...layout.spec.states.map((state) => layerStateBytes(state, stateStorage(layout))),
  ];
  const attention = layout.attention === 'eager' ? eagerAttentionBytes(layout, 1, tokens) : 0;
  return Math.max(attention, ...copies) + activationBytesPerToken(layout) + logitsBytes(layout);
}

/** What prefill allocates beside the cache: moments that are not alive together, and the logits. */
export interface PrefillTransients {
  readonly feedForward: number;
  /** 0 where attention materialises no scores. */
  readonly attention: number;
  /** 0 where the server asks for the last position only. */
  readonly promptLogits: number;
  readonly logits: number;
}

export function prefillTransients(layout: DynamicLayout, promptTokens: number): PrefillTransients {
  return {
    feedForward: activationBytesPerToken(layout) * promptTokens,
    attention:
      layout.attention === 'eager' ? eagerAttentionBytes(layout, promptTokens, promptTokens) : 0,
    promptLogits: promptLogitsBytes(layout, promptTokens),
    logits: logitsBytes(layout),
  };
}

/**
 * Bytes at the peak of one sequence's prefill: the KV of every layer without
 * its window (sliding layers are cut only by the first decode step), the larger
 * transient of attention and feed-forward, and the logits.
 */
export function prefillPeakBytes(layout: DynamicLayout, promptTokens: number): number {
  const { feedForward, attention, promptLogits, logits } = prefillTransients(layout, promptTokens);
  return Math.ceil(
    prefillCacheBytes(layout, promptTokens) +
      Math.max(feedForward, attention, promptLogits) +
      logits,
  );
}

/**
 * Bytes during a sequence's first decode step: its first token is out, but
 * sliding layers still hold the whole prompt (their window is a view of it).
 */
export function firstStepBytes(layout: DynamicLayout, promptTokens: number): number {
  return Math.ceil(
    prefillCacheBytes(layout, promptTokens) +
      promptLogitsBytes(layout, promptTokens) +
      decodeStepBytes(layout, promptTokens),
  );
}

/** Bytes of a decode step at `tokens` (prompt and output): steady KV and the step's transient. */
export function decodeBytes(layout: DynamicLayout, tokens: number): number {
  return Math.ceil(decodeCacheBytes(layout, tokens) + decodeStepBytes(layout, tokens));
}
