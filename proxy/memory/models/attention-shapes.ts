/**
 * The shape in which a model's attention layers hold KV.
 */
import type { ConfigFields } from './config-fields.ts';
import type { LayerKind } from './layer-kinds.ts';
import type { ModelFamily } from './model-family.ts';
import type { LayerGroup } from './model-spec.ts';

export type KvShape = Pick<LayerGroup, 'kvHeads' | 'keyDim' | 'valueDim'>;

export interface AttentionShapes {
  readonly queryHeads: number;
  /** Of a query; the largest where layers differ. */
  readonly headDim: number;
  readonly shapeOf: (kind: LayerKind) => KvShape;
}

const MAX_HEADS = 1024;
const MAX_HEAD_DIM = 4096;
const MAX_HIDDEN = 2 ** 18;
const MAX_LATENT = 2 ** 14;

/** @param kinds of all layers, those that share the KV of others included */
export function attentionShapes(
  fields: ConfigFields,
  family: ModelFamily,
  kinds: readonly LayerKind[],
): AttentionShapes {
  switch (family.attention) {
    case 'latent':
      return latentShapes(fields);
    case 'global':
      return globalShapes(fields, kinds);
    case 'plain':
      return plainShapes(fields);
  }
}

function plainShapes(fields: ConfigFields): AttentionShapes {
  const queryHeads = fields.required('num_attention_heads', MAX_HEADS);
  const headDim = readHeadDim(fields, queryHeads);
  const valueDim = fields.optional('v_head_dim', MAX_HEAD_DIM) ?? headDim;
  const shape = { kvHeads: readKvHeads(fields, queryHeads), keyDim: headDim, valueDim };
  return { queryHeads, headDim, shapeOf: () => shape };
}

/**
 * Multi-head latent attention: one compressed vector of a token and one rotary
 * key serve all heads, which no tensor-parallel rank can split (transformers:
 * modeling_deepseek_v3.py; vLLM: kv_cache_interface.py, MLAAttentionSpec).
 */
function latentShapes(fields: ConfigFields): AttentionShapes {
  const queryHeads = fields.required('num_attention_heads', MAX_HEADS);
  const rotaryDim = fields.required('qk_rope_head_dim', MAX_HEAD_DIM);
  const keyDim = fields.required('kv_lora_rank', MAX_LATENT) + rotaryDim;
  const shape = { kvHeads: 1, keyDim, valueDim: 0 };
  return {
    queryHeads,
    headDim: fields.required('qk_nope_head_dim', MAX_HEAD_DIM) + rotaryDim,
    shapeOf: () => shape,
  };
}

/**
 * Full layers have heads of another size, and another number of them where
 * their values are their keys, which are held twice even so (transformers:
 * Gemma4TextConfig, modeling_gemma4.py; vLLM: models/gemma4.py).
 */
function globalShapes(fields: ConfigFields, kinds: readonly LayerKind[]): AttentionShapes {
  const { queryHeads, headDim, shapeOf } = plainShapes(fields);
  const sliding = shapeOf('sliding');
  const own = fullLayersOverrides(fields, kinds) ?? {
    headDim: fields.required('global_head_dim', MAX_HEAD_DIM),
    kvHeads:
      fields.raw('attention_k_eq_v') === true
        ? fields.optional('num_global_key_value_heads', MAX_HEADS)
        : null,
  };
  const full = {
    kvHeads: own.kvHeads ?? sliding.kvHeads,
    keyDim: own.headDim,
    valueDim: own.headDim,
  };
  return {
    queryHeads,
    headDim: Math.max(headDim, own.headDim),
    shapeOf: (kind) => (kind === 'sliding' ? sliding : full),
  };
}

/**
 * Newer files tell it for each full layer (transformers: configuration_utils.py,
 * `per_layer_config`, keys padded with zeros): they must all tell the same.
 */
function fullLayersOverrides(
  fields: ConfigFields,
  kinds: readonly LayerKind[],
): { readonly headDim: number; readonly kvHeads: number | null } | null {
  const layers = fields.inside('per_layer_config');
  if (layers === null) return null;
  const names = layers.names.slice(0, kinds.length + 1);
  const told = names.map((name) => {
    const one = layers.inside(name);
    if (one?.names.every((known) => /^(head_dim|num_key_value_heads)$/.test(known)) !== true) {
      layers.reject(name, 'must have head_dim and num_key_value_heads alone');
    }
    return {
      layer: Number(name),
      headDim: one?.required('head_dim', MAX_HEAD_DIM) ?? 1,
      kvHeads: one?.optional('num_key_value_heads', MAX_HEADS) ?? null,
    };
  });
  const [first] = told;
  const alike = told.every(
    ({ headDim, kvHeads }) => headDim === first?.headDim && kvHeads === first.kvHeads,
  );
  const full = kinds.flatMap((kind, layer) => (kind === 'full' ? [layer] : []));
  const areFull = new Set(told.map(({ layer }) => layer));
  if (first === undefined || !alike || !sameSet(areFull, full)) {
    fields.reject('per_layer_config', 'must say the same of each full layer and nothing of others');
    return null;
  }
  return first;
}

function sameSet(set: ReadonlySet<number>, values: readonly number[]): boolean {
  return set.size === values.length && values.every((value) => set.has(value));
}

function readKvHeads(fields: ConfigFields, queryHeads: number): number {
  const kvHeads = fields.optional('num_key_value_heads', MAX_HEADS) ?? queryHeads;
  if (kvHeads > queryHeads) {
    fields.reject('num_key_value_heads', 'must not exceed num_attention_heads');
  }
  return kvHeads;
}

/**
 * `head_dim` where the file or its family has it: gpt-oss has 64 where
 * hidden / heads is 45.
 */
function readHeadDim(fields: ConfigFields, queryHeads: number): number {
  const given = fields.optional('head_dim', MAX_HEAD_DIM);
  if (given !== null) return given;
  const derived = fields.required('hidden_size', MAX_HIDDEN) / queryHeads;
  if (!Number.isInteger(derived) || derived > MAX_HEAD_DIM) {
    fields.reject('head_dim', 'is missing and does not follow from hidden_size and heads');
  }
  return derived;
}
