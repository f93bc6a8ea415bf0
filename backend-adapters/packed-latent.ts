/**
 * Latent attention in 8 bits, as servers keep it for models with an indexer: a
 * token's 512 elements in 8 bits, four scales of 4 bytes, and its 64 rotated
 * elements in 16 bits (vLLM: v1/attention/backends/mla/flashmla_sparse.py; SGLang:
 * mem_cache/kv_cache_configurator.py, calculate_mla_kv_cache_dim). Some kernels
 * leave out scales and take less.
 */
import type { LayerGroup, ModelSpec } from '../proxy/memory/models/model-spec.ts';

const LATENT_DIM = 512;
const ROTATED_DIM = 64;
const TOKEN_BYTES = LATENT_DIM + 4 * 4 + ROTATED_DIM * 2;

/** @param cacheDtype of the KV as the engine tells it; null: not told */
export function packedLatent(spec: ModelSpec, cacheDtype: string | null): ModelSpec {
  const hasIndexer = spec.groups.some(({ packedTokenBytes }) => packedTokenBytes !== undefined);
  const isPacked =
    cacheDtype === 'fp8_ds_mla' || (hasIndexer && cacheDtype?.startsWith('fp8') === true);
  if (!isPacked) return spec;
  const groups = spec.groups.map((group) =>
    isLatent(group) ? { ...group, packedTokenBytes: TOKEN_BYTES } : group,
  );
  return { ...spec, groups };
}

function isLatent({ kvHeads, keyDim, valueDim, packedTokenBytes }: LayerGroup): boolean {
  const isOneKey = kvHeads === 1 && keyDim === LATENT_DIM + ROTATED_DIM && valueDim === 0;
  return isOneKey && packedTokenBytes === undefined;
}
