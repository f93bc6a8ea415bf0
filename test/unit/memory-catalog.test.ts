import { describe, expect, test } from '@jest/globals';
import { CATALOG_IDS, findModel } from '../../proxy/memory/catalog/catalog.ts';
import { steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { knownModel } from '../support/known-model.ts';

/** bf16 bytes that one token adds to the layers that keep all of them. */
function growingBytes({ groups }: ModelSpec): number {
  return groups
    .filter((group) => group.windowTokens === null && group.packedTokenBytes === undefined)
    .reduce(
      (sum, group) => sum + 2 * group.layers * group.kvHeads * (group.keyDim + group.valueDim),
      0,
    );
}

/** bf16 bytes of a token in the layers that keep a window, and the windows. */
function boundedBytes({
  groups,
}: ModelSpec): readonly (readonly [bytes: number, window: number])[] {
  return groups.flatMap(({ layers, kvHeads, keyDim, valueDim, windowTokens }) =>
    windowTokens === null ? [] : [[2 * layers * kvHeads * (keyDim + valueDim), windowTokens]],
  );
}

describe('findModel', () => {
  test.each([
    ['openai/gpt-oss-20b', 'gpt-oss-20b'],
    ['gpt-oss-20b-mxfp4.gguf', 'gpt-oss-20b'],
    ['ggml-org/gpt-oss-20b-GGUF:Q8_0', 'gpt-oss-20b'],
    ['gpt-oss:20b', 'gpt-oss-20b'],
    ['GPT_OSS_20B', 'gpt-oss-20b'],
    ['/models/gpt-oss-120b', 'gpt-oss-120b'],
    ['C:\\models\\gpt-oss-120b\\model.gguf', 'gpt-oss-120b'],
    ['/models/gpt-oss-120b/draft/gpt-oss-20b.gguf', 'gpt-oss-20b'],
    ['openai_gpt-oss-20b-MXFP4.gguf', 'gpt-oss-20b'],
    ['/models/gpt-oss-20b/Qwen3-8B-Q4_K_M.gguf', 'qwen3-8b'],
    ['/srv/gpt-oss-120b-F16-00001-of-00002.gguf', 'gpt-oss-120b'],
    ['arliai/gpt-oss-20b-uncensored', 'gpt-oss-20b'],
    ['meta-llama/Llama-3.1-8B-Instruct', 'llama-3.1-8b'],
    ['meta-llama/Meta-Llama-3-8B', 'llama-3-8b'],
    ['Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf', 'llama-3.1-8b'],
    ['Meta-Llama-3.1-8B-Instruct.Q4_K_M.gguf', 'llama-3.1-8b'],
    ['meta-llama_Meta-Llama-3.1-8B-Instruct-GGUF', 'llama-3.1-8b'],
    ['llama3.1:8b', 'llama-3.1-8b'],
    ['llama3.1:8b-instruct-q8_0', 'llama-3.1-8b'],
    ['llama3:8b', 'llama-3-8b'],
    ['RedHatAI/Llama-3.3-70B-Instruct-quantized.w4a16', 'llama-3.3-70b'],
    ['meta-llama_Llama-3.3-70B-Instruct-IQ2_XXS.gguf', 'llama-3.3-70b'],
    ['llama3.2:3b', 'llama-3.2-3b'],
    [
      '/root/.cache/huggingface/hub/models--meta-llama--Llama-3.2-1B/snapshots/4e20de362430cd3b72f300e6b0f18e50e7166e08',
      'llama-3.2-1b',
    ],
    ['meta-llama/Llama-4-Scout-17B-16E-Instruct', 'llama-4-scout'],
    ['Qwen/Qwen2.5-7B-Instruct-AWQ', 'qwen2.5-7b'],
    ['qwen2.5-coder:32b', 'qwen2.5-32b'],
    ['Qwen/Qwen3-8B-FP8', 'qwen3-8b'],
    ['Qwen_Qwen3-8B-Q4_K_M.gguf', 'qwen3-8b'],
    ['Qwen/Qwen3-4B-Thinking-2507', 'qwen3-4b-2507'],
    ['unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF', 'qwen3-30b-a3b-2507'],
    ['/srv/Qwen3-235B-A22B-UD-Q4_K_XL-00001-of-00003.gguf', 'qwen3-235b-a22b'],
    ['Qwen/Qwen3-Next-80B-A3B-Instruct', 'qwen3-next-80b-a3b'],
    ['mistralai/Mistral-7B-Instruct-v0.1', 'mistral-7b-v0.1'],
    ['mistralai/Mistral-7B-Instruct-v0.3', 'mistral-7b-v0.3'],
    ['mixtral:8x7b', 'mixtral-8x7b'],
    ['mistralai/Mixtral-8x7B-Instruct-v0.1', 'mixtral-8x7b'],
    ['google/gemma-2-9b-it', 'gemma-2-9b'],
    ['gemma3:27b', 'gemma-3-27b'],
    ['google/gemma-4-31B-it', 'gemma-4-31b'],
    ['microsoft/phi-4', 'phi-4'],
    ['deepseek-ai/DeepSeek-V3', 'deepseek-v3'],
    ['deepseek-r1:671b', 'deepseek-r1'],
    ['deepseek-ai/DeepSeek-R1', 'deepseek-r1'],
    ['DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf', 'deepseek-r1'],
    ['deepseek-ai/DeepSeek-R1-Distill-Llama-8B', 'deepseek-r1-distill-llama-8b'],
    ['zai-org/GLM-4.5-Air-FP8', 'glm-4.5-air'],
    ['moonshotai/Kimi-K2-Instruct', 'kimi-k2'],
    ['MiniMaxAI/MiniMax-M2', 'minimax-m2'],
    ['/models/Llama-3.1-8B-Instruct/model-00001-of-00004.safetensors', 'llama-3.1-8b'],
  ])('%s is %s', (name, id) => {
    expect(findModel(name)?.id).toBe(id);
  });

  test.each([
    '',
    '/',
    'gpt-oss',
    'gpt-oss-2b',
    'gpt-oss-20',
    'gpt-oss-20bit',
    'gpt-oss-220b',
    'llama-20b',
    'mygpt-oss-20b',
    'Qwen3-8B-gpt-oss-120b-distill',
    'RedHatAI/gpt-oss-20b-speculator.eagle3',
    'lmsys/EAGLE3-gpt-oss-120b-bf16',
    'gpt-oss-120b-REAP-58B',
    'llama3.1',
    'llama-3.1',
    'deepseek-ai/DeepSeek-R1-Distill-Qwen-7B',
    'deepseek-r1:7b',
    // In Ollama's library that is a small one.
    'deepseek-r1:latest',
    'deepseek-ai/DeepSeek-R1-0528-Qwen3-8B',
    'RedHatAI/Qwen3-8B-speculator.eagle3',
    'togethercomputer/Llama-2-7B-32K-Instruct',
    'cerebras/Qwen3-Coder-REAP-363B-A35B-FP8',
    'microsoft/Phi-3.5-vision-instruct',
    'google/gemma-3-270m-it',
    '/models/gemma-3-27b-it/mmproj-F16.gguf',
    'deepseek-ai/DeepSeek-V3.1',
    'yuhuili/EAGLE-LLaMA3.1-Instruct-8B',
    'my-llama-3.1-8b-pruned',
    'nvidia/Llama-3.1-Nemotron-51B-Instruct',
    'Llama-3.1-8B-Instruct-pruned',
    'Llama-3.1-8B-vision',
    'Qwen/Qwen2.5-VL-7B-Instruct',
    'Qwen/Qwen2.5-7B-Instruct-1M',
    'Qwen/Qwen3-4B-Instruct-2508',
    'Qwen/Qwen3-8B-MoE',
    'Qwen/Qwen3-VL-8B-Instruct',
    'mistral-7b',
    'mistralai/Mistral-7B-v0.10',
    'google/gemma-3n-E4B-it',
    'zai-org/GLM-4.5',
    'zai-org/GLM-5.1',
    'moonshotai/Kimi-K2.5',
    'MiniMaxAI/MiniMax-M2.1',
    'microsoft/Phi-4-mini-instruct',
    '/models/Llama-3.1-8B-Instruct/draft.gguf',
    '/models/Llama-3.1-8B/finetuned',
  ])('%p is not guessed', (name) => {
    expect(findModel(name)).toBeNull();
  });

  test.each(['gpt-oss-', 'llama-3.1-8b-', 'a/', '-q4-k', '--'])(
    'a very long name of %p is answered at once',
    (piece) => {
      expect(findModel(piece.repeat(20_000))).toBeNull();
    },
  );

  test.each([
    ['gpt-oss-20b', 24, 32],
    ['gpt-oss-120b', 36, 128],
  ])('%s: half of %i layers slide, %i experts', (name, layers, experts) => {
    expect(findModel(name)).toMatchObject({
      groups: [
        { layers: layers / 2, kvHeads: 8, keyDim: 64, valueDim: 64, windowTokens: 128 },
        { layers: layers / 2, kvHeads: 8, keyDim: 64, valueDim: 64, windowTokens: null },
      ],
      states: [],
      hiddenSize: 2880,
      queryHeads: 64,
      headDim: 64,
      vocabSize: 201_088,
      contextTokens: 131_072,
      experts: { total: experts, activePerToken: 4, intermediateSize: 2880 },
      intermediateSize: 2880,
      media: { image: 'none', audio: 'none', video: 'none', file: 'none' },
      tokenizer: 'o200k_harmony',
      source: 'openai/gpt-oss gpt_oss/torch/model.py; transformers configuration_gpt_oss.py',
    });
  });
});

describe('rows', () => {
  const NAMES: Readonly<Record<string, string>> = {
    'llama-4-scout': 'llama-4-scout-17b-16e',
    'llama-4-maverick': 'llama-4-maverick-17b-128e',
    'mistral-nemo-12b': 'mistral-nemo-base-2407',
    'qwen3-4b-2507': 'qwen3-4b-instruct-2507',
    'qwen3-30b-a3b-2507': 'qwen3-30b-a3b-instruct-2507',
    'qwen3-235b-a22b-2507': 'qwen3-235b-a22b-instruct-2507',
    'kimi-k2': 'kimi-k2-base',
  };

  test.each(CATALOG_IDS.map((id) => [id]))('%s reads, under its own name alone', (id) => {
    const spec = knownModel(NAMES[id] ?? id);
    expect(spec.id).toBe(id);
    expect(spec.source).toMatch(/\w+\/\w+|transformers/);
    expect(spec.groups.length).toBeGreaterThan(0);
    expect(steadyKvBytes(spec, spec.contextTokens, 2)).toBeGreaterThan(0);
  });

  test('ids are told apart', () => {
    expect(new Set(CATALOG_IDS).size).toBe(CATALOG_IDS.length);
  });

  /** bf16, as published: bytes that each token adds, and those that windows bound. */
  test.each<[string, number, [number, number][]]>([
    ['gpt-oss-20b', 24_576, [[24_576, 128]]],
    ['gpt-oss-120b', 36_864, [[36_864, 128]]],
    ['llama-3.1-8b', 131_072, []],
    ['llama-3.1-70b', 327_680, []],
    ['llama-4-scout-17b-16e', 49_152, [[147_456, 8192]]],
    ['qwen2.5-7b', 57_344, []],
    ['qwen2.5-72b', 327_680, []],
    ['qwen3-8b', 147_456, []],
    ['qwen3-32b', 262_144, []],
    ['qwen3-30b-a3b', 98_304, []],
    ['qwen3-235b-a22b', 192_512, []],
    ['qwen3-next-80b-a3b', 24_576, []],
    ['qwen3.5-35b-a3b', 20_480, []],
    ['mistral-7b-v0.1', 0, [[131_072, 4096]]],
    ['mistral-7b-v0.3', 131_072, []],
    ['mixtral-8x7b', 131_072, []],
    ['gemma-2-9b', 172_032, [[172_032, 4096]]],
    ['gemma-3-27b', 81_920, [[425_984, 1024]]],
    ['gemma-4-31b', 81_920, [[819_200, 1024]]],
    ['phi-4', 204_800, []],
    ['deepseek-v3', 70_272, []],
    ['deepseek-v3.2', 70_272, []],
    ['glm-5', 89_856, []],
    ['glm-4.7-flash', 54_144, []],
    ['glm-4.5-air', 188_416, []],
    ['minimax-m2', 253_952, []],
    ['kimi-k2-instruct', 70_272, []],
  ])('%s: %i bytes a token, %j', (name, growing, bounded) => {
    expect(growingBytes(knownModel(name))).toBe(growing);
    expect(boundedBytes(knownModel(name))).toEqual(bounded);
  });

  test('Qwen3-Next holds 77,856,768 bytes for each sequence (transformers)', () => {
    const [state, ...others] = knownModel('qwen3-next-80b-a3b').states;
    expect(others).toEqual([]);
    expect(state).toEqual({
      layers: 36,
      convChannels: 8192,
      convKernel: 4,
      recurrentElements: 524_288,
    });
    expect(36 * (524_288 * 4 + 8192 * 4 * 2)).toBe(77_856_768);
  });

  test('layers of Gemma 4 that share KV hold none', () => {
    expect(knownModel('gemma-4-e2b').groups).toEqual([
      { layers: 12, kvHeads: 1, keyDim: 256, valueDim: 256, windowTokens: 512 },
      { layers: 3, kvHeads: 1, keyDim: 512, valueDim: 512, windowTokens: null },
    ]);
  });

  test.each([
    ['gemma-3-27b', 262],
    ['gemma-3-1b', 'none'],
    ['gemma-4-31b', null],
    ['llama-4-scout-17b-16e', null],
    ['qwen3.5-35b-a3b', null],
    ['llama-3.1-8b', 'none'],
    ['deepseek-v3', 'none'],
    ['qwen3-next-80b-a3b', 'none'],
  ])('%s: tokens of an image are %p', (name, image) => {
    expect(knownModel(name).media.image).toBe(image);
  });
});
