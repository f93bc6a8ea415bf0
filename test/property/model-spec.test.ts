import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import { modelSpecFromConfig } from '../../proxy/memory/models/model-spec.ts';

const PLAIN = {
  ...{ vocab_size: 64, hidden_size: 48, intermediate_size: 32, num_hidden_layers: 4 },
  ...{ num_attention_heads: 6, num_key_value_heads: 2, max_position_embeddings: 64 },
};
const LATENT = { kv_lora_rank: 20, qk_rope_head_dim: 4, qk_nope_head_dim: 6, v_head_dim: 5 };
const DELTA_NET = {
  ...{ head_dim: 10, linear_num_key_heads: 2, linear_num_value_heads: 4 },
  ...{ linear_key_head_dim: 6, linear_value_head_dim: 7, linear_conv_kernel_dim: 4 },
};
const MAMBA = {
  ...{ mamba_n_heads: 8, mamba_n_groups: 2, mamba_d_state: 16, mamba_d_conv: 4, mamba_expand: 2 },
};
const KIMI = {
  ...{ full_attn_layers: [4], kda_layers: [1, 2, 3], num_heads: 2, head_dim: 4 },
  short_conv_kernel_size: 4,
};

/** A sound file of each family that is read in a way of its own. */
const SOUND: readonly (readonly [modelType: string, fields: object])[] = [
  ['llama', { num_local_experts: 8, num_experts_per_tok: 2, v_head_dim: 4 }],
  ['qwen2', { sliding_window: 5, use_sliding_window: true, max_window_layers: 2 }],
  ['qwen2_moe', { sliding_window: 5, use_sliding_window: true, num_key_value_heads: 2 }],
  ['gemma3_text', { sliding_window: 5, sliding_window_pattern: 2 }],
  ['gemma3n_text', { num_kv_shared_layers: 1, intermediate_size: [8, 8, 8, 8] }],
  ['gemma4_text', { global_head_dim: 20, attention_k_eq_v: true, num_global_key_value_heads: 1 }],
  ['llama4_text', { attention_chunk_size: 8, no_rope_layers: [1, 1, 0, 1] }],
  ['deepseek_v3', LATENT],
  ['glm_moe_dsa', { ...LATENT, index_head_dim: 128, index_topk_freq: 2 }],
  ['kimi_linear', { ...LATENT, linear_attn_config: KIMI }],
  ['qwen3_next', { ...DELTA_NET, full_attention_interval: 2 }],
  [
    'nemotron_h',
    {
      ...{ hybrid_override_pattern: 'M-*E', head_dim: 10, ssm_state_size: 16, n_groups: 2 },
      ...{ mamba_num_heads: 8, mamba_head_dim: 12, conv_kernel: 4 },
    },
  ],
  ['bamba', { ...MAMBA, attn_layer_indices: [1] }],
  ['granitemoehybrid', { ...MAMBA, layer_types: ['mamba', 'attention', 'mamba', 'mamba'] }],
  ['jamba', { ...MAMBA, attn_layer_period: 4, attn_layer_offset: 2 }],
  ['falcon_h1', { ...MAMBA, mamba_d_ssm: 64 }],
  ['lfm2', { full_attn_idxs: [1], conv_L_cache: 3 }],
  ['unheard_of', { sliding_window: 5 }],
  ['constructor', {}],
  ['__proto__', {}],
];

