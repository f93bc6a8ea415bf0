/**
 * What each layer of a GGUF model holds: KV, and of which shape, a state in its
 * place or beside it, or nothing (llama.cpp: src/llama-hparams.cpp;
 * src/llama-kv-cache.cpp).
 */

import { gather, type LayerShape } from '../models/layer-groups.ts';
import type { LayerGroup, StateGroup } from '../models/model-spec.ts';
import type { Architecture, StateRule } from './architectures.ts';
import { GGUF_MAX, type GgufFields } from './fields.ts';
import { slidingLayers } from './sliding.ts';
import { readState } from './state.ts';

export interface GgufLayers {
  readonly groups: readonly LayerGroup[];
  readonly states: readonly StateGroup[];
  /** Query heads of each layer. */
  readonly heads: readonly number[];
  readonly headDim: number;
}

/** @param known null where the architecture's name is not known: it may have none but plain keys */
export function readLayers(
  fields: GgufFields,
  known: Architecture | null,
  hiddenSize: number,
): GgufLayers {
  const architecture = known ?? {};
  const blocks = fields.required('block_count', GGUF_MAX.layers);
  const layers = blocks - drafting(fields, blocks);
  const isAllState = architecture.state?.layers === 'all';
  const heads = fields.perLayer('attention.head_count', blocks, GGUF_MAX.heads);
  if (heads === null && !isAllState && architecture.cacheless !== true) {
    fields.reject('attention.head_count', 'is missing');
  }
  // Without it every query head has a KV head.
  const kvHeads = fields.perLayer('attention.head_count_kv', blocks, GGUF_MAX.heads) ?? heads ?? [];
  const hasState = stateLayers(fields, architecture.state, layers, kvHeads, blocks);
  const ownKv = layersWithKv(fields, architecture, blocks);
  const windows = slidingLayers(fields, known, layers);
  const shape = headShapes(fields, architecture, hiddenSize, heads?.[0] ?? 0);
  const isAttending = (layer: number): boolean =>
    architecture.cacheless !== true &&
    layer < ownKv &&
    (kvHeads[layer] ?? 0) > 0 &&
    (hasState[layer] !== true || architecture.state?.layers === 'beside-kv');

  const indices = Array.from({ length: layers }, (_, layer) => layer).filter(isAttending);
  const attending = indices.map((layer): LayerShape => {
    const windowTokens = windows.windowTokens(layer);
    const isSliding = windowTokens !== null;
    return {
      kvHeads: kvHeads[layer] ?? 0,
      ...(isSliding ? shape.sliding : shape.full),
      windowTokens,
      ...(isSliding && windows.chunked ? { chunked: true } : {}),
    };
  });
  if (indices.length > 0 && shape.full.keyDim === 0) {
    fields.reject('attention.key_length', 'is missing and does not follow from the heads');
  }
  const indexed = architecture.indexer === true ? indexerLayers(fields, indices) : [];
  const states = hasState.filter(Boolean).length;
  if (indices.length + states === 0 && architecture.cacheless !== true) {
    fields.reject('attention.head_count_kv', 'leaves no layer with KV');
  }
  return {
    groups: gather([...attending, ...indexed]),
    states:
      architecture.state !== undefined && states > 0
        ? [{ layers: states, ...readState(fields, architecture.state.kind, hiddenSize, heads) }]
        : [],
    heads: heads ?? [],
    headDim: fields.optional('attention.key_length_mla', GGUF_MAX.headDim) ?? shape.full.keyDim,
  };
}

/** The last blocks may guess ahead: they hold KV only in a context of their own, where it is asked for. */
function drafting(fields: GgufFields, blocks: number): number {
  const drafts = fields.nonzero('nextn_predict_layers', GGUF_MAX.layers) ?? 0;
  if (drafts >= blocks) fields.reject('nextn_predict_layers', 'leaves no layer to the model');
  return Math.min(drafts, blocks - 1);
}

