/**
 * A model's geometry from the `model_info` of POST /api/show: the metadata of
 * its GGUF file (gguf-py/gguf/constants.py; server/routes.go, GetModelInfo).
 */
import { UNKNOWN_MEDIA } from '../../proxy/memory/media-bounds.ts';
import type { LayerGroup, ModelSpec } from '../../proxy/memory/model-spec.ts';
import { countField, field, stringField } from '../engine-answer.ts';

/** Far above any model known, as in model-spec.ts. */
const MAX_LAYERS = 1024;
const MAX_COUNT = 2 ** 27;
/** Not told without the whole vocabulary; above any known, and only `dynamic` layouts ask for it. */
const ANY_VOCABULARY = 2 ** 18;

/**
 * Every n-th layer is full attention, the rest slide: the rule is in the code of
 * the architecture and not in its file (llama.cpp, llama-model.cpp, set_swa_pattern).
 */
const FULL_EVERY: ReadonlyMap<string, number> = new Map([
  ['gptoss', 2],
  ['gpt-oss', 2],
  ['gemma2', 2],
  ['gemma3', 6],
  ['cohere2', 4],
]);

/** Layers of these hold something else than keys and values for each token. */
const OTHER_STATE = ['ssm.state_size', 'attention.kv_lora_rank', 'wkv.head_size'];

/** null where a number that KV depends on is missing or out of range: nothing is guessed. */
export function specFromModelInfo(info: unknown, id: string): ModelSpec | null {
  const arch = stringField(info, 'general.architecture');
  if (arch === null || OTHER_STATE.some((name) => field(info, `${arch}.${name}`) !== undefined)) {
    return null;
  }
  const count = (name: string) => {
    const value = countField(info, `${arch}.${name}`);
    return value === null || value === 0 || value > MAX_COUNT ? null : value;
  };
  const layers = count('block_count');
  const queryHeads = count('attention.head_count');
  const hiddenSize = count('embedding_length');
  const contextTokens = count('context_length');
  if (layers === null || layers > MAX_LAYERS || contextTokens === null) return null;
  if (queryHeads === null || hiddenSize === null) return null;
  const derived = Number.isInteger(hiddenSize / queryHeads) ? hiddenSize / queryHeads : null;
  const keyDim = count('attention.key_length') ?? derived;
  const valueDim = count('attention.value_length') ?? keyDim;
  const kvHeads = headsOfLayers(field(info, `${arch}.attention.head_count_kv`), layers);
  if (keyDim === null || valueDim === null || kvHeads === null) return null;

  const windowTokens = count('attention.sliding_window');
  const fullEvery = FULL_EVERY.get(arch);
  const groups = grouped(
    kvHeads.map((heads, layer) => {
      const slides = fullEvery !== undefined && (layer + 1) % fullEvery !== 0;
      return {
        layers: 1,
        kvHeads: heads,
        keyDim,
        valueDim,
        windowTokens: slides ? windowTokens : null,
      };
    }),
  );
  const intermediateSize = count('feed_forward_length') ?? hiddenSize;
  return {
    id,
    groups,
    states: [],
    hiddenSize,
    queryHeads,
    headDim: keyDim,
    vocabSize: count('vocab_size') ?? ANY_VOCABULARY,
    contextTokens,
    experts: expertsOf(count, intermediateSize),
    intermediateSize,
    media: UNKNOWN_MEDIA,
    tokenizer: null,
    source: '/api/show',
  };
}

function expertsOf(count: (name: string) => number | null, intermediateSize: number) {
  const total = count('expert_count');
  const activePerToken = count('expert_used_count');
  if (total === null || activePerToken === null) return null;
  const size = count('expert_feed_forward_length') ?? intermediateSize;
  return { total, activePerToken, intermediateSize: size };
}

/** One number for all layers, or a list with one for each; 0 there is a layer without KV. */
function headsOfLayers(value: unknown, layers: number): readonly number[] | null {
  const list = Array.isArray(value) ? value : Array.from({ length: layers }, () => value);
  const isWhole = (heads: unknown): heads is number =>
    typeof heads === 'number' && Number.isInteger(heads) && heads >= 0 && heads <= MAX_LAYERS;
  if (list.length !== layers || !list.every(isWhole) || list.every((heads) => heads === 0))
    return null;
  return list;
}

function grouped(layers: readonly LayerGroup[]): readonly LayerGroup[] {
  const groups = new Map<string, LayerGroup>();
  for (const layer of layers.filter(({ kvHeads }) => kvHeads > 0)) {
    const key = `${layer.kvHeads} ${layer.windowTokens}`;
    groups.set(key, { ...layer, layers: (groups.get(key)?.layers ?? 0) + 1 });
  }
  return [...groups.values()];
}
