/**
 * Families whose layers all hold KV. Read in the config classes and modeling
 * files of transformers 5.18, and compared with the caches of small models
 * built from them.
 */
import { alternateBefore, byRotary, everyLayer, fullEvery, slidingAfter } from './layer-rules.ts';
import { family, type ModelFamily } from './model-family.ts';

const EVERY_NTH = 'sliding_window_pattern';

/** Set without `use_sliding_window` a window means nothing to these. */
const QWEN2 = family({
  kinds: slidingAfter(28),
  defaults: { use_sliding_window: false, num_key_value_heads: 32 },
});

const QWEN2_VL: ModelFamily = { ...QWEN2, defaults: { ...QWEN2.defaults, num_key_value_heads: 8 } };

const LATENT = family({ attention: 'latent', reads: /^kv_lora_rank$/ });

/** DeepSeek's sparse attention: an indexer chooses the tokens (transformers, vLLM: deepseek_v2.py). */
const INDEXED = family({
  kinds: everyLayer('indexed'),
  more: ['indexed'],
  attention: 'latent',
  reads: /^kv_lora_rank$|^index(er)?_/,
});

export const ATTENTION_FAMILIES: readonly (readonly [modelType: string, family: ModelFamily])[] = [
  ['llama', family({})],
  ['mistral', family({ defaults: { num_key_value_heads: 8, sliding_window: 4096 } })],
  ['ministral', family({ defaults: { num_key_value_heads: 8, sliding_window: 4096 } })],
  ['ministral3', family({ defaults: { num_key_value_heads: 8, head_dim: 128 } })],
  ['mixtral', family({ defaults: { num_key_value_heads: 8 } })],
  ['phimoe', family({ defaults: { num_key_value_heads: 8 } })],
  ['qwen2', QWEN2],
  ['qwen2_vl', QWEN2_VL],
  ['qwen2_vl_text', QWEN2_VL],
  ['qwen2_5_vl', QWEN2_VL],
  ['qwen2_5_vl_text', QWEN2_VL],
  [
    'qwen2_moe',
    {
      ...QWEN2,
      kinds: alternateBefore(28),
      defaults: { ...QWEN2.defaults, num_key_value_heads: 16 },
    },
  ],
  ['qwen3', { ...QWEN2, defaults: { ...QWEN2.defaults, head_dim: 128 } }],
  [
    'qwen3_moe',
    {
      ...QWEN2,
      kinds: everyLayer('sliding'),
      defaults: { ...QWEN2.defaults, num_key_value_heads: 4 },
    },
  ],
  ['qwen3_vl_text', family({ defaults: { head_dim: 128 } })],
  ['olmo3', family({ kinds: fullEvery(4, 'sliding'), defaults: { sliding_window: 4096 } })],
  ['gemma', family({ defaults: { num_key_value_heads: 16, head_dim: 256 } })],
  [
    'gemma2',
    family({
      kinds: fullEvery(2, 'sliding', EVERY_NTH),
      defaults: { num_key_value_heads: 4, head_dim: 256, sliding_window: 4096 },
    }),
  ],
  [
    'gemma3_text',
    family({
      kinds: fullEvery(6, 'sliding', EVERY_NTH),
      // Files of the multimodal sizes leave these out (transformers: Gemma3TextConfig).
      defaults: {
        num_attention_heads: 8,
        num_key_value_heads: 4,
        head_dim: 256,
        sliding_window: 4096,
        vocab_size: 262_208,
        max_position_embeddings: 131_072,
      },
    }),
  ],
  [
    'gemma3n_text',
    family({
      kinds: fullEvery(5, 'sliding'),
      reads: /^num_kv_shared_layers$/,
      defaults: {
        num_key_value_heads: 2,
        head_dim: 256,
        sliding_window: 512,
        num_kv_shared_layers: 15,
      },
    }),
  ],
  [
    'gemma4_text',
    family({
      kinds: fullEvery(6, 'sliding'),
      attention: 'global',
      reads:
        /^num_kv_shared_layers$|^global_head_dim$|^num_global_key_value_heads$|^per_layer_config$/,
      defaults: {
        num_key_value_heads: 4,
        head_dim: 256,
        global_head_dim: 512,
        sliding_window: 512,
        vocab_size: 262_144,
      },
    }),
  ],
  [
    'cohere2',
    family({ kinds: fullEvery(4, 'sliding', EVERY_NTH), defaults: { sliding_window: 4096 } }),
  ],
  [
    'exaone4',
    family({ kinds: fullEvery(4, 'sliding', EVERY_NTH), defaults: { sliding_window: 4096 } }),
  ],
  [
    'gpt_oss',
    family({
      kinds: fullEvery(2, 'sliding'),
      defaults: { num_key_value_heads: 8, head_dim: 64, sliding_window: 128 },
    }),
  ],
  [
    'llama4_text',
    family({
      kinds: byRotary({ rotary: 'chunked', without: 'full' }),
      reads: /^attention_chunk_size$/,
      defaults: { num_key_value_heads: 8, head_dim: 128, attention_chunk_size: 8192 },
    }),
  ],
  [
    'smollm3',
    family({
      kinds: byRotary({ rotary: 'full', without: 'sliding' }),
      defaults: { num_key_value_heads: 4, use_sliding_window: false },
    }),
  ],
  [
    'dots1',
    family({
      kinds: slidingAfter(62),
      defaults: { num_key_value_heads: 32, sliding_window: 4096 },
    }),
  ],
  ['deepseek_v2', LATENT],
  ['deepseek_v3', LATENT],
  // The same model by the name that Moonshot's files have (transformers: Kimi_K25Config).
  ['kimi_k2', LATENT],
  ['glm4_moe_lite', LATENT],
  ['deepseek_v32', INDEXED],
  ['glm_moe_dsa', INDEXED],
  ['glm', family({ defaults: { num_key_value_heads: 2, head_dim: 128 } })],
  ['glm4', family({ defaults: { num_key_value_heads: 2, head_dim: 128 } })],
  ['glm4_moe', family({ defaults: { num_key_value_heads: 8 } })],
  ['minimax_m2', family({ defaults: { num_key_value_heads: 8, head_dim: 128 } })],
  ['seed_oss', family({ defaults: { num_key_value_heads: 8, head_dim: 128 } })],
  ['ernie4_5', family({ defaults: { num_key_value_heads: 2, head_dim: 128 } })],
  ['ernie4_5_moe', family({ defaults: { num_key_value_heads: 4 } })],
  ['starcoder2', family({ defaults: { num_key_value_heads: 2 } })],
];