function layersWithKv(fields: GgufFields, { sharesKv }: Architecture, blocks: number): number {
  if (sharesKv === undefined) return blocks;
  if (sharesKv !== 'told') return Math.min(sharesKv, blocks);
  return blocks - (fields.nonzero('attention.shared_kv_layers', blocks) ?? 0);
}

function stateLayers(
  fields: GgufFields,
  rule: StateRule | undefined,
  layers: number,
  kvHeads: readonly number[],
  blocks: number,
): readonly boolean[] {
  if (rule === undefined) return [];
  if (rule.layers === 'all' || rule.layers === 'beside-kv') return Array(layers).fill(true);
  const each = Array.from({ length: layers }, (_, layer) => layer);
  if (typeof rule.layers === 'number') {
    const told = fields.raw('attention.recurrent_layers');
    if (told !== null && !Array.isArray(told)) {
      fields.reject('attention.recurrent_layers', 'must be a list with an entry for each layer');
    }
    const interval = fields.optional('full_attention_interval', blocks) ?? rule.layers;
    return (
      fields.flags('attention.recurrent_layers', layers) ??
      each.map((layer) => (layer + 1) % interval !== 0)
    );
  }
  const hasNoKv = each.map((layer) => kvHeads[layer] === 0);
  if (rule.layers === 'no-kv-heads') return hasNoKv;
  const inner = fields.perLayer('feed_forward_length', blocks, GGUF_MAX.intermediateSize) ?? [];
  if (inner.length === 0) fields.reject('feed_forward_length', 'is missing');
  return each.map((layer) => hasNoKv[layer] === true && (inner[layer] ?? 0) === 0);
}

interface HeadShape {
  readonly keyDim: number;
  readonly valueDim: number;
}

/**
 * Latent KV has no values of its own: they are a part of the keys, which are
 * kv_lora_rank + rope wide, of one head (llama-kv-cache.cpp, has_v; before
 * February 2026 llama.cpp kept a copy of that part). Files from before there was
 * such KV have no `key_length_mla`, and plain KV.
 */
function headShapes(
  fields: GgufFields,
  { latent }: Architecture,
  hiddenSize: number,
  firstHeads: number,
): { readonly full: HeadShape; readonly sliding: HeadShape } {
  const derived = firstHeads === 0 ? null : Math.floor(hiddenSize / firstHeads);
  const size = (name: string): number =>
    fields.optional(name, GGUF_MAX.headDim) ?? Math.min(derived ?? 0, GGUF_MAX.headDim);
  const isLatent =
    latent === true &&
    fields.raw('attention.key_length_mla') !== null &&
    fields.raw('attention.value_length_mla') !== null;
  if (isLatent && fields.raw('attention.key_length') === null) {
    fields.reject('attention.key_length', 'is missing, as the width of latent KV');
  }
  const keyDim = size('attention.key_length');
  const valueDim = isLatent ? 0 : size('attention.value_length');
  const keyDimSliding = fields.optional('attention.key_length_swa', GGUF_MAX.headDim);
  const valueDimSliding = fields.optional('attention.value_length_swa', GGUF_MAX.headDim);
  return {
    full: { keyDim, valueDim },
    sliding: {
      keyDim: keyDimSliding ?? keyDim,
      valueDim: isLatent ? 0 : (valueDimSliding ?? valueDim),
    },
  };
}

/** One key of the cache's own type for each token (llama-kv-cache-dsa.cpp). */
function indexerLayers(fields: GgufFields, attending: readonly number[]): readonly LayerShape[] {
  const keyDim = fields.required('attention.indexer.key_length', GGUF_MAX.headDim);
  const first = Math.max(-1, ...attending) + 1;
  const types = 'attention.indexer.types';
  const owns = fields.flags(types, first);
  const isLong = (fields.optional('context_length', GGUF_MAX.contextTokens) ?? 0) >= 2 ** 20;
  if (owns === null && (isLong || fields.raw(types) !== null)) {
    fields.reject(types, 'is missing: some layers may share an indexer');
  }
  return attending
    .filter((layer) => owns?.[layer] !== false)
    .map(() => ({ kvHeads: 1, keyDim, valueDim: 0, windowTokens: null }));
}
