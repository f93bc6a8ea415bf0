/** Parts of an estimate in a pool of blocks. */
import { assertNever } from '../assert-never.ts';
import type { BlockGroup } from '../engines/block-groups.ts';
import { blockBytes, decodeGroupBlocks, pagedPrefillBlocks } from '../engines/paged.ts';
import { pagedPrefillBytes } from '../engines/paged-bytes.ts';
import { PAGED_STATES } from '../engines/states.ts';
import { type TokenPool, tokenPoolBytes } from '../engines/token-pool.ts';
import type { PagedLayout } from '../kv-layout.ts';
import {
  count,
  type EstimatePart,
  type KnownLayout,
  keptParts,
  SOURCES,
  stateParts,
} from './layer-parts.ts';

export function pagedParts(layout: PagedLayout & KnownLayout, tokens: number): EstimatePart[] {
  const { tokenPool } = layout;
  if (tokenPool !== undefined) return tokenPoolParts(layout, tokenPool, tokens);
  const bytesOfBlock = blockBytes(layout) ?? 0;
  return decodeGroupBlocks(layout, tokens).map(({ group, blocks }) => ({
    part: `Blocks of the layers that keep ${keptBy(group)}`,
    phase: 'decode',
    bytes: group.groups * blocks * bytesOfBlock,
    formula: `${group.groups} x ${count(blocks)} blocks of ${group.blockTokens} tokens x ${count(bytesOfBlock)} B`,
    source: SOURCES.vllm,
  }));
}

function tokenPoolParts(
  layout: PagedLayout & KnownLayout,
  pool: TokenPool,
  tokens: number,
): EstimatePart[] {
  const { spec, tensorParallel } = layout;
  const states = stateParts(spec, PAGED_STATES, tensorParallel, SOURCES.sglang);
  if (pool.slidingShare !== null) {
    return [...keptParts(layout, tensorParallel, tokens, SOURCES.sglang), ...states];
  }
  const bytes = tokenPoolBytes(layout, pool, tokens)?.placedBytes ?? 0;
  const part = {
    part: 'Places of all layers',
    phase: 'decode',
    bytes,
    formula: `${count(tokens)} tokens x ${count(bytes / tokens)} B: sliding layers keep them too`,
    source: SOURCES.tgi,
  } as const;
  return [part, ...states];
}

export function pagedPrefillPart(
  layout: PagedLayout & KnownLayout,
  promptTokens: number,
): EstimatePart {
  const inFlight = `with up to ${count(layout.inFlightTokens)} tokens in flight`;
  if (layout.tokenPool !== undefined) {
    return {
      part: 'Places of the prompt',
      phase: 'prefill',
      bytes: pagedPrefillBytes(layout, promptTokens),
      formula: `${count(promptTokens)} tokens, of which sliding layers keep their window, ${inFlight}`,
      source: layout.tokenPool.slidingShare === null ? SOURCES.tgi : SOURCES.sglang,
    };
  }
  const blocks = pagedPrefillBlocks(layout, promptTokens);
  return {
    part: 'Blocks of the prompt',
    phase: 'prefill',
    bytes: pagedPrefillBytes(layout, promptTokens),
    formula: `${count(blocks)} blocks x ${count(blockBytes(layout) ?? 0)} B, ${inFlight}`,
    source: SOURCES.vllm,
  };
}

function keptBy({ kept }: BlockGroup): string {
  switch (kept.kind) {
    case 'all':
      return 'every token';
    case 'window':
      return `a window of ${count(kept.tokens)} tokens`;
    case 'chunk':
      return `a chunk of ${count(kept.tokens)} tokens`;
    case 'state':
      return 'a state';
    default:
      return assertNever(kept);
  }
}
