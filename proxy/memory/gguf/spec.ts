/**
 * A model's geometry from the metadata of its GGUF file, whether it was read
 * from the file or told by Ollama. llama.cpp is what such a file is for, so its
 * reading of the keys is the one that counts (src/llama-model.cpp,
 * load_hparams); what it knows beside them is in architectures.ts.
 */

import { NO_MEDIA, UNKNOWN_MEDIA } from '../models/media-bounds.ts';
import { modelId } from '../models/model-id.ts';
import type { ExpertSpec, ModelSpec, ModelSpecResult } from '../models/model-spec.ts';
import { type Architecture, architectureNamed } from './architectures.ts';
import { GGUF_MAX, GgufFields } from './fields.ts';
import { readLayers } from './layers.ts';
import { arrayLength, type GgufMetadata, isUntoldList } from './metadata.ts';

/** Entries of o200k_harmony with its reserved special tokens, and the name of its splitting rule. */
const O200K_HARMONY = { entries: 201_088, pre: 'gpt-4o' };

/** Keys of models that hold something else than plain KV, and who may have them. */
const UNCOMMON: readonly (readonly [
  name: string,
  meaning: string,
  isRead: (architecture: Architecture) => boolean,
])[] = [
  ['attention.kv_lora_rank', 'latent attention', ({ latent }) => latent === true],
  ['attention.indexer.key_length', 'sparse attention', ({ indexer }) => indexer === true],
  ['attention.compress_ratios', 'compressed KV', () => false],
  [
    'attention.shared_kv_layers',
    'KV shared between layers',
    ({ sharesKv }) => sharesKv !== undefined,
  ],
  ['attention.recurrent_layers', 'layers with a state', readsInterval],
  ['full_attention_interval', 'layers with a state', readsInterval],
  ['ssm.state_size', 'state-space layers', ({ state }) => state?.kind === 'ssm'],
  ['kda.head_dim', 'linear attention', ({ state }) => state?.kind === 'kda'],
  ['wkv.head_size', 'a state', ({ state }) => state?.kind === 'wkv'],
  ['shortconv.l_cache', 'convolutions', ({ state }) => state?.kind === 'short-convolution'],
  ['num_loops', 'layers that run more than once', () => false],
];

/**
 * @param source the file's name, or what told the metadata, as reports show it
 * @returns the first key that is missing, out of range, or of an architecture
 *   whose KV is not known: nothing is guessed
 */
export function specFromGguf(metadata: GgufMetadata, source: string): ModelSpecResult {
  const part = splitProblem(metadata);
  if (part !== null) return { ok: false, field: 'split.no', problem: part };
  const fields = new GgufFields(metadata);
  const known = fields.architecture === '' ? null : architectureNamed(fields.architecture);
  if (known?.refused !== undefined) {
    return {
      ok: false,
      field: 'general.architecture',
      problem: `${fields.architecture} ${known.refused}`,
    };
  }
  refuseUncommon(fields, known ?? {});
  const hiddenSize = fields.required('embedding_length', GGUF_MAX.hiddenSize);
  const layers = readLayers(fields, known, hiddenSize);
  const vocabSize = vocabularyOf(fields, metadata);
  const experts = readExperts(fields);
  const spec: ModelSpec = {
    id: modelId(fields.text('general.name') ?? fields.architecture),
    groups: layers.groups,
    states: layers.states,
    hiddenSize,
    queryHeads: Math.max(0, ...layers.heads),
    headDim: layers.headDim,
    vocabSize,
    contextTokens: fields.required('context_length', GGUF_MAX.contextTokens),
    experts,
    intermediateSize: intermediateSizeOf(fields, experts, hiddenSize),
    // A projector may give eyes or ears to any other.
    media: /^gpt-?oss$/.test(fields.architecture) ? NO_MEDIA : UNKNOWN_MEDIA,
    tokenizer:
      fields.text('tokenizer.ggml.pre') === O200K_HARMONY.pre && vocabSize === O200K_HARMONY.entries
        ? 'o200k_harmony'
        : null,
    source,
  };
  return fields.problem === null ? { ok: true, spec } : { ok: false, ...fields.problem };
}

/** Only the first part of a file that was split has the model's metadata (llama.cpp: tools/gguf-split). */
function splitProblem(metadata: GgufMetadata): string | null {
  const part = metadata.get('split.no');
  const parts = metadata.get('split.count');
  if (typeof part !== 'number' || typeof parts !== 'number' || part === 0) return null;
  return `is of part ${part + 1} of ${parts}: the first part is wanted, whose name ends in -00001-of-${String(parts).padStart(5, '0')}.gguf`;
}

function refuseUncommon(fields: GgufFields, architecture: Architecture): void {
  for (const [name, meaning, isRead] of UNCOMMON) {
    const value = fields.raw(name);
    const isSet = value !== null && value !== 0 && value !== false;
    // A model that runs its layers once may say so.
    if (!isSet || isRead(architecture) || (name === 'num_loops' && value === 1)) continue;
    fields.reject(name, `${meaning} is not supported for this architecture`);
  }
}

function readsInterval({ state }: Architecture): boolean {
  return typeof state?.layers === 'number';
}

/** Its own key, or as many entries as the vocabulary has. */
function vocabularyOf(fields: GgufFields, metadata: GgufMetadata): number {
  const told = fields.optional('vocab_size', GGUF_MAX.vocabSize);
  if (told !== null) return told;
  const entries = arrayLength(metadata.get('tokenizer.ggml.tokens'));
  if (entries !== null && entries >= 1 && entries <= GGUF_MAX.vocabSize) return entries;
  fields.reject('vocab_size', 'is missing, and tokenizer.ggml.tokens does not tell it');
  return 1;
}

function readExperts(fields: GgufFields): ExpertSpec | null {
  const total = fields.nonzero('expert_count', GGUF_MAX.experts);
  if (total === null) return null;
  const activePerToken = widest(fields, 'expert_used_count', total);
  const intermediateSize =
    widest(fields, 'expert_feed_forward_length', GGUF_MAX.intermediateSize) ??
    widest(fields, 'feed_forward_length', GGUF_MAX.intermediateSize);
  if (activePerToken === null) fields.reject('expert_used_count', 'is missing');
  if (intermediateSize === null) fields.reject('expert_feed_forward_length', 'is missing');
  return {
    total,
    activePerToken: activePerToken ?? 1,
    intermediateSize: intermediateSize ?? 1,
  };
}

/** A list that Ollama left out is taken for the width of the model: no KV depends on it. */
function intermediateSizeOf(
  fields: GgufFields,
  experts: ExpertSpec | null,
  hiddenSize: number,
): number {
  const name = 'feed_forward_length';
  const told = widest(fields, name, GGUF_MAX.intermediateSize) ?? experts?.intermediateSize ?? null;
  if (told !== null) return told;
  if (fields.raw(name) === null) fields.reject(name, 'is missing');
  return fields.raw(name) === 0 ? 0 : hiddenSize;
}

/** The largest of a number for each layer; null where there is none but 0, or it is not told. */
function widest(fields: GgufFields, name: string, max: number): number | null {
  const value = fields.raw(name);
  if (isUntoldList(value)) return null;
  if (!Array.isArray(value)) return fields.nonzero(name, max);
  const largest = Math.max(0, ...(fields.perLayer(name, value.length, max) ?? []));
  return largest === 0 ? null : largest;
}
