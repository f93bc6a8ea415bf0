/**
 * The models the simulated server can pretend to hold, as far as memory is
 * concerned. Written from the models' published configuration and from
 * measurements of transformers 5.18, on purpose not shared with kvgate's own
 * estimator: two independent accounts that disagree show up as an OOM.
 */
export type ModelName = 'gpt-oss-20b' | 'gpt-oss-120b';

export interface ModelGeometry {
  readonly id: ModelName;
  readonly fullLayers: number;
  readonly slidingLayers: number;
  /** Tokens a sliding layer attends to. */
  readonly windowTokens: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly hiddenSize: number;
  readonly contextTokens: number;
  /** Bytes of the MXFP4 checkpoint. */
  readonly weightsBytes: number;
  /** Activation peak of prefill with linear-memory attention and grouped_mm experts, KV excluded. */
  readonly activationBytesPerToken: number;
}

const BYTES_PER_ELEMENT = 2;

/** `openai/gpt-oss` config.json: layers alternate sliding and full attention. */
const SHARED = {
  windowTokens: 128,
  queryHeads: 64,
  kvHeads: 8,
  headDim: 64,
  hiddenSize: 2880,
  contextTokens: 131_072,
} as const;

const MODELS: Readonly<Record<ModelName, ModelGeometry>> = {
  'gpt-oss-20b': {
    ...SHARED,
    id: 'gpt-oss-20b',
    fullLayers: 12,
    slidingLayers: 12,
    weightsBytes: 13_761_264_768,
    activationBytesPerToken: 253_768,
  },
  'gpt-oss-120b': {
    ...SHARED,
    id: 'gpt-oss-120b',
    fullLayers: 18,
    slidingLayers: 18,
    weightsBytes: 65_248_815_744,
    activationBytesPerToken: 253_960,
  },
};

export function modelGeometry(name: ModelName): ModelGeometry {
  return MODELS[name];
}

/** Bytes of one token's key and value in one layer, 16 bits an element. */
export function kvBytesPerTokenLayer(model: ModelGeometry): number {
  return 2 * model.kvHeads * model.headDim * BYTES_PER_ELEMENT;
}
