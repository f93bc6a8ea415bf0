/**
 * Fields of architectures whose KV or state is not the plain one. A family that
 * is understood reads those it has; anywhere else they are refused by name: the
 * plain formula is wrong by 2 to 57 times for them, in both directions.
 */
import type { ConfigFields } from './config-fields.ts';
import type { ModelFamily } from './model-family.ts';

/** Rules by which the attention of layers differs; `layer_types` says the same more plainly. */
const RULES_LAYERS =
  /(attn|attention|hybrid|window).*(every|freq|idxs|indices|interval|layers|list|offset|pattern|period|types)/;

const UNUSUAL: readonly (readonly [name: RegExp, meaning: string])[] = [
  [/^is_encoder_decoder$|^cross_(attention|layer)|^add_cross_attention$/, 'cross-attention'],
  [/^kv_lora_rank$/, 'multi-head latent attention'],
  [/^index(er)?_/, 'an attention indexer'],
  [/^(compress|sparse_(attn|attention|index))/, 'compressed or sparse attention'],
  [/^linear_(attn|conv|head|key|num|value)|^layer_group_size$/, 'linear attention'],
  [/^(mamba|ssm|rwkv|lru|n_mamba|conv1d)_/, 'state-space layers'],
  [
    /^(state_size|conv_kernel|conv_L_cache|block_types|hybrid_override_pattern)$/,
    'layers with a state',
  ],
  [/^kv_channels$/, 'a head size under another name than head_dim'],
  [
    /^layers_block_type$|^block_configs$|^per_layer_config$|_heads_per_layer$/,
    'layers that differ',
  ],
  [RULES_LAYERS, 'layers that differ in their attention'],
  [/^attention_window_size$|^swa_/, 'sliding layers of a shape of their own'],
  [/^attention_chunk_size$/, 'chunked attention'],
  [/^num_kv_shared_layers$|^use_cla$|^cla_/, 'KV shared between layers'],
  [/^global_head_dim$|^num_global_key_value_heads$/, 'full layers with heads of their own'],
  [
    /^(num_kv_heads|n_head_kv|multi_query.*|num_attention_groups|num_query_groups)$/,
    'KV heads under another name than num_key_value_heads',
  ],
  [/^use_bidirectional_attention$/, 'attention in both directions'],
  [/^use_mla$/, 'multi-head latent attention'],
];

/** No field is called that: such a name is not worth a look. */
const LONGEST_NAME = 64;
const MAX_LAYERS = 1024;

const READ_EVERYWHERE = /^(_?sliding_window_pattern|max_window_layers|mamba_ssm_dtype)$/;

/** Leaves a problem in `fields` for the first field that the family does not account for. */
export function refuseUnsupported(fields: ConfigFields, family: ModelFamily): void {
  for (const name of fields.names) {
    if (name.length > LONGEST_NAME) continue;
    if (READ_EVERYWHERE.test(name) || family.reads?.test(name) === true) continue;
    const meaning = UNUSUAL.find(([pattern]) => pattern.test(name))?.[1];
    if (meaning !== undefined && isSet(fields, name) && !isMoot(fields, name)) {
      fields.reject(name, `${meaning} is not supported${fields.inFamily}`);
    }
  }
}

/** Other models of a family carry such a field as null, 0, false or an empty list. */
function isSet(fields: ConfigFields, name: string): boolean {
  const value = fields.raw(name);
  const isEmpty = value === '' || (Array.isArray(value) && value.length === 0);
  return value !== null && value !== 0 && value !== false && !isEmpty;
}

/** Fields that change nothing in the file at hand. */
function isMoot(fields: ConfigFields, name: string): boolean {
  // What they rule is listed layer by layer.
  if (RULES_LAYERS.test(name) || name === 'attention_chunk_size') {
    if (Array.isArray(fields.raw('layer_types'))) return true;
  }
  // MiniMax: 1 is full attention, 0 is lightning attention (vLLM: config/model.py).
  if (name === 'attn_type_list') {
    return fields.list(name, MAX_LAYERS)?.every((type) => type === 1) === true;
  }
  // Only a window depends on it, and Gemma 4's does not where it is `vision`.
  if (name !== 'use_bidirectional_attention') return false;
  return fields.raw(name) === 'vision' || fields.raw('sliding_window') === null;
}
