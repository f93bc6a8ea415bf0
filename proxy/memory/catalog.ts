/**
 * Models whose geometry is known without a config.json. Only numbers read in
 * a public source belong here; any other model is described by its own file.
 */
import { NO_MEDIA } from './media-bounds.ts';
import type { ModelSpec } from './model-spec.ts';

const GPT_OSS_SOURCE =
  'openai/gpt-oss gpt_oss/torch/model.py; transformers configuration_gpt_oss.py';

function gptOss(size: '20b' | '120b', layersOfEachKind: number, experts: number): ModelSpec {
  const shape = { layers: layersOfEachKind, kvHeads: 8, keyDim: 64, valueDim: 64 };
  return {
    id: `gpt-oss-${size}`,
    // Layers alternate, the first one slides; for memory only their numbers matter.
    groups: [
      { ...shape, windowTokens: 128 },
      { ...shape, windowTokens: null },
    ],
    states: [],
    hiddenSize: 2880,
    queryHeads: 64,
    headDim: 64,
    vocabSize: 201_088,
    contextTokens: 131_072,
    experts: { total: experts, activePerToken: 4, intermediateSize: 2880 },
    intermediateSize: 2880,
    media: NO_MEDIA,
    tokenizer: 'o200k_harmony',
    source: GPT_OSS_SOURCE,
  };
}

const GPT_OSS = { '20': gptOss('20b', 12, 32), '120': gptOss('120b', 18, 128) };

/** The last one in a path wins: a file's name says more than its folder's. */
const GPT_OSS_NAME = /^.*(?<![a-z0-9])gpt[-_. ]?oss[-_.: ]?(20|120)b(?![a-z0-9])/is;

/**
 * Finds a model by the name an engine gives it: a hub id, a file or folder, a
 * tag (`openai/gpt-oss-20b`, `gpt-oss-20b-mxfp4.gguf`, `gpt-oss:120b`).
 *
 * @returns null for any other name: an unknown model is never guessed.
 */
export function findModel(name: string): ModelSpec | null {
  const size = GPT_OSS_NAME.exec(name)?.[1];
  return size === '20' || size === '120' ? GPT_OSS[size] : null;
}
