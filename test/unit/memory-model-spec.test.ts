import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { UNKNOWN_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import { modelSpecFromConfig } from '../../proxy/memory/models/model-spec.ts';

type Config = Readonly<Record<string, unknown>>;

/** The fields of gpt-oss-20b's config.json that matter here. */
const GPT_OSS_20B: Config = {
  model_type: 'gpt_oss',
  num_hidden_layers: 24,
  layer_types: Array.from({ length: 24 }, (_, layer) =>
    layer % 2 === 0 ? 'sliding_attention' : 'full_attention',
  ),
  sliding_window: 128,
  num_attention_heads: 64,
  num_key_value_heads: 8,
  head_dim: 64,
  hidden_size: 2880,
  intermediate_size: 2880,
  num_local_experts: 32,
  num_experts_per_tok: 4,
  experts_per_token: 4,
  vocab_size: 201_088,
  max_position_embeddings: 131_072,
};

const LLAMA_8B: Config = {
  model_type: 'llama',
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  hidden_size: 4096,
  intermediate_size: 14_336,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
};

function specOf(config: Config) {
  const result = modelSpecFromConfig(config, 'config.json');
  if (!result.ok) throw new Error(`${result.field}: ${result.problem}`);
  return result.spec;
}

/** Layers and window of each group. */
function windowsOf(config: Config) {
  return specOf(config).groups.map((group) => [group.layers, group.windowTokens]);
}

describe('sound files', () => {
  test('gpt-oss-20b reads as the catalog has it', () => {
    const known = findModel('gpt-oss-20b');
    expect(specOf(GPT_OSS_20B)).toEqual({ ...known, id: 'gpt_oss', source: 'config.json' });
  });

  test('a language model nested under text_config', () => {
    const nested = { model_type: 'multimodal', vocab_size: 1, text_config: LLAMA_8B };
    expect(specOf(nested)).toEqual({ ...specOf(LLAMA_8B), media: UNKNOWN_MEDIA });
  });

  test('what the whole file says of media, and not its language model alone', () => {
    const gemma = { model_type: 'gemma3', mm_tokens_per_image: 256, text_config: LLAMA_8B };
    expect(specOf(gemma).media).toMatchObject({ image: 262, audio: 'none' });
    expect(specOf(LLAMA_8B).media.image).toBe('none');
  });

  test('head_dim follows from hidden_size only when it is absent', () => {
    expect(specOf(LLAMA_8B).headDim).toBe(128);
    expect(specOf({ ...LLAMA_8B, head_dim: null }).headDim).toBe(128);
    expect(specOf({ ...LLAMA_8B, head_dim: 256 }).headDim).toBe(256);
  });

  test('without num_key_value_heads every query head has its own', () => {
    const { num_key_value_heads: _, ...rest } = LLAMA_8B;
    expect(specOf(rest).groups[0]?.kvHeads).toBe(32);
  });

  test('values may be of another size than keys', () => {
    expect(specOf({ ...LLAMA_8B, v_head_dim: 64 }).groups[0]).toMatchObject({
      keyDim: 128,
      valueDim: 64,
    });
  });

  test('experts under their other names', () => {
    const qwen = {
      ...LLAMA_8B,
      num_experts: 128,
      num_experts_per_tok: 8,
      moe_intermediate_size: 768,
    };
    expect(specOf(qwen).experts).toEqual({ total: 128, activePerToken: 8, intermediateSize: 768 });
    expect(specOf({ ...LLAMA_8B, num_experts: 0 }).experts).toBeNull();
  });

  test('fields of other architectures that are null, 0 or false do not matter', () => {
    const config = { ...LLAMA_8B, kv_lora_rank: null, num_kv_shared_layers: 0 };
    expect(specOf(config)).toEqual(specOf(LLAMA_8B));
  });
});

describe('sliding windows', () => {
  const windowed = { ...LLAMA_8B, sliding_window: 4096 };
  test.each<[string, Config, (number | null)[][]]>([
    ['none set: all full', LLAMA_8B, [[32, null]]],
    ['null is not set', { ...LLAMA_8B, sliding_window: null }, [[32, null]]],
    ['set without layer_types: all slide', windowed, [[32, 4096]]],
    ['switched off', { ...windowed, use_sliding_window: false }, [[32, null]]],
    [
      'switched off, whatever layer_types says',
      { ...GPT_OSS_20B, use_sliding_window: false },
      [[24, null]],
    ],
    [
      'Qwen2 keeps the first layers full',
      { ...windowed, use_sliding_window: true, max_window_layers: 28 },
      [
        [28, null],
        [4, 4096],
      ],
    ],
    [
      'every sixth layer full by an explicit pattern',
      { ...windowed, sliding_window_pattern: 6 },
      [
        [27, 4096],
        [5, null],
      ],
    ],
    [
      'every second layer full in gemma2, whose file does not say so',
      { ...windowed, model_type: 'gemma2' },
      [
        [16, 4096],
        [16, null],
      ],
    ],
  ])('%s', (_, config, groups) => {
    expect(windowsOf(config)).toEqual(groups);
  });
});

describe('bad files are refused by the name of the field', () => {
  test.each<[string, unknown]>([
    ['(top level)', null],
    ['(top level)', []],
    ['(top level)', 'config'],
    ['num_hidden_layers', {}],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: null }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: 0 }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: -1 }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: 1.5 }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: '32' }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: 1e9 }],
    ['num_hidden_layers', { ...LLAMA_8B, num_hidden_layers: Number.NaN }],
    ['text_config.vocab_size', { text_config: { ...LLAMA_8B, vocab_size: true } }],
    ['text_config', { ...LLAMA_8B, text_config: 'llama' }],
    ['num_attention_heads', { ...LLAMA_8B, num_attention_heads: [32] }],
    ['num_key_value_heads', { ...LLAMA_8B, num_key_value_heads: 64 }],
    ['head_dim', { ...LLAMA_8B, hidden_size: 4100 }],
    ['head_dim', { ...LLAMA_8B, head_dim: 0 }],
    ['hidden_size', { ...LLAMA_8B, hidden_size: undefined }],
    ['vocab_size', { ...LLAMA_8B, vocab_size: Number.POSITIVE_INFINITY }],
    ['max_position_embeddings', { ...LLAMA_8B, max_position_embeddings: 2 ** 53 }],
    ['intermediate_size', { ...LLAMA_8B, intermediate_size: undefined }],
    ['sliding_window', { ...LLAMA_8B, sliding_window: 0 }],
    ['sliding_window', { ...GPT_OSS_20B, sliding_window: null }],
    ['sliding_window_pattern', { ...LLAMA_8B, sliding_window_pattern: 'LLLG' }],
    ['layer_types', { ...GPT_OSS_20B, layer_types: 'full_attention' }],
    ['layer_types', { ...GPT_OSS_20B, layer_types: ['full_attention'] }],
    ['layer_types', { ...LLAMA_8B, layer_types: Array(32).fill('linear_attention') }],
    ['attention_chunk_size', { ...LLAMA_8B, layer_types: Array(32).fill('chunked_attention') }],
    ['layer_types', { ...LLAMA_8B, layer_types: Array(32).fill(7) }],
    ['num_experts_per_tok', { ...LLAMA_8B, num_local_experts: 8 }],
    ['num_experts_per_tok', { ...LLAMA_8B, num_local_experts: 8, num_experts_per_tok: 9 }],
    ['kv_lora_rank', { ...LLAMA_8B, kv_lora_rank: 512 }],
    ['linear_num_key_heads', { ...LLAMA_8B, linear_num_key_heads: 16 }],
    ['full_attention_interval', { ...LLAMA_8B, full_attention_interval: 4 }],
    ['attention_chunk_size', { ...LLAMA_8B, attention_chunk_size: 8192 }],
    ['mamba_num_heads', { ...LLAMA_8B, mamba_num_heads: 128 }],
  ])('%s: %j', (field, config) => {
    const result = modelSpecFromConfig(config, 'config.json');
    expect(result).toMatchObject({ ok: false, field, problem: expect.any(String) });
  });

  test('a name that would break a line is told without', () => {
    const _name_or_path = `evil\n\u001b[31m${'x'.repeat(100_000)}`;
    const result = modelSpecFromConfig({ ...LLAMA_8B, _name_or_path }, 'config.json');
    expect(result.ok && result.spec.id).toMatch(/^evil\?\?\[31mx{190}$/);
  });

  test('a hostile layer kind is shown shortened', () => {
    const layer_types = Array(32).fill('x'.repeat(10_000));
    const result = modelSpecFromConfig({ ...LLAMA_8B, layer_types }, 'config.json');
    expect(result.ok ? '' : result.problem).toMatch(/^"x{59} layers are not supported/);
  });
});
