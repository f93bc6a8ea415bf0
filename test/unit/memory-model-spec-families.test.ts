import { describe, expect, test } from '@jest/globals';
import { type ModelSpec, modelSpecFromConfig } from '../../proxy/memory/models/model-spec.ts';

type Config = Readonly<Record<string, unknown>>;

/** Small models of every family: their caches in transformers 5.18 are what is expected below. */
const BASE: Config = {
  vocab_size: 64,
  hidden_size: 48,
  intermediate_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
};

const LATENT: Config = {
  ...{ num_key_value_heads: 6, kv_lora_rank: 20, q_lora_rank: 10 },
  ...{ qk_rope_head_dim: 4, qk_nope_head_dim: 6, v_head_dim: 5 },
};
const DELTA_NET: Config = {
  ...{ head_dim: 10, linear_num_key_heads: 2, linear_num_value_heads: 4 },
  ...{ linear_key_head_dim: 6, linear_value_head_dim: 7, linear_conv_kernel_dim: 4 },
};
const MAMBA: Config = {
  ...{ mamba_n_heads: 8, mamba_n_groups: 2, mamba_d_state: 16, mamba_d_conv: 4, mamba_expand: 2 },
};

function read(modelType: string | null, config: Config) {
  const named = modelType === null ? {} : { model_type: modelType };
  return modelSpecFromConfig({ ...BASE, ...named, ...config }, 'config.json');
}

function specOf(modelType: string | null, config: Config): ModelSpec {
  const result = read(modelType, config);
  if (!result.ok) throw new Error(`${result.field}: ${result.problem}`);
  return result.spec;
}

/** `layers x kvHeads x keyDim+valueDim`, and the window of those that have one. */
function groupsOf({ groups }: ModelSpec): readonly string[] {
  return groups.map(
    ({ layers, kvHeads, keyDim, valueDim, windowTokens, chunked, packedTokenBytes }) =>
      [
        `${layers} x ${kvHeads} x ${keyDim}+${valueDim}`,
        ...(windowTokens === null ? [] : [`${chunked ? 'chunk' : 'window'} ${windowTokens}`]),
        ...(packedTokenBytes === undefined ? [] : [`packed ${packedTokenBytes}`]),
      ].join(', '),
  );
}

/** `layers x (channels x kernel + recurrent)`. */
function statesOf({ states }: ModelSpec): readonly string[] {
  return states.map(
    ({ layers, convChannels, convKernel, recurrentElements }) =>
      `${layers} x (${convChannels} x ${convKernel} + ${recurrentElements})`,
  );
}

const FULL_AND_SLIDING = ['sliding_attention', 'full_attention'];
const GEMMA_4: Config = {
  ...{ head_dim: 10, global_head_dim: 20, sliding_window: 5, num_global_key_value_heads: 1 },
  layer_types: [...FULL_AND_SLIDING, ...FULL_AND_SLIDING],
};

