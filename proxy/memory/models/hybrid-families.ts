/**
 * Families with layers that keep a state of fixed size: linear attention,
 * state-space layers, short convolutions. Read in the config classes and
 * modeling files of transformers 5.18, and compared with the caches of small
 * models built from them.
 */
import type { FieldDefaults } from './config-fields.ts';
import { patternKinds } from './layer-kinds.ts';
import { everyLayer, fullAt, fullAtPeriod, fullEvery, kimiKinds } from './layer-rules.ts';
import { family, type ModelFamily } from './model-family.ts';
import {
  bambaMamba,
  gatedDeltaNet,
  jambaMamba,
  kimiDelta,
  nemotronMamba,
  shortConvolution,
} from './state-layers.ts';

function deltaNet(
  defaults: FieldDefaults,
  interval: string | undefined = 'full_attention_interval',
) {
  return family({
    kinds: fullEvery(4, 'state', interval),
    more: ['state'],
    states: gatedDeltaNet,
    reads: /^linear_|^full_attention_interval$/,
    defaults,
  });
}

const BAMBA = family({
  kinds: fullAt('attn_layer_indices', 'state', 'state'),
  more: ['state'],
  states: bambaMamba,
  reads: /^mamba_|^attn_layer_indices$|^layers_block_type$/,
  defaults: { num_key_value_heads: 8 },
});

const SHORT_CONVOLUTION = family({
  kinds: fullAt('full_attn_idxs', 'state', 'full'),
  more: ['state'],
  states: shortConvolution,
  reads: /^conv_L_cache$|^full_attn_idxs$/,
  defaults: { num_key_value_heads: 8 },
});

export const HYBRID_FAMILIES: readonly (readonly [modelType: string, family: ModelFamily])[] = [
  ['qwen3_next', deltaNet({ num_key_value_heads: 2, head_dim: 256 })],
  ['qwen3_5_text', deltaNet({ num_key_value_heads: 4, head_dim: 256 })],
  ['qwen3_5_moe_text', deltaNet({ num_key_value_heads: 2, head_dim: 256 })],
  ['olmo_hybrid', deltaNet({}, undefined)],
  [
    'kimi_linear',
    family({
      kinds: kimiKinds,
      more: ['state'],
      attention: 'latent',
      states: kimiDelta,
      reads: /^kv_lora_rank$|^linear_/,
    }),
  ],
  [
    'nemotron_h',
    family({
      kinds: patternKinds,
      more: ['state', 'experts', 'dense'],
      states: nemotronMamba,
      reads:
        /^mamba_|^ssm_state_size$|^conv_kernel$|^hybrid_override_pattern$|^layers_block_type$|^mtp_/,
      defaults: { num_key_value_heads: 8, head_dim: 128 },
    }),
  ],
  ['bamba', BAMBA],
  ['granitemoehybrid', { ...BAMBA, kinds: everyLayer('state'), defaults: {} }],
  [
    'jamba',
    family({
      kinds: fullAtPeriod,
      more: ['state'],
      states: jambaMamba,
      reads: /^mamba_|^attn_layer_|^layers_block_type$/,
      defaults: { num_key_value_heads: 8 },
    }),
  ],
  [
    'falcon_h1',
    family({
      kinds: everyLayer('hybrid'),
      more: ['hybrid'],
      states: bambaMamba,
      reads: /^mamba_|^ssm_|^attn_layer_indices$|^layers_block_type$/,
      defaults: { num_key_value_heads: 8, mamba_d_ssm: 1024 },
    }),
  ],
  ['lfm2', SHORT_CONVOLUTION],
  ['lfm2_moe', SHORT_CONVOLUTION],
];