const KINDS = [
  ...['full_attention', 'sliding_attention', 'chunked_attention', 'linear_attention', 'mamba'],
  ...['indexed_attention', 'hybrid', 'conv', 'moe', 'mlp', 'unheard_of'],
];
const FIELDS = [
  ...new Set([...Object.keys(PLAIN), ...SOUND.flatMap(([, fields]) => Object.keys(fields))]),
  ...['layer_types', 'layers_block_type', 'indexer_types', 'per_layer_config', 'attn_type_list'],
];
/** At times such as a model has, at times out of range or of another kind. */
const value = fc.oneof(
  fc.integer({ min: 1, max: 16 }),
  fc.integer({ min: -1, max: 2 ** 20 }),
  fc.constantFrom<unknown>(null, 0, 1.5, 2 ** 53, 1e300, '8', 'MM*-', true, [], {}),
  fc.array(fc.constantFrom<unknown>(...KINDS), { minLength: 4, maxLength: 4 }),
  fc.array(fc.constantFrom<unknown>(0, 1, 2, 3, 'full', 'shared'), { maxLength: 5 }),
  fc.dictionary(fc.constantFrom('0', '03', 'head_dim', 'num_heads'), fc.jsonValue()),
  fc.jsonValue(),
);
/** A sound file with up to four fields changed. */
const config = fc
  .tuple(
    fc.constantFrom(...SOUND),
    fc.dictionary(fc.constantFrom(...FIELDS), value, { maxKeys: 4 }),
  )
  .map(([[model_type, fields], changed]) => ({ ...PLAIN, model_type, ...fields, ...changed }));

/** Numbers that sums and products keep their meaning with. */
function expectSaneOrProblem(json: unknown): void {
  const result = modelSpecFromConfig(json, 'config.json');
  if (!result.ok) {
    expect(result.field).not.toBe('');
    expect(result.problem).not.toBe('');
    expect(result.problem.length).toBeLessThan(300);
    return;
  }
  const { groups, states, ...rest } = result.spec;
  for (const group of groups) {
    for (const size of [group.layers, group.kvHeads, group.keyDim]) {
      expect(Number.isSafeInteger(size) && size >= 1).toBe(true);
    }
    expect(Number.isSafeInteger(group.valueDim) && group.valueDim >= 0).toBe(true);
    expect(group.windowTokens === null || group.windowTokens >= 1).toBe(true);
  }
  for (const { layers, convChannels, convKernel, recurrentElements } of states) {
    expect(layers * (convChannels * convKernel + recurrentElements)).toBeGreaterThan(0);
    expect(Number.isSafeInteger(layers * recurrentElements * 8)).toBe(true);
    expect(Number.isSafeInteger(layers * convChannels * convKernel * 8)).toBe(true);
  }
  for (const size of [rest.hiddenSize, rest.queryHeads, rest.headDim, rest.vocabSize]) {
    expect(Number.isSafeInteger(size) && size >= 1).toBe(true);
  }
  expect(rest.intermediateSize).toBeGreaterThanOrEqual(1);
  expect(Number.isFinite(steadyKvBytes(result.spec, rest.contextTokens, 2))).toBe(true);
  // No two groups are alike in all but their layers.
  const shapes = groups.map(({ layers: _, ...shape }) =>
    JSON.stringify(Object.entries(shape).sort()),
  );
  expect(new Set(shapes).size).toBe(shapes.length);
}

describe('a config.json of any kind', () => {
  test('any JSON value', () => {
    fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), expectSaneOrProblem));
  });

  test('fields of models, sound and unsound', () => {
    fc.assert(fc.property(config, expectSaneOrProblem), { numRuns: 1000 });
  });

  test('the same under text_config', () => {
    fc.assert(
      fc.property(config, (text_config) =>
        expectSaneOrProblem({ model_type: 'seer', text_config }),
      ),
    );
  });

  test.each(SOUND)('the sound file of %s is read', (model_type, fields) => {
    const json = { ...PLAIN, model_type, ...fields };
    expect(modelSpecFromConfig(json, 'config.json')).toMatchObject({ ok: true });
  });
});

describe('a name of any kind', () => {
  test('is found or not, and never throws', () => {
    const piece = fc.constantFrom('llama', '-', '3.1', '8b', '/', '_', ':', 'q4_k_m', '.gguf', 'x');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((all) => all.join('')),
        ),
        (name) => {
          const spec = findModel(name);
          expect(spec === null || spec.groups.length > 0).toBe(true);
        },
      ),
    );
  });
});