describe('what layers hold', () => {
  test.each<[string, Config, string[], string[]]>([
    ['qwen3_next', DELTA_NET, ['1 x 2 x 10+10'], ['3 x (52 x 4 + 168)']],
    ['qwen3_5_text', DELTA_NET, ['1 x 2 x 10+10'], ['3 x (52 x 4 + 168)']],
    [
      'qwen3_5_moe_text',
      { ...DELTA_NET, full_attention_interval: 2, mamba_ssm_dtype: 'float32' },
      ['2 x 2 x 10+10'],
      ['2 x (52 x 4 + 168)'],
    ],
    [
      'olmo_hybrid',
      { ...DELTA_NET, head_dim: null, linear_num_key_heads: 4 },
      ['1 x 2 x 8+8'],
      ['3 x (76 x 4 + 168)'],
    ],
    [
      'kimi_linear',
      {
        ...LATENT,
        linear_attn_config: {
          ...{ full_attn_layers: [4], kda_layers: [1, 2, 3] },
          ...{ head_dim: 8, num_heads: 3, short_conv_kernel_size: 4 },
        },
      },
      ['1 x 1 x 24+0'],
      ['3 x (72 x 4 + 192)'],
    ],
    [
      'kimi_linear',
      {
        ...LATENT,
        layer_types: [...Array(3).fill('linear_attention'), 'full_attention'],
        ...{ linear_head_dim: 8, linear_num_heads: 3, linear_conv_kernel_dim: 4 },
      },
      ['1 x 1 x 24+0'],
      ['3 x (72 x 4 + 192)'],
    ],
    ['deepseek_v2', LATENT, ['4 x 1 x 24+0'], []],
    ['deepseek_v3', LATENT, ['4 x 1 x 24+0'], []],
    ['kimi_k2', LATENT, ['4 x 1 x 24+0'], []],
    ['glm4_moe_lite', LATENT, ['4 x 1 x 24+0'], []],
    [
      'deepseek_v32',
      { ...LATENT, index_head_dim: 128, index_n_heads: 2, index_topk: 4 },
      ['4 x 1 x 24+0', '4 x 1 x 128+0, packed 132'],
      [],
    ],
    [
      'glm_moe_dsa',
      { ...LATENT, index_head_dim: 128, indexer_types: ['full', 'full', 'shared', 'full'] },
      ['4 x 1 x 24+0', '3 x 1 x 128+0, packed 132'],
      [],
    ],
    [
      'glm_moe_dsa',
      { ...LATENT, index_head_dim: 128, index_topk_pattern: 'FSSS' },
      ['4 x 1 x 24+0', '1 x 1 x 128+0, packed 132'],
      [],
    ],
    [
      'glm_moe_dsa',
      { ...LATENT, index_head_dim: 128, index_topk_freq: 2, index_skip_topk_offset: 1 },
      ['4 x 1 x 24+0', '2 x 1 x 128+0, packed 132'],
      [],
    ],
    [
      'nemotron_h',
      {
        ...{ hybrid_override_pattern: 'M-*E', head_dim: 10, ssm_state_size: 16, n_groups: 2 },
        ...{ mamba_num_heads: 8, mamba_head_dim: 12, conv_kernel: 4, mamba_hidden_act: 'silu' },
      },
      ['1 x 2 x 10+10'],
      ['1 x (160 x 4 + 1536)'],
    ],
    [
      'nemotron_h',
      {
        ...{ num_hidden_layers: undefined, head_dim: 10, ssm_state_size: 16, n_groups: 2 },
        ...{ mamba_num_heads: 8, mamba_head_dim: 12, conv_kernel: 4 },
        layers_block_type: ['mamba', 'mlp', 'attention', 'moe', 'mamba'],
      },
      ['1 x 2 x 10+10'],
      ['2 x (160 x 4 + 1536)'],
    ],
    ['bamba', { ...MAMBA, attn_layer_indices: [1] }, ['1 x 2 x 8+8'], ['3 x (160 x 4 + 1536)']],
    [
      'granitemoehybrid',
      { ...MAMBA, mamba_d_head: 'auto', layer_types: ['mamba', 'mamba', 'attention', 'mamba'] },
      ['1 x 2 x 8+8'],
      ['3 x (160 x 4 + 1536)'],
    ],
    [
      'jamba',
      {
        ...{ attn_layer_period: 4, attn_layer_offset: 2 },
        ...{ mamba_d_state: 5, mamba_d_conv: 4, mamba_expand: 2 },
      },
      ['1 x 2 x 8+8'],
      ['3 x (96 x 4 + 480)'],
    ],
    [
      'falcon_h1',
      { ...MAMBA, mamba_d_ssm: 64, mamba_d_head: 8 },
      ['4 x 2 x 8+8'],
      ['4 x (128 x 4 + 1024)'],
    ],
    ['lfm2', { full_attn_idxs: [1], conv_L_cache: 3 }, ['1 x 2 x 8+8'], ['3 x (48 x 3 + 0)']],
    [
      'lfm2_moe',
      { layer_types: ['conv', 'full_attention', 'conv', 'conv'], conv_L_cache: 3 },
      ['1 x 2 x 8+8'],
      ['3 x (48 x 3 + 0)'],
    ],
    [
      'llama4_text',
      { head_dim: 10, attention_chunk_size: 8, no_rope_layers: [] },
      ['3 x 2 x 10+10, chunk 8', '1 x 2 x 10+10'],
      [],
    ],
    [
      'llama4_text',
      { head_dim: 10, attention_chunk_size: 8, no_rope_layers: [0, 1, 0, 1] },
      ['2 x 2 x 10+10', '2 x 2 x 10+10, chunk 8'],
      [],
    ],
    [
      'gemma3n_text',
      {
        ...{ head_dim: 10, num_kv_shared_layers: 2, sliding_window: 5, intermediate_size: [8, 32] },
        layer_types: [...FULL_AND_SLIDING, ...FULL_AND_SLIDING],
      },
      ['1 x 2 x 10+10, window 5', '1 x 2 x 10+10'],
      [],
    ],
    [
      'gemma4_text',
      { ...GEMMA_4, attention_k_eq_v: true },
      ['2 x 2 x 10+10, window 5', '2 x 1 x 20+20'],
      [],
    ],
    [
      'gemma4_text',
      { ...GEMMA_4, num_kv_shared_layers: 2, use_bidirectional_attention: 'vision' },
      ['1 x 2 x 10+10, window 5', '1 x 2 x 20+20'],
      [],
    ],
    [
      'gemma4_text',
      {
        ...{ head_dim: 10, sliding_window: 5, layer_types: GEMMA_4.layer_types },
        per_layer_config: {
          '01': { head_dim: 20, num_key_value_heads: 1 },
          '03': { head_dim: 20, num_key_value_heads: 1 },
        },
      },
      ['2 x 2 x 10+10, window 5', '2 x 1 x 20+20'],
      [],
    ],
    [
      'gemma4_text',
      { head_dim: 10, sliding_window: 5, layer_types: Array(4).fill('sliding_attention') },
      ['3 x 2 x 10+10, window 5', '1 x 2 x 512+512'],
      [],
    ],
    [
      'gemma3_text',
      { head_dim: 10, sliding_window: 5, sliding_window_pattern: 2 },
      ['2 x 2 x 10+10, window 5', '2 x 2 x 10+10'],
      [],
    ],
    ['cohere2', { sliding_window: 5 }, ['3 x 2 x 8+8, window 5', '1 x 2 x 8+8'], []],
    [
      'gpt_oss',
      { head_dim: 10, sliding_window: 5 },
      ['2 x 2 x 10+10, window 5', '2 x 2 x 10+10'],
      [],
    ],
    [
      'qwen2',
      { sliding_window: 5, use_sliding_window: true, max_window_layers: 2 },
      ['2 x 2 x 8+8', '2 x 2 x 8+8, window 5'],
      [],
    ],
    [
      'qwen2_moe',
      { sliding_window: 5, use_sliding_window: true, max_window_layers: 3 },
      ['2 x 2 x 8+8, window 5', '2 x 2 x 8+8'],
      [],
    ],
    [
      'qwen3_moe',
      { head_dim: 10, sliding_window: 5, use_sliding_window: true, max_window_layers: 2 },
      ['4 x 2 x 10+10, window 5'],
      [],
    ],
    ['phi3', { sliding_window: 5 }, ['4 x 2 x 8+8, window 5'], []],
    ['minimax_m2', { head_dim: 10, attn_type_list: [1, 1, 1, 1] }, ['4 x 2 x 10+10'], []],
    ['glm4_moe', { head_dim: 10 }, ['4 x 2 x 10+10'], []],
    [
      'afmoe',
      {
        ...{ head_dim: 10, sliding_window: 5, global_attn_every_n_layers: 4 },
        layer_types: [...Array(3).fill('sliding_attention'), 'full_attention'],
      },
      ['3 x 2 x 10+10, window 5', '1 x 2 x 10+10'],
      [],
    ],
  ])('%s %#', (modelType, config, groups, states) => {
    const spec = specOf(modelType, config);
    expect(groupsOf(spec)).toEqual(groups);
    expect(statesOf(spec)).toEqual(states);
  });
});

