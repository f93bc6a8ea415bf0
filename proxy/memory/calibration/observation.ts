/**
 * What an engine shows of how it lays out KV, as figures that a layout can be
 * held against: each has the range that was measured, and a layout predicts a
 * range for it. Ranges that do not meet contradict the layout.
 */
import { assertNever } from '../assert-never.ts';
import { blockBytes, blockGroups, pagedBlocks } from '../engines/paged.ts';
import { slotCells } from '../engines/slots.ts';
import type { KvLayout, PagedLayout, SlotsLayout } from '../kv-layout.ts';

/** Both ends included. */
export interface Range {
  readonly lo: number;
  readonly hi: number;
}

export type Observation =
  /** Told: blocks of a request as long as the context (vLLM: the pool over its maximum concurrency). */
  | {
      readonly kind: 'full_length_blocks';
      readonly measured: Range;
      readonly contextTokens: number;
    }
  /** Told: how many times more of them a long context takes than a short one, of pools of one size. */
  | {
      readonly kind: 'full_length_ratio';
      readonly measured: Range;
      readonly longTokens: number;
      readonly shortTokens: number;
    }
  /** Told: blocks made of so many bytes on each GPU. */
  | { readonly kind: 'pool_blocks'; readonly measured: Range; readonly poolBytes: Range }
  /** Sampled: units in use while nobody's but these sequences were at work. */
  | {
      readonly kind: 'held_units';
      readonly measured: Range;
      readonly sequences: readonly HeldSequence[];
    };

/** A sequence in decode, at the moment of a sample. */
export interface HeldSequence {
  /** Prompt and output together. */
  readonly tokens: Range;
  /** Tokens whose KV it may share with another one; null: any of them. */
  readonly sharedTokens: number | null;
}

type PoolLayout = PagedLayout | SlotsLayout;

/** Told figures are the engine's own arithmetic: one of them is proof. Samples have to agree. */
export function isTold({ kind }: Observation): boolean {
  return kind !== 'held_units';
}

/**
 * How far the measured range lies from the predicted one, as a factor; 1 where
 * they meet: what the range explains is no error of the model. null where the
 * layout says nothing of the figure. Any other number contradicts the layout.
 */
export function ratioOf(layout: KvLayout, observation: Observation): number | null {
  const expected = predicted(layout, observation);
  if (expected === null) return null;
  const { lo, hi } = observation.measured;
  if (lo > expected.hi) return expected.hi > 0 ? lo / expected.hi : Number.POSITIVE_INFINITY;
  return hi < expected.lo ? hi / expected.lo : 1;
}

/** What a layout says the figure should be; null where it says nothing of it. */
export function predicted(layout: KvLayout, observation: Observation): Range | null {
  switch (observation.kind) {
    case 'full_length_blocks':
      return exactly(fullLengthBlocks(layout, observation.contextTokens));
    case 'full_length_ratio': {
      const long = fullLengthBlocks(layout, observation.longTokens);
      const short = fullLengthBlocks(layout, observation.shortTokens);
      return exactly(long === null || short === null ? null : long / short);
    }
    case 'pool_blocks': {
      const bytes = plainBlockBytes(layout);
      if (bytes === null) return null;
      const { lo, hi } = observation.poolBytes;
      return { lo: Math.floor(lo / bytes), hi: Math.floor(hi / bytes) };
    }
    case 'held_units':
      return heldUnits(layout, observation.sequences);
    default:
      return assertNever(observation);
  }
}

/**
 * Blocks that vLLM's start-up figure counts for one request of `contextTokens`:
 * every token in full groups, and in sliding ones the window with what may be
 * in flight, in one block more than that fills. Unlike an admission it is not
 * cut at the blocks of the context (vLLM: kv_cache_interface.py,
 * SlidingWindowSpec.max_admission_blocks_per_request; v0.32 told 129 of 160
 * blocks where a cut would make 128). null where a group keeps something else,
 * or guesses are in flight as well: those figures differ between versions.
 */
export function fullLengthBlocks(layout: KvLayout, contextTokens: number): number | null {
  if (layout.model !== 'paged' || layout.spec === null) return null;
  if (layout.tokenPool !== undefined || layout.drafting !== null) return null;
  let blocks = 0;
  for (const { groups, blockTokens, kept } of blockGroups(layout)) {
    if (kept.kind === 'all') {
      blocks += groups * Math.ceil(contextTokens / blockTokens);
    } else if (kept.kind === 'window') {
      const spanTokens = Math.min(kept.tokens - 1 + layout.inFlightTokens, contextTokens);
      blocks += groups * (Math.ceil(spanTokens / blockTokens) + 1);
    } else {
      return null;
    }
  }
  return blocks;
}

/** Of blocks that hold nothing but KV of tokens: those of other layers are padded, each in its way. */
function plainBlockBytes(layout: KvLayout): number | null {
  if (layout.model !== 'paged' || layout.spec === null || layout.drafting !== null) return null;
  const { states, groups } = layout.spec;
  const arePlain = groups.every(({ packedTokenBytes }) => packedTokenBytes === undefined);
  return states.length === 0 && arePlain ? blockBytes(layout) : null;
}

function exactly(value: number | null): Range | null {
  return value === null ? null : { lo: value, hi: value };
}

/** Of all sequences together: a prefix that several have in common is held once. */
function heldUnits(layout: KvLayout, sequences: readonly HeldSequence[]): Range | null {
  if (layout.model === 'dynamic') return null;
  // Such an engine tells what it has set aside for output, not what is there of it.
  if (layout.model === 'paged' && (layout.tokenPool?.outputChunkTokens ?? 1) > 1) return null;
  const each = sequences.map((sequence) => heldBySequence(layout, sequence.tokens));
  const own = sequences.map(({ sharedTokens }, index) => {
    const lo = each[index]?.lo ?? 0;
    return sharedTokens === null ? 0 : Math.max(0, lo - sharedUnits(layout, sharedTokens));
  });
  const largest = Math.max(0, ...each.map(({ lo }) => lo));
  return { lo: Math.max(largest, sum(own)), hi: sum(each.map(({ hi }) => hi)) };
}

function heldBySequence(layout: PoolLayout, tokens: Range): Range {
  if (layout.model === 'slots') {
    return { lo: slotCells(layout, tokens.lo), hi: slotCells(layout, tokens.hi) };
  }
  return { lo: leastBlocks(layout, tokens.lo), hi: pagedBlocks(layout, tokens.hi) };
}

function sharedUnits(layout: PoolLayout, tokens: number): number {
  if (tokens === 0) return 0;
  return layout.model === 'slots' ? tokens : pagedBlocks(layout, tokens);
}

/** Without guesses, and with every window begun at a block's start. */
function leastBlocks(layout: PagedLayout, tokens: number): number {
  const wholeBlocks = Math.ceil(tokens / layout.blockTokens);
  if (layout.tokenPool !== undefined) return wholeBlocks;
  return blockGroups(layout).reduce((blocks, { groups, blockTokens, kept }) => {
    const all = Math.ceil(tokens / blockTokens);
    switch (kept.kind) {
      case 'all':
        return blocks + groups * all;
      case 'window':
        return blocks + groups * Math.min(all, Math.floor(kept.tokens / blockTokens));
      // A chunk may just have begun, and where a state is kept is the engine's affair.
      case 'chunk':
      case 'state':
        return blocks;
      default:
        return assertNever(kept);
    }
  }, 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
