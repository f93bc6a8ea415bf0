/** Parts of an estimate in a pool of blocks. */
import { assertNever } from '../assert-never.ts';
import type { BlockGroup } from '../engines/block-groups.ts';
import { blockBytes, decodeGroupBlocks, pagedPrefillBlocks } from '../engines/paged.ts';
import { pagedPrefillBytes } from '../engines/paged-bytes.ts';
import { PAGED_STATES, sequenceStateBytes } from '../engines/states.ts';
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

type KnownPool = PagedLayout & KnownLayout;

export function pagedParts(layout: KnownPool, tokens: number): EstimatePart[] {
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

function tokenPoolParts(layout: KnownPool, pool: TokenPool, tokens: number): EstimatePart[] {
  const { spec, tensorParallel } = layout;
  const states = stateParts(spec, PAGED_STATES, tensorParallel, SOURCES.pooledStates);
  if (pool.slidingShare !== null) {
    return [...keptParts(layout, tensorParallel, tokens, SOURCES.slidingPool), ...states];
  }
  const bytes = tokenPoolBytes(layout, pool, tokens)?.placedBytes ?? 0;
  const part = {
    part: 'Places of all layers',
    phase: 'decode',
    bytes,
    formula: `${count(tokens)} tokens x ${count(bytes / tokens)} B${slidingToo(layout)}`,
    source: SOURCES.onePool,
  } as const;
  return [part, ...states];
}

/** Parts of the moment before the windows of the last chunk are let go. */
export function pagedPrefillParts(layout: KnownPool, promptTokens: number): EstimatePart[] {
  const { tokenPool, spec, tensorParallel } = layout;
  const bytes = pagedPrefillBytes(layout, promptTokens);
  const prompt = `${count(promptTokens)} tokens`;
  const inFlight = `with up to ${count(layout.inFlightTokens)} tokens in flight`;
  if (tokenPool === undefined) {
    const blocks = pagedPrefillBlocks(layout, promptTokens);
    return [
      {
        part: 'Blocks of the prompt',
        phase: 'prefill',
        bytes,
        formula: `${count(blocks)} blocks x ${count(blockBytes(layout) ?? 0)} B, ${inFlight}`,
        source: SOURCES.vllm,
      },
    ];
  }
  const slides = tokenPool.slidingShare !== null;
  const places: EstimatePart = {
    part: 'Places of the prompt',
    phase: 'prefill',
    bytes: bytes - sequenceStateBytes(spec, PAGED_STATES, tensorParallel),
    formula: slides
      ? `${prompt}, of which sliding layers keep their window, ${inFlight}`
      : `${prompt}${slidingToo(layout)}`,
    source: slides ? SOURCES.slidingPool : SOURCES.onePool,
  };
  const states = stateParts(spec, PAGED_STATES, tensorParallel, SOURCES.pooledStates);
  return [places, ...states.map((part): EstimatePart => ({ ...part, phase: 'prefill' }))];
}

function slidingToo({ spec }: KnownPool): string {
  const slides = spec.groups.some(({ windowTokens }) => windowTokens !== null);
  return slides ? ': sliding layers keep them too' : '';
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
