/** Mixtures of experts of Qwen 3, Qwen 3-Next and 3.5. */
import { DATED, QWEN_VOCAB } from './qwen.ts';
import { type CatalogRow, expertFields, MAXTEXT, plainConfig, type Sizes } from './row.ts';

type Geometry = Omit<Sizes, 'vocab' | 'context'>;

function qwen3Moe(id: string, name: RegExp, geometry: Geometry, context: number, experts: object) {
  return {
    id,
    name,
    config: {
      ...plainConfig('qwen3_moe', { headDim: 128, ...geometry, vocab: QWEN_VOCAB, context }),
      ...{ use_sliding_window: false, ...experts },
    },
    source: MAXTEXT,
  };
}

const QWEN3_30B = { layers: 48, hidden: 2048, heads: 32, kvHeads: 4, intermediate: 6144 };
const QWEN3_235B = { layers: 94, hidden: 4096, heads: 64, kvHeads: 4, intermediate: 12_288 };
const EXPERTS_30B = expertFields(128, 8, 768);
const EXPERTS_235B = expertFields(128, 8, 1536);

const QWEN3_MOE: readonly CatalogRow[] = [
  qwen3Moe('qwen3-30b-a3b', /qwen-?3-30b-a3b/, QWEN3_30B, 40_960, EXPERTS_30B),
  qwen3Moe(
    'qwen3-30b-a3b-2507',
    new RegExp(`qwen-?3-30b-a3b${DATED}`),
    QWEN3_30B,
    262_144,
    EXPERTS_30B,
  ),
  qwen3Moe('qwen3-235b-a22b', /qwen-?3-235b-a22b/, QWEN3_235B, 40_960, EXPERTS_235B),
  qwen3Moe(
    'qwen3-235b-a22b-2507',
    new RegExp(`qwen-?3-235b-a22b${DATED}`),
    QWEN3_235B,
    262_144,
    EXPERTS_235B,
  ),
  qwen3Moe(
    'qwen3-coder-480b-a35b',
    /qwen-?3-coder-480b-a35b/,
    { layers: 62, hidden: 6144, heads: 96, kvHeads: 8, intermediate: 8192 },
    262_144,
    expertFields(160, 8, 2560),
  ),
];

/** Three layers of four hold a state (gated delta net), the fourth holds KV. */
function linear(valueHeads: number) {
  return {
    linear_num_key_heads: 16,
    linear_num_value_heads: valueHeads,
    linear_key_head_dim: 128,
    linear_value_head_dim: 128,
    linear_conv_kernel_dim: 4,
    full_attention_interval: 4,
  };
}

/** These read images and video as well. */
function qwen35(size: string, geometry: Geometry, valueHeads: number, experts: object): CatalogRow {
  const sizes = { headDim: 256, ...geometry, vocab: 248_320, context: 262_144 };
  const config = plainConfig('qwen3_5_moe_text', sizes);
  return {
    id: `qwen3.5-${size}`,
    name: new RegExp(`qwen-?3\\.5-${size}`),
    config: {
      model_type: 'qwen3_5_moe',
      text_config: { ...config, ...linear(valueHeads), ...experts },
    },
    source: MAXTEXT,
  };
}

const QWEN_HYBRIDS: readonly CatalogRow[] = [
  {
    id: 'qwen3-next-80b-a3b',
    name: /qwen-?3-next-80b-a3b(?:-instruct|-thinking)?/,
    config: {
      ...plainConfig('qwen3_next', {
        ...{ layers: 48, hidden: 2048, heads: 16, kvHeads: 2, headDim: 256 },
        ...{ intermediate: 5120, vocab: QWEN_VOCAB, context: 262_144 },
      }),
      ...linear(32),
      ...expertFields(512, 10, 512),
    },
    source: `${MAXTEXT}; transformers configuration_qwen3_next.py`,
  },
  // Their feed-forward layers are experts alone.
  qwen35(
    '35b-a3b',
    { layers: 40, hidden: 2048, heads: 16, kvHeads: 2, intermediate: 512 },
    32,
    expertFields(256, 8, 512),
  ),
  qwen35(
    '397b-a17b',
    { layers: 60, hidden: 4096, heads: 32, kvHeads: 2, intermediate: 1024 },
    64,
    expertFields(512, 10, 1024),
  ),
];

export const QWEN_EXPERT_ROWS: readonly CatalogRow[] = [...QWEN3_MOE, ...QWEN_HYBRIDS];
