/** Gemma 2, 3 and 4. */
import { type CatalogRow, expertFields, LITGPT, MAXTEXT, plainConfig, type Sizes } from './row.ts';

const GEMMA_PYTORCH = 'google/gemma_pytorch gemma/config.py';

type Geometry = Omit<Sizes, 'vocab' | 'context'>;

function gemma2(size: string, geometry: Geometry): CatalogRow {
  return {
    id: `gemma-2-${size}`,
    name: new RegExp(`gemma-?2-${size}`),
    config: {
      ...plainConfig('gemma2', { ...geometry, vocab: 256_000, context: 8192 }),
      sliding_window: 4096,
    },
    source: `${GEMMA_PYTORCH}; ${MAXTEXT}`,
  };
}

/** All but the smallest read images too. */
function gemma3(size: string, geometry: Geometry): CatalogRow {
  const text = {
    ...plainConfig('gemma3_text', { ...geometry, vocab: 262_144, context: 131_072 }),
    sliding_window: 1024,
  };
  return {
    id: `gemma-3-${size}`,
    name: new RegExp(`gemma-?3-${size}`),
    config: { model_type: 'gemma3', mm_tokens_per_image: 256, text_config: text },
    source: `${GEMMA_PYTORCH}; ${MAXTEXT}`,
  };
}

const GEMMA_2_AND_3: readonly CatalogRow[] = [
  gemma2('2b', {
    layers: 26,
    hidden: 2304,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    intermediate: 9216,
  }),
  gemma2('9b', {
    layers: 42,
    hidden: 3584,
    heads: 16,
    kvHeads: 8,
    headDim: 256,
    intermediate: 14_336,
  }),
  gemma2('27b', {
    layers: 46,
    hidden: 4608,
    heads: 32,
    kvHeads: 16,
    headDim: 128,
    intermediate: 36_864,
  }),
  {
    id: 'gemma-3-1b',
    name: /gemma-?3-1b/,
    config: {
      ...plainConfig('gemma3_text', {
        ...{ layers: 26, hidden: 1152, heads: 4, kvHeads: 1, headDim: 256 },
        ...{ intermediate: 6912, vocab: 262_144, context: 32_768 },
      }),
      sliding_window: 512,
    },
    source: `${GEMMA_PYTORCH}; ${LITGPT}`,
  },
  gemma3('4b', {
    layers: 34,
    hidden: 2560,
    heads: 8,
    kvHeads: 4,
    headDim: 256,
    intermediate: 10_240,
  }),
  gemma3('12b', {
    layers: 48,
    hidden: 3840,
    heads: 16,
    kvHeads: 8,
    headDim: 256,
    intermediate: 15_360,
  }),
  gemma3('27b', {
    layers: 62,
    hidden: 5376,
    heads: 32,
    kvHeads: 16,
    headDim: 128,
    intermediate: 21_504,
  }),
];

/** Layers, of which every `fullEvery`-th is full, with heads of their own where `globalKvHeads` is set. */
interface Gemma4 {
  readonly geometry: Geometry;
  readonly context: number;
  readonly window: number;
  readonly fullEvery: number;
  readonly globalKvHeads: number | null;
  readonly sharers: number;
  readonly experts?: object;
}

function gemma4(size: string, model: Gemma4): CatalogRow {
  const { geometry, context } = model;
  const text = {
    ...plainConfig('gemma4_text', { headDim: 256, ...geometry, vocab: 262_144, context }),
    layer_types: Array.from({ length: geometry.layers }, (_, layer) =>
      (layer + 1) % model.fullEvery === 0 ? 'full_attention' : 'sliding_attention',
    ),
    sliding_window: model.window,
    global_head_dim: 512,
    num_global_key_value_heads: model.globalKvHeads,
    attention_k_eq_v: model.globalKvHeads !== null,
    num_kv_shared_layers: model.sharers,
    ...model.experts,
  };
  return {
    id: `gemma-4-${size}`,
    name: new RegExp(`gemma-?4-${size}`),
    config: { model_type: 'gemma4', text_config: text },
    source: MAXTEXT,
  };
}

const LARGE = { context: 262_144, window: 1024, fullEvery: 6, sharers: 0 };

const GEMMA_4: readonly CatalogRow[] = [
  gemma4('26b-a4b', {
    geometry: { layers: 30, hidden: 2816, heads: 16, kvHeads: 8, intermediate: 2112 },
    ...LARGE,
    globalKvHeads: 2,
    experts: expertFields(128, 8, 704),
  }),
  gemma4('31b', {
    geometry: { layers: 60, hidden: 5376, heads: 32, kvHeads: 16, intermediate: 21_504 },
    ...LARGE,
    globalKvHeads: 4,
  }),
  gemma4('e2b', {
    geometry: { layers: 35, hidden: 1536, heads: 8, kvHeads: 1, intermediate: 6144 },
    ...{ context: 131_072, window: 512, fullEvery: 5, globalKvHeads: null, sharers: 20 },
  }),
  gemma4('e4b', {
    geometry: { layers: 42, hidden: 2560, heads: 8, kvHeads: 2, intermediate: 10_240 },
    ...{ context: 131_072, window: 512, fullEvery: 6, globalKvHeads: null, sharers: 18 },
  }),
];

export const GEMMA_ROWS: readonly CatalogRow[] = [...GEMMA_2_AND_3, ...GEMMA_4];
