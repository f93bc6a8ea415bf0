/**
 * The geometry of a model as far as memory is concerned, and how it is read
 * from a Hugging Face config.json.
 */
import { ConfigFields, type FieldProblem } from './config-fields.ts';
import { layerWindows } from './layer-windows.ts';
import { type MediaBounds, mediaBoundsFromConfig } from './media-bounds.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** Layers that hold KV in the same shape. */
export interface LayerGroup {
  readonly layers: number;
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Tokens a sliding layer keeps; null for full attention. */
  readonly windowTokens: number | null;
  /** The window is a chunk: it begins anew at every multiple of its size. */
  readonly chunked?: true;
  /** Bytes of a token in a layer that an engine packs in a way of its own, whatever the KV type. */
  readonly packedTokenBytes?: number;
}

/**
 * Layers that hold a state of fixed size for each sequence in place of KV:
 * state-space and linear-attention layers. Engines differ in the types they
 * keep it in, so it is told in elements.
 */
export interface StateGroup {
  readonly layers: number;
  /** Channels that the short convolution remembers. */
  readonly convChannels: number;
  /** Its width; engines keep this many positions or one less. */
  readonly convKernel: number;
  /** The recurrent state itself. */
  readonly recurrentElements: number;
}

export interface ExpertSpec {
  /** Experts of one layer. */
  readonly total: number;
  /** Experts that each token is sent to. */
  readonly activePerToken: number;
  /** Intermediate size of one expert. */
  readonly intermediateSize: number;
}

export interface ModelSpec {
  readonly id: string;
  /** One group for each shape: no two groups are alike in all but `layers`. */
  readonly groups: readonly LayerGroup[];
  /** Empty for models of attention alone. */
  readonly states: readonly StateGroup[];
  readonly hiddenSize: number;
  readonly queryHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly contextTokens: number;
  /** null for dense models. */
  readonly experts: ExpertSpec | null;
  readonly intermediateSize: number;
  /** Tokens of an image, a recording, ... at most. */
  readonly media: MediaBounds;
  /** The vocabulary, where kvgate can count with it by itself; null: it can't. */
  readonly tokenizer: 'o200k_harmony' | null;
  /** Where the numbers come from, for reports: a file's name or a cited source. */
  readonly source: string;
}

export type ModelSpecResult =
  | { readonly ok: true; readonly spec: ModelSpec }
  | ({ readonly ok: false } & FieldProblem);

/** Entries of o200k_harmony with its reserved special tokens (gpt-oss's config.json). */
const O200K_HARMONY_SIZE = 201_088;

/** Far above any model known, and low enough that no product of them loses its meaning. */
const MAX = {
  layers: 1024,
  heads: 1024,
  headDim: 4096,
  hiddenSize: 2 ** 18,
  intermediateSize: 2 ** 20,
  vocabSize: 2 ** 24,
  contextTokens: 2 ** 27,
  experts: 2 ** 16,
} as const;

/**
 * Reads a parsed Hugging Face config.json. `source` is the file's name as
 * reports show it. The first field that is missing, out of range or of an
 * unsupported architecture is returned as a value: nothing is guessed, since a
 * wrong geometry makes every estimate wrong.
 */
export function modelSpecFromConfig(json: unknown, source: string): ModelSpecResult {
  const fields = new ConfigFields(json);
  refuseUnsupported(fields);
  const layers = fields.required('num_hidden_layers', MAX.layers);
  const windows = layerWindows(fields, layers);
  const queryHeads = fields.required('num_attention_heads', MAX.heads);
  const kvHeads = fields.optional('num_key_value_heads', MAX.heads) ?? queryHeads;
  if (kvHeads > queryHeads) {
    fields.reject('num_key_value_heads', 'must not exceed num_attention_heads');
  }
  const hiddenSize = fields.required('hidden_size', MAX.hiddenSize);
  const headDim = readHeadDim(fields, hiddenSize, queryHeads);
  const valueDim = fields.optional('v_head_dim', MAX.headDim) ?? headDim;
  const spec: ModelSpec = {
    id: modelId(fields) ?? source,
    groups: groupByWindow(windows, { kvHeads, keyDim: headDim, valueDim }),
    states: [],
    hiddenSize,
    queryHeads,
    headDim,
    vocabSize: fields.required('vocab_size', MAX.vocabSize),
    contextTokens: fields.required('max_position_embeddings', MAX.contextTokens),
    experts: readExperts(fields),
    intermediateSize: readIntermediateSize(fields),
    media: mediaBoundsFromConfig(json),
    tokenizer: tokenizerOf(fields),
    source,
  };
  return fields.problem === null ? { ok: true, spec } : { ok: false, ...fields.problem };
}

/**
 * `head_dim` where the file has it: gpt-oss has 64 where hidden / heads is 45.
 */
function readHeadDim(fields: ConfigFields, hiddenSize: number, queryHeads: number): number {
  const given = fields.optional('head_dim', MAX.headDim);
  if (given !== null) return given;
  const derived = hiddenSize / queryHeads;
  if (!Number.isInteger(derived) || derived > MAX.headDim) {
    fields.reject('head_dim', 'is missing and does not follow from hidden_size and heads');
  }
  return derived;
}

/** The first of `names` that the file sets: families name the same thing differently. */
function firstSet(fields: ConfigFields, names: readonly [string, ...string[]]): string {
  return names.find((name) => fields.raw(name) !== null) ?? names[0];
}

function readIntermediateSize(fields: ConfigFields): number {
  const name = firstSet(fields, ['intermediate_size', 'moe_intermediate_size']);
  return fields.required(name, MAX.intermediateSize);
}

function readExperts(fields: ConfigFields): ExpertSpec | null {
  const totalName = firstSet(fields, ['num_local_experts', 'num_experts', 'n_routed_experts']);
  if (fields.raw(totalName) === null || fields.raw(totalName) === 0) return null;
  const total = fields.required(totalName, MAX.experts);
  const activeName = firstSet(fields, ['num_experts_per_tok', 'experts_per_token']);
  const activePerToken = fields.required(activeName, total);
  const sizeName = firstSet(fields, ['moe_intermediate_size', 'intermediate_size']);
  return {
    total,
    activePerToken,
    intermediateSize: fields.required(sizeName, MAX.intermediateSize),
  };
}

function groupByWindow(
  windows: readonly (number | null)[],
  shape: Pick<LayerGroup, 'kvHeads' | 'keyDim' | 'valueDim'>,
): readonly LayerGroup[] {
  const layersByWindow = new Map<number | null, number>();
  for (const window of windows) {
    layersByWindow.set(window, (layersByWindow.get(window) ?? 0) + 1);
  }
  return [...layersByWindow].map(([windowTokens, layers]) => ({ layers, ...shape, windowTokens }));
}

/** The vocabulary's size tells the real one from that of a model made for tests. */
function tokenizerOf(fields: ConfigFields): ModelSpec['tokenizer'] {
  const isHarmony =
    fields.raw('model_type') === 'gpt_oss' && fields.raw('vocab_size') === O200K_HARMONY_SIZE;
  return isHarmony ? 'o200k_harmony' : null;
}

function modelId(fields: ConfigFields): string | null {
  const names = [fields.raw('_name_or_path'), fields.raw('model_type')];
  return names.find((name): name is string => typeof name === 'string' && name !== '') ?? null;
}
