/** Large mixtures of experts: Llama 4, DeepSeek, Kimi, GLM, MiniMax; gpt-oss is in catalog.ts. */
import { type CatalogRow, expertFields, MAXTEXT, plainConfig } from './row.ts';

function llama4(id: string, name: RegExp, experts: number, context: number): CatalogRow {
  const text = {
    ...plainConfig('llama4_text', {
      ...{ layers: 48, hidden: 5120, heads: 40, kvHeads: 8, headDim: 128 },
      ...{ intermediate: 8192, vocab: 202_048, context },
    }),
    ...{ num_local_experts: experts, num_experts_per_tok: 1, attention_chunk_size: 8192 },
  };
  return {
    id,
    name,
    config: { model_type: 'llama4', text_config: text },
    source: `transformers configuration_llama4.py; AI-Hypercomputer/maxtext ${id}; Llama 4 model card`,
  };
}

/** Multi-head latent attention as DeepSeek V3 has it, and those who took it over. */
const LATENT = {
  kv_lora_rank: 512,
  qk_rope_head_dim: 64,
  qk_nope_head_dim: 128,
  v_head_dim: 128,
};

const DEEPSEEK_V3 = {
  ...{ layers: 61, hidden: 7168, heads: 128, kvHeads: 128 },
  ...{ intermediate: 18_432, vocab: 129_280, context: 163_840 },
};
const DEEPSEEK_V3_CONFIG = {
  ...plainConfig('deepseek_v3', DEEPSEEK_V3),
  ...LATENT,
  ...expertFields(256, 8, 2048, 'n_routed_experts'),
};

const DEEPSEEK: readonly CatalogRow[] = [
  {
    id: 'deepseek-v2-lite',
    name: /deepseek-v2-lite/,
    config: {
      ...plainConfig('deepseek_v2', {
        ...{ layers: 27, hidden: 2048, heads: 16, kvHeads: 16 },
        ...{ intermediate: 10_944, vocab: 102_400, context: 163_840 },
      }),
      ...LATENT,
      ...expertFields(64, 6, 1408, 'n_routed_experts'),
    },
    source: MAXTEXT,
  },
  {
    id: 'deepseek-v3',
    name: /deepseek-v3(?:-671b)?/,
    config: DEEPSEEK_V3_CONFIG,
    source: MAXTEXT,
  },
  {
    id: 'deepseek-r1',
    // In Ollama's library the latest one is a small model distilled from it.
    name: /deepseek-r1(?:-0528)?(?:-671b)?(?!-latest)/,
    config: DEEPSEEK_V3_CONFIG,
    source: `${MAXTEXT} and README.md; THUDM/slime docs/en/examples/deepseek-r1.md`,
  },
  {
    id: 'deepseek-v3.2',
    name: /deepseek-v3\.2/,
    config: { ...DEEPSEEK_V3_CONFIG, model_type: 'deepseek_v32', index_head_dim: 128 },
    source: MAXTEXT,
  },
];

const GLM_LATENT = { ...LATENT, qk_nope_head_dim: 192, v_head_dim: 256 };

const GLM: readonly CatalogRow[] = [
  {
    id: 'glm-4.5-air',
    name: /glm-4\.5-air/,
    config: {
      ...plainConfig('glm4_moe', {
        ...{ layers: 46, hidden: 4096, heads: 96, kvHeads: 8, headDim: 128 },
        ...{ intermediate: 10_944, vocab: 151_552, context: 131_072 },
      }),
      ...expertFields(128, 8, 1408, 'n_routed_experts'),
    },
    source:
      'THUDM/slime scripts/models/glm4.5-106B-A12B.sh; transformers configuration_glm4_moe.py',
  },
  {
    id: 'glm-4.7-flash',
    name: /glm-4\.7-flash/,
    config: {
      ...plainConfig('glm4_moe_lite', {
        ...{ layers: 47, hidden: 2048, heads: 20, kvHeads: 20 },
        ...{ intermediate: 10_240, vocab: 154_880, context: 202_752 },
      }),
      ...GLM_LATENT,
      ...expertFields(64, 4, 1536, 'n_routed_experts'),
    },
    source:
      'THUDM/slime scripts/models/glm4.7-30B-A3B.sh; transformers configuration_glm4_moe_lite.py',
  },
  {
    id: 'glm-5',
    name: /glm-5/,
    config: {
      ...plainConfig('glm_moe_dsa', {
        ...{ layers: 78, hidden: 6144, heads: 64, kvHeads: 64 },
        ...{ intermediate: 12_288, vocab: 154_880, context: 202_752 },
      }),
      ...GLM_LATENT,
      ...expertFields(256, 8, 2048, 'n_routed_experts'),
      index_head_dim: 128,
    },
    source:
      'THUDM/slime scripts/models/glm5-744B-A40B.sh; transformers configuration_glm_moe_dsa.py',
  },
];

const OTHERS: readonly CatalogRow[] = [
  {
    id: 'kimi-k2',
    name: /kimi-k2-(?:instruct|base)/,
    config: {
      ...plainConfig('kimi_k2', {
        ...{ layers: 61, hidden: 7168, heads: 64, kvHeads: 64 },
        ...{ intermediate: 18_432, vocab: 163_840, context: 131_072 },
      }),
      ...LATENT,
      ...expertFields(384, 8, 2048, 'n_routed_experts'),
    },
    source: 'AI-Hypercomputer/maxtext kimi-k2-1t.yml; THUDM/slime scripts/models/kimi-k2.sh',
  },
  {
    id: 'minimax-m2',
    name: /minimax-m2/,
    config: {
      ...plainConfig('minimax_m2', {
        ...{ layers: 62, hidden: 3072, heads: 48, kvHeads: 8, headDim: 128 },
        ...{ intermediate: 1536, vocab: 200_064, context: 196_608 },
      }),
      ...{ num_local_experts: 256, num_experts_per_tok: 8 },
    },
    source: 'transformers configuration_minimax_m2.py; THUDM/slime scripts/models/minimax-m2.sh',
  },
];

export const EXPERT_ROWS: readonly CatalogRow[] = [
  llama4('llama-4-scout', /llama-?4-scout-17b-16e/, 16, 10_000_000),
  llama4('llama-4-maverick', /llama-?4-maverick-17b-128e/, 128, 1_000_000),
  ...DEEPSEEK,
  ...GLM,
  ...OTHERS,
];