describe('what files leave out', () => {
  test.each<[string, Config, number]>([
    ['qwen3', {}, 128],
    ['gemma', {}, 256],
    ['gemma2', {}, 256],
    ['seed_oss', {}, 128],
    ['nemotron_h', { hybrid_override_pattern: '****' }, 128],
    ['llama', {}, 8],
    ['qwen3', { head_dim: null }, 8],
    ['unheard_of', {}, 8],
  ])('%s %j: head size %i', (modelType, config, headDim) => {
    const spec = specOf(modelType, { num_attention_heads: 6, ...config });
    expect(spec.headDim).toBe(headDim);
  });

  test.each<[string, Config, number]>([
    ['mistral', { num_attention_heads: 12, hidden_size: 96 }, 8],
    ['mistral', { num_key_value_heads: null }, 6],
    ['llama', {}, 6],
    ['gemma2', {}, 4],
  ])('%s %j: %i KV heads', (modelType, config, kvHeads) => {
    const { num_key_value_heads: _, ...base } = BASE;
    const result = modelSpecFromConfig({ ...base, model_type: modelType, ...config }, 'x');
    expect(result.ok && result.spec.groups[0]?.kvHeads).toBe(kvHeads);
  });

  test.each<[string, Config, string[]]>([
    ['mistral', {}, ['4 x 2 x 8+8, window 4096']],
    ['mistral', { sliding_window: null }, ['4 x 2 x 8+8']],
    ['qwen2', { sliding_window: 32 }, ['4 x 2 x 8+8']],
    ['qwen3', { sliding_window: 32, head_dim: 8 }, ['4 x 2 x 8+8']],
    ['llama4_text', { head_dim: 8 }, ['3 x 2 x 8+8, chunk 8192', '1 x 2 x 8+8']],
    ['smollm3', { sliding_window: 32 }, ['4 x 2 x 8+8']],
    [
      'smollm3',
      { sliding_window: 32, use_sliding_window: true },
      ['3 x 2 x 8+8', '1 x 2 x 8+8, window 32'],
    ],
  ])('%s %j: its window is that of its class', (modelType, config, groups) => {
    expect(groupsOf(specOf(modelType, config))).toEqual(groups);
  });

  test('Gemma 3 leaves out its heads and its vocabulary', () => {
    const config = {
      model_type: 'gemma3',
      text_config: {
        ...{ model_type: 'gemma3_text', hidden_size: 2560, intermediate_size: 10_240 },
        ...{ num_hidden_layers: 34, sliding_window: 1024 },
      },
    };
    const result = modelSpecFromConfig(config, 'config.json');
    expect(result.ok && result.spec).toMatchObject({
      queryHeads: 8,
      headDim: 256,
      vocabSize: 262_208,
      contextTokens: 131_072,
    });
    expect(result.ok && groupsOf(result.spec)).toEqual([
      '29 x 4 x 256+256, window 1024',
      '5 x 4 x 256+256',
    ]);
  });
});

