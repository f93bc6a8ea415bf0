/** Llama and models of its shape, Mistral, Mixtral, Phi. */
import { type CatalogRow, LITGPT, plainConfig, type Sizes } from './row.ts';

function llama(id: string, name: RegExp, sizes: Sizes): CatalogRow {
  return { id, name, config: plainConfig('llama', sizes), source: LITGPT };
}

const LLAMA_8B = { layers: 32, hidden: 4096, heads: 32, kvHeads: 8, intermediate: 14_336 };
const LLAMA_70B = { layers: 80, hidden: 8192, heads: 64, kvHeads: 8, intermediate: 28_672 };
const LLAMA_2 = { vocab: 32_000, context: 4096 };
const LLAMA_3 = { vocab: 128_256, context: 8192 };
const LLAMA_3_1 = { vocab: 128_256, context: 131_072 };
const SMOL = { vocab: 49_152, context: 8192, headDim: 64 };

const LLAMA: readonly CatalogRow[] = [
  llama('llama-2-7b', /llama-?2-7b/, {
    ...LLAMA_2,
    ...{ layers: 32, hidden: 4096, heads: 32, kvHeads: 32, intermediate: 11_008 },
  }),
  llama('llama-2-13b', /llama-?2-13b/, {
    ...LLAMA_2,
    ...{ layers: 40, hidden: 5120, heads: 40, kvHeads: 40, intermediate: 13_824 },
  }),
  llama('llama-2-70b', /llama-?2-70b/, { ...LLAMA_2, ...LLAMA_70B }),
  llama('llama-3-8b', /llama-?3-8b/, { ...LLAMA_3, ...LLAMA_8B }),
  llama('llama-3-70b', /llama-?3-70b/, { ...LLAMA_3, ...LLAMA_70B }),
  llama('llama-3.1-8b', /llama-?3\.1-8b/, { ...LLAMA_3_1, ...LLAMA_8B }),
  llama('llama-3.1-70b', /llama-?3\.1-70b/, { ...LLAMA_3_1, ...LLAMA_70B }),
  llama('llama-3.1-405b', /llama-?3\.1-405b/, {
    ...LLAMA_3_1,
    ...{ layers: 126, hidden: 16_384, heads: 128, kvHeads: 8, intermediate: 53_248 },
  }),
  llama('llama-3.2-1b', /llama-?3\.2-1b/, {
    ...LLAMA_3_1,
    ...{ layers: 16, hidden: 2048, heads: 32, kvHeads: 8, intermediate: 8192 },
  }),
  llama('llama-3.2-3b', /llama-?3\.2-3b/, {
    ...LLAMA_3_1,
    ...{ layers: 28, hidden: 3072, heads: 24, kvHeads: 8, intermediate: 8192 },
  }),
  llama('llama-3.3-70b', /llama-?3\.3-70b/, { ...LLAMA_3_1, ...LLAMA_70B }),
  llama('deepseek-r1-distill-llama-8b', /deepseek-r1-distill-llama-8b/, {
    ...LLAMA_3_1,
    ...LLAMA_8B,
  }),
  llama('deepseek-r1-distill-llama-70b', /deepseek-r1-distill-llama-70b/, {
    ...LLAMA_3_1,
    ...LLAMA_70B,
  }),
  llama('smollm2-135m', /smollm2-135m/, {
    ...SMOL,
    ...{ layers: 30, hidden: 576, heads: 9, kvHeads: 3, intermediate: 1536 },
  }),
  llama('smollm2-360m', /smollm2-360m/, {
    ...SMOL,
    ...{ layers: 32, hidden: 960, heads: 15, kvHeads: 5, intermediate: 2560 },
  }),
  llama('smollm2-1.7b', /smollm2-1\.7b/, {
    ...SMOL,
    ...{ layers: 24, hidden: 2048, heads: 32, kvHeads: 32, intermediate: 8192 },
  }),
];

/** Layers, attention and context of all three versions of Mistral 7B. */
const MISTRAL_7B = { ...LLAMA_8B, context: 32_768 };

/** The first version slides in every layer, the later ones in none. */
function mistral7b(
  version: string,
  name: RegExp,
  vocab: number,
  window: number | null,
): CatalogRow {
  return {
    id: `mistral-7b-${version}`,
    name,
    config: { ...plainConfig('mistral', { ...MISTRAL_7B, vocab }), sliding_window: window },
    source:
      window === null ? LITGPT : `${LITGPT}; Mistral-7B-v0.1's config as transformers prints it`,
  };
}

function mixtral(size: string, name: RegExp, sizes: Sizes): CatalogRow {
  return {
    id: `mixtral-${size}`,
    name,
    config: {
      ...plainConfig('mixtral', sizes),
      ...{ num_local_experts: 8, num_experts_per_tok: 2, sliding_window: null },
    },
    source: LITGPT,
  };
}

const MISTRAL: readonly CatalogRow[] = [
  mistral7b('v0.1', /mistral-7b(?:-instruct)?-v0\.1/, 32_000, 4096),
  mistral7b('v0.2', /mistral-7b(?:-instruct)?-v0\.2/, 32_000, null),
  mistral7b('v0.3', /mistral-7b(?:-instruct)?-v0\.3/, 32_768, null),
  mixtral('8x7b', /mixtral-8x7b(?:-instruct)?(?:-v0\.1)?/, { ...MISTRAL_7B, vocab: 32_000 }),
  mixtral('8x22b', /mixtral-8x22b(?:-instruct)?(?:-v0\.1)?/, {
    ...{ layers: 56, hidden: 6144, heads: 48, kvHeads: 8, intermediate: 16_384 },
    ...{ vocab: 32_768, context: 65_536 },
  }),
  {
    id: 'mistral-nemo-12b',
    name: /mistral-nemo-(?:base|instruct)-2407/,
    config: {
      ...plainConfig('mistral', {
        ...{ layers: 40, hidden: 5120, heads: 32, kvHeads: 8, headDim: 128 },
        ...{ intermediate: 14_336, vocab: 131_072, context: 131_072 },
      }),
      sliding_window: null,
    },
    source:
      "kevinstephano/thunder_model_blocks mistral_config.py; its context as riple-saanvi-lab/Saanvi-C0-12B's config.json has it",
  },
];

const PHI: readonly CatalogRow[] = [
  {
    id: 'phi-3.5-mini',
    name: /phi-?3\.5-mini(?:-instruct)?/,
    config: {
      ...plainConfig('phi3', {
        ...{ layers: 32, hidden: 3072, heads: 32, kvHeads: 32 },
        ...{ intermediate: 8192, vocab: 32_064, context: 131_072 },
      }),
      sliding_window: 262_144,
    },
    source: 'kevinstephano/thunder_model_blocks hf_phi3',
  },
  {
    id: 'phi-4',
    name: /phi-?4(?:-14b)?/,
    config: plainConfig('phi3', {
      ...{ layers: 40, hidden: 5120, heads: 40, kvHeads: 10 },
      ...{ intermediate: 17_920, vocab: 100_352, context: 16_384 },
    }),
    source: LITGPT,
  },
];

export const LLAMA_ROWS: readonly CatalogRow[] = [...LLAMA, ...MISTRAL, ...PHI];
