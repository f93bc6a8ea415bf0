/**
 * The geometry of a model as far as memory is concerned, and how it is read
 * from a Hugging Face config.json.
 */
import { attentionShapes } from './attention-shapes.ts';
import { ConfigFields, type FieldProblem } from './config-fields.ts';
import { readExperts, readIntermediateSize } from './feed-forward-sizes.ts';
import { layerGroups, stateGroups } from './layer-groups.ts';
import { planLayers } from './layer-plan.ts';
import { type MediaBounds, mediaBoundsFromConfig } from './media-bounds.ts';
import { familyOf } from './model-families.ts';
import { modelId } from './model-id.ts';
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
  hiddenSize: 2 ** 18,
  vocabSize: 2 ** 24,
  contextTokens: 2 ** 27,
} as const;

/**
 * Reads a parsed Hugging Face config.json. `source` is the file's name as
 * reports show it. The first field that is missing, out of range or of an
 * unsupported architecture is returned as a value: nothing is guessed, since a
 * wrong geometry makes every estimate wrong.
 */
export function modelSpecFromConfig(json: unknown, source: string): ModelSpecResult {
  const fields = ConfigFields.ofLanguageModel(json);
  const family = familyOf(fields.modelType);
  fields.assume(family.defaults);
  refuseUnsupported(fields, family);
  const plan = planLayers(fields, family);
  const shapes = attentionShapes(fields, family, plan.all);
  const spec: ModelSpec = {
    id: modelId(ownName(fields) ?? source),
    groups: layerGroups(fields, plan, shapes),
    states: stateGroups(fields, plan, family),
    hiddenSize: fields.required('hidden_size', MAX.hiddenSize),
    queryHeads: shapes.queryHeads,
    headDim: shapes.headDim,
    vocabSize: fields.required('vocab_size', MAX.vocabSize),
    contextTokens: readContextTokens(fields),
    experts: readExperts(fields, plan),
    intermediateSize: readIntermediateSize(fields),
    media: mediaBoundsFromConfig(json),
    tokenizer: tokenizerOf(fields),
    source,
  };
  const { problem } = fields;
  return problem === null ? { ok: true, spec } : { ok: false, ...problem };
}

/** `model_max_length` in the files of Kimi Linear. */
function readContextTokens(fields: ConfigFields): number {
  const name = fields.firstSet(['max_position_embeddings', 'model_max_length']);
  return fields.required(name, MAX.contextTokens);
}

/** The vocabulary's size tells the real one from that of a model made for tests. */
function tokenizerOf(fields: ConfigFields): ModelSpec['tokenizer'] {
  const isHarmony =
    fields.modelType === 'gpt_oss' && fields.raw('vocab_size') === O200K_HARMONY_SIZE;
  return isHarmony ? 'o200k_harmony' : null;
}

function ownName(fields: ConfigFields): string | null {
  const names = [fields.raw('_name_or_path'), fields.raw('model_type')];
  return names.find((name): name is string => typeof name === 'string' && name !== '') ?? null;
}