describe('where the language model is', () => {
  test.each(['text_config', 'llm_config', 'language_config'])('%s', (name) => {
    const config = { model_type: 'seer', [name]: { ...BASE, model_type: 'qwen2' } };
    const result = modelSpecFromConfig(config, 'config.json');
    expect(result.ok && groupsOf(result.spec)).toEqual(['4 x 2 x 8+8']);
  });

  test('a part without a family of its own goes by that of the whole', () => {
    const config = { model_type: 'llama4', text_config: { ...BASE, head_dim: 10 } };
    const result = modelSpecFromConfig(config, 'config.json');
    expect(result.ok && groupsOf(result.spec)).toEqual([
      '3 x 2 x 10+10, chunk 8192',
      '1 x 2 x 10+10',
    ]);
  });

  test('its fields are named where they are', () => {
    const config = { language_config: { ...BASE, vocab_size: '64' } };
    expect(modelSpecFromConfig(config, 'x')).toMatchObject({ field: 'language_config.vocab_size' });
  });
});

describe('feed-forward layers', () => {
  test.each<[string, Config, object | null]>([
    [
      'kimi_linear',
      {
        ...LATENT,
        linear_attn_config: { full_attn_layers: [1, 2, 3, 4], kda_layers: [] },
        ...{ num_experts: 8, num_experts_per_token: 2, moe_intermediate_size: 16 },
      },
      { total: 8, activePerToken: 2, intermediateSize: 16 },
    ],
    [
      'gemma4_text',
      { ...GEMMA_4, num_experts: 8, top_k_experts: 2, moe_intermediate_size: 16 },
      { total: 8, activePerToken: 2, intermediateSize: 16 },
    ],
    ['nemotron_h', { hybrid_override_pattern: '*-', n_routed_experts: 8 }, null],
    [
      'nemotron_h',
      { hybrid_override_pattern: '*E', n_routed_experts: 8, num_experts_per_tok: 2 },
      { total: 8, activePerToken: 2, intermediateSize: 32 },
    ],
  ])('%s: %#', (modelType, config, experts) => {
    expect(specOf(modelType, config).experts).toEqual(experts);
  });

  test('queries of latent attention have both their parts', () => {
    expect(specOf('deepseek_v3', LATENT)).toMatchObject({ queryHeads: 6, headDim: 10 });
  });
});

