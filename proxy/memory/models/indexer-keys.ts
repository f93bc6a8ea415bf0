/**
 * The keys that an attention indexer holds beside the KV of its layer.
 */
import type { KvShape } from './attention-shapes.ts';
import type { ConfigFields } from './config-fields.ts';

const MAX_KEY_DIM = 4096;

/**
 * The keys of a layer's indexer. vLLM holds them in fp8 with a 4-byte scale
 * for each 128 (models/deepseek_v2.py), transformers in the model's type.
 */
export function indexerShape(
  fields: ConfigFields,
): KvShape & { readonly packedTokenBytes: number } {
  const keyDim = fields.required('index_head_dim', MAX_KEY_DIM);
  return {
    kvHeads: 1,
    keyDim,
    valueDim: 0,
    packedTokenBytes: keyDim + 4 * Math.floor(keyDim / 128),
  };
}

/**
 * Whether a layer has an indexer of its own, or takes the choice of one before
 * it and holds no keys for it (transformers: GlmMoeDsaConfig; vLLM:
 * models/deepseek_v2.py).
 */
export function indexerRule(fields: ConfigFields, layers: number): (layer: number) => boolean {
  const own = new Set<unknown>(['full', 'F']);
  const known = new Set<unknown>([...own, 'shared', 'S']);
  for (const name of ['indexer_types', 'index_topk_pattern']) {
    const value = fields.raw(name);
    if (value === null) continue;
    const letters = typeof value === 'string' ? value.slice(0, layers + 1) : '';
    const types: readonly unknown[] = Array.isArray(value) ? value : [...letters];
    if (types.length !== layers || !types.every((type) => known.has(type))) {
      fields.reject(name, `must say full or shared for each of ${layers} layers`);
    }
    return (layer) => own.has(types[layer]);
  }
  const every = fields.optional('index_topk_freq', layers) ?? 1;
  const offset =
    fields.raw('index_skip_topk_offset') === 0
      ? 0
      : (fields.optional('index_skip_topk_offset', layers) ?? 2);
  return (layer) => Math.max(layer - offset + 1, 0) % every === 0;
}
