/**
 * Sizes of a model's feed-forward layers, which what a token takes while it is
 * computed depends on.
 */
import type { ConfigFields } from './config-fields.ts';
import type { LayerPlan } from './layer-plan.ts';
import type { ExpertSpec } from './model-spec.ts';

const MAX_LAYERS = 1024;
const MAX_INTERMEDIATE_SIZE = 2 ** 20;
const MAX_EXPERTS = 2 ** 16;

/** The largest one where a file has it for each layer (Gemma 3n). */
export function readIntermediateSize(fields: ConfigFields): number {
  const name = fields.firstSet(['intermediate_size', 'block_ff_dim', 'moe_intermediate_size']);
  if (!Array.isArray(fields.raw(name))) return fields.required(name, MAX_INTERMEDIATE_SIZE);
  const sizes = fields.list(name, MAX_LAYERS) ?? [];
  const sound = sizes.filter((size): size is number => Number.isInteger(size));
  const largest = Math.max(...sound);
  if (sound.length < sizes.length || !(largest >= 1 && largest <= MAX_INTERMEDIATE_SIZE)) {
    fields.reject(name, `must hold integers from 1 to ${MAX_INTERMEDIATE_SIZE}`);
  }
  return largest;
}

/** Families name the same things differently. Null for dense models. */
export function readExperts(fields: ConfigFields, { all }: LayerPlan): ExpertSpec | null {
  // Where feed-forward layers are told apart, a file may size experts it has none of.
  if (all.includes('dense') && !all.includes('experts')) return null;
  const totalName = fields.firstSet([
    'num_local_experts',
    'num_experts',
    'n_routed_experts',
    'moe_num_experts',
  ]);
  if (fields.raw(totalName) === null || fields.raw(totalName) === 0) return null;
  const total = fields.required(totalName, MAX_EXPERTS);
  const activeName = fields.firstSet([
    'num_experts_per_tok',
    'experts_per_token',
    'num_experts_per_token',
    'top_k_experts',
    'moe_k',
    'moe_topk',
  ]);
  const activePerToken = fields.required(activeName, total);
  const sizeName = fields.firstSet(['moe_intermediate_size', 'intermediate_size']);
  return {
    total,
    activePerToken,
    intermediateSize: fields.required(sizeName, MAX_INTERMEDIATE_SIZE),
  };
}
