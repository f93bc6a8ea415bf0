/**
 * Models whose geometry is known without a config.json. Only numbers read in
 * a public source belong here, which each row names; any other model is
 * described by its own file.
 */

import { type ModelSpec, modelSpecFromConfig } from '../models/model-spec.ts';
import { EXPERT_ROWS } from './experts.ts';
import { GEMMA_ROWS } from './gemma.ts';
import { LLAMA_ROWS } from './llama.ts';
import { isNamed, modelName } from './names.ts';
import { QWEN_ROWS } from './qwen.ts';
import { QWEN_EXPERT_ROWS } from './qwen-experts.ts';
import { type CatalogRow, plainConfig } from './row.ts';

const GPT_OSS_SOURCE =
  'openai/gpt-oss gpt_oss/torch/model.py; transformers configuration_gpt_oss.py';

function gptOss(size: '20b' | '120b', layers: number, experts: number): CatalogRow {
  return {
    id: `gpt-oss-${size}`,
    name: new RegExp(`gpt-?oss-?${size}`),
    config: {
      ...plainConfig('gpt_oss', {
        ...{ layers, hidden: 2880, heads: 64, kvHeads: 8, headDim: 64 },
        ...{ intermediate: 2880, vocab: 201_088, context: 131_072 },
      }),
      ...{ sliding_window: 128, num_local_experts: experts, num_experts_per_tok: 4 },
    },
    source: GPT_OSS_SOURCE,
  };
}

const ROWS: readonly CatalogRow[] = [
  gptOss('20b', 24, 32),
  gptOss('120b', 36, 128),
  ...LLAMA_ROWS,
  ...QWEN_ROWS,
  ...QWEN_EXPERT_ROWS,
  ...GEMMA_ROWS,
  ...EXPERT_ROWS,
];

/** The ids of all models that are known by name. */
export const CATALOG_IDS: readonly string[] = ROWS.map(({ id }) => id);

/**
 * Finds a model by the name an engine gives it: a hub id, a file or folder, a
 * tag (`openai/gpt-oss-20b`, `gpt-oss-20b-mxfp4.gguf`, `gpt-oss:120b`).
 *
 * @returns null for any other name: an unknown model is never guessed.
 */
export function findModel(name: string): ModelSpec | null {
  const own = modelName(name);
  const row = own === null ? undefined : ROWS.find((candidate) => isNamed(own, candidate.name));
  return row === undefined ? null : specOf(row);
}

/** Null never occurs: each row is read in the catalogue's test. */
function specOf({ id, config, source }: CatalogRow): ModelSpec | null {
  const read = modelSpecFromConfig(config, source);
  return read.ok ? { ...read.spec, id } : null;
}
