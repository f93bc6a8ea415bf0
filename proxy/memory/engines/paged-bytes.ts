/** KV bytes of one sequence in a pool of blocks, on each GPU: for reports. */
import { type PagedLayout, tokenBytesOfLayer } from '../kv-layout.ts';
import type { ModelSpec } from '../models/model-spec.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from './paged.ts';
import { PAGED_STATES, sequenceStateBytes } from './states.ts';
import { tokenPoolBytes } from './token-pool.ts';

type KnownPool = PagedLayout & { readonly spec: ModelSpec };

/** Held with so many tokens there, prompt and output together. */
export function pagedKvBytes(layout: KnownPool, tokens: number): number {
  const { tokenPool } = layout;
  if (tokenPool === undefined) return pagedBlocks(layout, tokens) * (blockBytes(layout) ?? 0);
  const bytes = tokenPoolBytes(layout, tokenPool, tokens);
  if (bytes === null) return 0;
  const kvBytes = tokenPool.slidingShare === null ? bytes.placedBytes : bytes.liveBytes;
  return kvBytes + bytes.stateBytes;
}

/** Held at the end of prefill, with a chunk of the prompt in flight beside the window. */
export function pagedPrefillBytes(layout: KnownPool, promptTokens: number): number {
  const { tokenPool, spec, kvBytesPerElement, tensorParallel, inFlightTokens } = layout;
  if (tokenPool === undefined) {
    return pagedPrefillBlocks(layout, promptTokens) * (blockBytes(layout) ?? 0);
  }
  const kvBytes = spec.groups.reduce((sum, group) => {
    const window = tokenPool.slidingShare === null ? null : group.windowTokens;
    const kept = window === null ? promptTokens : Math.min(promptTokens, window + inFlightTokens);
    return sum + group.layers * kept * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel);
  }, 0);
  return Math.ceil(kvBytes) + sequenceStateBytes(spec, PAGED_STATES, tensorParallel);
}