describe('what is not understood is refused by its field', () => {
  test.each<[string, string | null, Config]>([
    ['kv_lora_rank', 'minicpm3', LATENT],
    ['kv_lora_rank', null, LATENT],
    ['kv_lora_rank', 'deepseek_v3', { ...LATENT, kv_lora_rank: null }],
    ['qk_nope_head_dim', 'deepseek_v3', { ...LATENT, qk_nope_head_dim: null }],
    ['index_head_dim', 'deepseek_v3', { ...LATENT, index_head_dim: 128 }],
    ['index_head_dim', 'deepseek_v32', LATENT],
    ['indexer_types', 'glm_moe_dsa', { ...LATENT, index_head_dim: 128, indexer_types: ['full'] }],
    ['indexer_types', 'glm_moe_dsa', { ...LATENT, index_head_dim: 128, indexer_types: 'half' }],
    [
      'indexer_types',
      'glm_moe_dsa',
      { ...LATENT, index_head_dim: 128, indexer_types: { toString: 1 } },
    ],
    ['compress_ratios', 'deepseek_v4', { compress_ratios: [0, 4, 128, 4] }],
    ['layer_types', 'deepseek_v4', { layer_types: Array(4).fill('compressed_sparse_attention') }],
    ['layer_types', 'minimax', { layer_types: Array(4).fill('linear_attention') }],
    ['layer_types', 'llama', { layer_types: Array(4).fill('indexed_attention') }],
    ['layer_types', 'qwen3_next', { ...DELTA_NET, layer_types: Array(4).fill('hybrid') }],
    ['layer_types', 'zaya', { layer_types: Array(4).fill('hybrid_sliding') }],
    ['attn_type_list', 'minimax_text_01', { attn_type_list: [0, 0, 0, 1] }],
    ['linear_num_key_heads', 'unheard_of', DELTA_NET],
    ['linear_num_value_heads', 'qwen3_next', { ...DELTA_NET, linear_num_value_heads: null }],
    ['linear_attn_config', 'kimi_linear', LATENT],
    [
      'linear_attn_config.kda_layers',
      'kimi_linear',
      { ...LATENT, linear_attn_config: { full_attn_layers: [1, 2, 3, 4], kda_layers: [4] } },
    ],
    [
      'linear_attn_config.kda_layers',
      'kimi_linear',
      { ...LATENT, linear_attn_config: { full_attn_layers: [1, 2, 3], kda_layers: [5] } },
    ],
    ['hybrid_override_pattern', 'nemotron_h', { hybrid_override_pattern: 'M-X' }],
    ['hybrid_override_pattern', 'nemotron_h', { hybrid_override_pattern: 'M'.repeat(100_000) }],
    ['hybrid_override_pattern', 'nemotron_h', {}],
    ['mamba_num_heads', 'nemotron_h', { hybrid_override_pattern: 'MM' }],
    ['mamba_d_head', 'bamba', { ...MAMBA, mamba_d_head: 7 }],
    ['attn_layer_indices', 'bamba', { ...MAMBA, attn_layer_indices: [4] }],
    ['attn_layer_offset', 'jamba', { attn_layer_period: 4, attn_layer_offset: 4 }],
    ['n_mamba_heads', 'zamba2', { n_mamba_heads: 8 }],
    ['state_size', 'mamba', { state_size: 16 }],
    ['attention_chunk_size', 'unheard_of', { attention_chunk_size: 8 }],
    ['attention_chunk_size', 'llama4_text', { head_dim: 8, attention_chunk_size: null }],
    ['no_rope_layers', 'llama4_text', { head_dim: 8, no_rope_layers: [1] }],
    ['num_kv_shared_layers', 'llama', { num_kv_shared_layers: 2 }],
    ['num_kv_shared_layers', 'gemma4_text', { ...GEMMA_4, num_kv_shared_layers: 4 }],
    ['global_head_dim', 'gemma3_text', { global_head_dim: 20 }],
    ['per_layer_config', 'llama', { per_layer_config: { '0': { head_dim: 4 } } }],
    ['per_layer_config', 'gemma4_text', { ...GEMMA_4, per_layer_config: {} }],
    [
      'per_layer_config',
      'gemma4_text',
      { ...GEMMA_4, per_layer_config: { '1': { head_dim: 20 }, '3': { head_dim: 24 } } },
    ],
    [
      'per_layer_config.0',
      'gemma4_text',
      { ...GEMMA_4, per_layer_config: { '0': { sliding_window: 7 } } },
    ],
    ['use_bidirectional_attention', 'gemma3_text', { use_bidirectional_attention: true }],
    ['attention_layers', 'gpt_neo', { attention_layers: ['global', 'local', 'global', 'local'] }],
    ['swa_head_dim', 'mimo_v2_flash', { swa_head_dim: 10 }],
    ['num_attention_groups', 'step3_text', { num_attention_groups: 1 }],
    ['multi_query', 'falcon', { multi_query: true }],
    ['kv_channels', 'jetmoe', { kv_channels: 128 }],
    ['num_key_value_heads_per_layer', 'llama', { num_key_value_heads_per_layer: [4, 4, 2, 4] }],
    ['layer_group_size', 'bailing_moe_linear', { layer_group_size: 5 }],
    ['use_cla', 'hunyuan', { use_cla: true }],
    ['is_encoder_decoder', 't5', { is_encoder_decoder: true }],
    ['cross_attention_layers', 'mllama_text_model', { cross_attention_layers: [3] }],
    ['head_dim', 'glm4_moe', { num_attention_heads: 7, num_key_value_heads: 1 }],
    ['intermediate_size', 'gemma3n_text', { num_kv_shared_layers: 0, intermediate_size: [8, '9'] }],
  ])('%s in %s %#', (field, modelType, config) => {
    const result = read(modelType, config);
    expect(result).toMatchObject({ ok: false, field, problem: expect.stringMatching(/./) });
  });

  test('a field that others of the family have unset does not matter', () => {
    const unset = { attn_layer_indices: null, cross_attention_layers: [], swa_rope: false };
    expect(specOf('llama', unset)).toEqual(specOf('llama', {}));
  });

  test('names of hostile length are passed over at once', () => {
    const config = { ['attn'.repeat(250_000)]: true };
    expect(specOf('llama', config)).toEqual(specOf('llama', {}));
  });
});
