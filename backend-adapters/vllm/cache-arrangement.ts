/** How vLLM arranges the KV of a model: what its flags and its CacheConfig change about it. */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import { flagSwitch } from '../command-line.ts';
import { packedLatent } from '../packed-latent.ts';

export interface Arrangement {
  /** `cache_dtype` as told; null: not told. */
  readonly cacheDtype: string | null;
  /** `mamba_cache_mode` as told: `none`, `align` or `all`; null: not told. */
  readonly stateMode: string | null;
  readonly flags: readonly string[] | null;
  /** Batches in the works at a time. */
  readonly batches: number;
}

const HYBRID_OFF = ['--disable-hybrid-kv-cache-manager'];
const HYBRID_ON = ['--no-disable-hybrid-kv-cache-manager'];

/** The layout as it is with these settings; what no setting changes stays as it was. */
export function arranged(pool: PagedLayout, arrangement: Arrangement): PagedLayout {
  const { spec } = pool;
  const isHybridOff = flagSwitch(arrangement.flags ?? [], HYBRID_OFF, HYBRID_ON) === true;
  return {
    ...pool,
    spec: spec === null ? null : packedLatent(spec, arrangement.cacheDtype),
    ...(isHybridOff ? { hybridManager: false } : {}),
    ...(spec === null || spec.states.length === 0 ? {} : { stateBlocks: stateBlocks(arrangement) }),
  };
}

/**
 * `align` keeps the state that a request goes on from beside those of the batches
 * in the works (v1/core/single_type_kv_cache_manager.py, MambaManager); it is the
 * default with prefix caching, and takes more than `none`.
 */
function stateBlocks({ stateMode, batches }: Arrangement): number | 'each' {
  if (stateMode === 'none') return 1;
  return stateMode === 'all' ? 'each' : batches + 1;
}
