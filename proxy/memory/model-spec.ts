/**
 * The geometry of a model as far as memory is concerned.
 */

/** Layers that hold KV in the same shape. */
export interface LayerGroup {
  readonly layers: number;
  readonly kvHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Tokens a sliding layer keeps; null for full attention. */
  readonly windowTokens: number | null;
}

export interface ModelSpec {
  readonly id: string;
  readonly groups: readonly LayerGroup[];
  readonly hiddenSize: number;
  readonly queryHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly contextTokens: number;
  /** Experts active for each token and their intermediate size; null for dense models. */
  readonly experts: { readonly activePerToken: number; readonly intermediateSize: number } | null;
  readonly intermediateSize: number;
  /** Where the numbers come from, for reports: a file's name or a cited source. */
  readonly source: string;
}
