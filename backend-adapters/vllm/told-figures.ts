/**
 * Figures of vLLM's own by which layouts can be told apart: since v0.22
 * `cache_config_info` tells how many requests of full length the pool holds
 * (v1/core/kv_cache_utils.py, update_kv_cache_capacity), as the engine's exact
 * quotient of all blocks and those of one request.
 */
import type { Observation } from '../../proxy/memory/calibration/observation.ts';
import type { VllmMetrics } from './metrics.ts';

/** A quotient in double precision, with much to spare. */
const ROUNDING = 1e-6;
/** Blocks are cut to size from what the operator gave in bytes, and pages may be padded a little. */
const PADDING = 0.01;

/** Of several engines only sums and mixtures are told: nothing can be told apart by them. */
export function toldFigures(
  { engines, fullLengthRequests, poolBytes }: VllmMetrics,
  contextTokens: number,
): readonly Observation[] {
  const [{ blocks }, ...others] = engines;
  if (blocks === null || others.length > 0) return [];
  return [
    ...fullLengthBlocks(blocks, fullLengthRequests, contextTokens),
    ...poolBlocks(blocks, poolBytes),
  ];
}

function fullLengthBlocks(
  blocks: number,
  requests: number | null,
  contextTokens: number,
): readonly Observation[] {
  if (requests === null) return [];
  const each = blocks / requests;
  const measured = { lo: each * (1 - ROUNDING), hi: each * (1 + ROUNDING) };
  return [{ kind: 'full_length_blocks', measured, contextTokens }];
}

function poolBlocks(blocks: number, poolBytes: number | null): readonly Observation[] {
  if (poolBytes === null) return [];
  return [
    {
      kind: 'pool_blocks',
      measured: { lo: blocks, hi: blocks },
      poolBytes: { lo: poolBytes * (1 - PADDING), hi: poolBytes },
    },
  ];
}
