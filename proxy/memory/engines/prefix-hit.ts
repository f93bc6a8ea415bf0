/**
 * What a prefix that another request computed saves in a pool like vLLM's
 * (single_type_kv_cache_manager.py, find_longest_cache_hit and
 * get_num_blocks_to_allocate).
 */

import type { PagedLayout } from '../kv-layout.ts';
import type { BlockGroup } from './block-groups.ts';
import { blockGroups, mostPrefillBlocks } from './paged.ts';

export interface PrefixHit {
  /** Tokens of the prefix that are not computed again. */
  readonly tokens: number;
  /** Blocks that have to be in the cache for it: of a window only those before the hit's end. */
  readonly cachedBlocks: number;
  /** Blocks of the request that are others' as well, for as long as it runs. */
  readonly sharedBlocks: number;
  /**
   * As many and, beside them, blocks of sliding layers: others' too until the
   * window has moved past the prefix. A charge for decoding has them as its own.
   */
  readonly sharedInPrefillBlocks: number;
}

/**
 * The longest hit there can be on a prefix of `prefixTokens` tokens, if all of
 * its blocks are still cached. What is shared may be charged once for all who
 * hold it, and has to be charged to the first of them: a cached block that
 * nobody holds counts as free until it is taken again. States are copied on.
 *
 * @param promptTokens of one prompt; its last token is always computed
 */
export function prefixHit(
  layout: PagedLayout,
  promptTokens: number,
  prefixTokens: number,
): PrefixHit {
  // A pool whose blocks serve all layers shares whole blocks and nothing else.
  const { blockTokens, tokenPool } = layout;
  const groups: readonly BlockGroup[] =
    tokenPool === undefined
      ? blockGroups(layout)
      : [{ groups: 1, blockTokens, kept: { kind: 'all' } }];
  const stepTokens = groups.reduce(
    (multiple, { blockTokens }) => leastCommonMultiple(multiple, blockTokens),
    1,
  );
  const whole = Math.floor(Math.max(0, Math.min(prefixTokens, promptTokens - 1)) / stepTokens);
  // A draft computes the last block again: it starts from hidden states, which are not cached.
  const hitTokens = stepTokens * Math.max(0, layout.drafting === null ? whole : whole - 1);
  const sum = (blocksOf: (group: BlockGroup) => number) =>
    groups.reduce((total, group) => total + group.groups * blocksOf(group), 0);
  return {
    tokens: hitTokens,
    cachedBlocks: sum((group) => cachedBlocks(group, hitTokens)),
    sharedBlocks: sum(({ blockTokens: tokens, kept }) =>
      kept.kind === 'all' ? hitTokens / tokens : 0,
    ),
    sharedInPrefillBlocks: sum((group) => sharedInPrefill(layout, group, promptTokens, hitTokens)),
  };
}

/** A chunk that the hit ends in has to be there from its beginning on. */
function cachedBlocks({ blockTokens, kept }: BlockGroup, hitTokens: number): number {
  const hitBlocks = hitTokens / blockTokens;
  switch (kept.kind) {
    case 'all':
      return hitBlocks;
    case 'window':
      return Math.min(hitBlocks, Math.ceil((kept.tokens - 1) / blockTokens));
    case 'chunk':
      return hitBlocks - Math.floor((hitTokens - (hitTokens % kept.tokens)) / blockTokens);
    default:
      return Math.min(1, hitBlocks);
  }
}

function sharedInPrefill(
  layout: PagedLayout,
  group: BlockGroup,
  promptTokens: number,
  hitTokens: number,
): number {
  if (group.kept.kind === 'state') return 0;
  const hitBlocks = hitTokens / group.blockTokens;
  const wholeBlocks = Math.ceil(promptTokens / group.blockTokens);
  const most = mostPrefillBlocks(group, layout);
  return Math.min(most, wholeBlocks) - Math.min(most, wholeBlocks - hitBlocks);
}

function leastCommonMultiple(a: number, b: number): number {
  let [divisor, rest] = [a, b];
  while (rest !== 0) [divisor, rest] = [rest, divisor % rest];
  return (a / divisor) * b;
}
