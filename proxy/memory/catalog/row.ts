/** A model of the catalogue: what its config.json says, as far as memory is concerned. */
export interface CatalogRow {
  readonly id: string;
  /** Its name without publisher, format and packing, in lower case (names.ts). */
  readonly name: RegExp;
  /** The fields that modelSpecFromConfig reads. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly source: string;
}

/** Sizes of a model whose layers are all alike but for a window. */
export interface Sizes {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Left out where it is hidden / heads. */
  readonly headDim?: number;
  readonly intermediate: number;
  readonly vocab: number;
  readonly context: number;
}

export function plainConfig(modelType: string, sizes: Sizes): Readonly<Record<string, unknown>> {
  return {
    model_type: modelType,
    num_hidden_layers: sizes.layers,
    hidden_size: sizes.hidden,
    num_attention_heads: sizes.heads,
    num_key_value_heads: sizes.kvHeads,
    head_dim: sizes.headDim ?? sizes.hidden / sizes.heads,
    intermediate_size: sizes.intermediate,
    vocab_size: sizes.vocab,
    max_position_embeddings: sizes.context,
  };
}

/** Experts as `num_experts` or under the name that a family's files have. */
export function expertFields(
  total: number,
  activePerToken: number,
  intermediate: number,
  totalField = 'num_experts',
): Readonly<Record<string, number>> {
  return {
    [totalField]: total,
    num_experts_per_tok: activePerToken,
    moe_intermediate_size: intermediate,
  };
}

export const LITGPT = 'Lightning-AI/litgpt litgpt/config.py';
export const MAXTEXT = 'AI-Hypercomputer/maxtext hf_model_configs.py';
