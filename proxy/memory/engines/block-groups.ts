/**
 * How vLLM puts the layers of a model into groups that take blocks of one pool
 * (v1/core/kv_cache_utils.py, since v0.33 kv_cache_planning.py). A block serves
 * one group, and all blocks are of one size.
 */
import { type PagedLayout, tokenBytesOfLayer } from '../kv-layout.ts';
import type { LayerGroup } from '../models/model-spec.ts';
import { layerStateBytes, PAGED_STATES } from './states.ts';

/** What a group of layers keeps of a sequence. */
export type Kept =
  | { readonly kind: 'all' }
  | { readonly kind: 'window'; readonly tokens: number }
  | { readonly kind: 'chunk'; readonly tokens: number }
  | { readonly kind: 'state'; readonly blocks: number | 'each' };

export interface BlockGroup {
  /** Groups that are alike: each takes blocks of its own. */
  readonly groups: number;
  /** Tokens of a block in this group; a state is of no length and has the layout's. */
  readonly blockTokens: number;
  readonly kept: Kept;
}

export interface BlockPlan {
  readonly groups: readonly BlockGroup[];
  /** Of a block on each GPU. */
  readonly blockBytes: number;
}

/** The state that a request goes on from, and those of two batches in the works. */
const STATE_BLOCKS = 3;

/** Layers that are alike, with the bytes of their page: one layer's share of a block. */
interface Pages {
  readonly layers: number;
  readonly kept: Kept;
  readonly blockTokens: number;
  readonly bytes: number;
}

/** A layout never changes, and every charge of a decision asks for its plan. */
const PLANS = new WeakMap<PagedLayout, BlockPlan | null>();

/** Null without a spec: then neither the groups nor their sizes are known. */
export function blockPlan(layout: PagedLayout): BlockPlan | null {
  const known = PLANS.get(layout);
  if (known !== undefined) return known;
  const plan = planOf(layout);
  PLANS.set(layout, plan);
  return plan;
}

function planOf(layout: PagedLayout): BlockPlan | null {
  if (layout.spec === null) return null;
  const attention = attentionPages(layout);
  const pages = [...attention, ...statePages(layout)];
  const [first] = pages;
  if (first === undefined) return { groups: [], blockBytes: 0 };
  // Layers that keep the same tokens share a group whatever their shapes are.
  if (pages.every(({ kept }) => sameKept(kept, first.kept))) {
    const bytes = pages.reduce((sum, page) => sum + page.layers * page.bytes, 0);
    return { groups: [{ ...first, groups: 1 }], blockBytes: Math.ceil(bytes) };
  }
  const pageBytes = Math.max(...attention.map(({ bytes }) => bytes));
  const layers = layersOfBlock(pages);
  return {
    groups: pages.map((page) => ({
      groups: Math.ceil(page.layers / layers),
      blockTokens: matchedBlockTokens(page, pageBytes),
      kept: page.kept,
    })),
    blockBytes: Math.ceil(layers * Math.max(...pages.map(({ bytes }) => bytes))),
  };
}

function attentionPages(layout: PagedLayout): readonly Pages[] {
  const { blockTokens, kvBytesPerElement, tensorParallel } = layout;
  const groups = pooledLayers(layout);
  const everyTokenKept =
    layout.hybridManager === false && groups.some(({ windowTokens }) => windowTokens === null);
  return groups.map((group) => ({
    layers: group.layers,
    kept: everyTokenKept ? { kind: 'all' } : keptOf(group),
    blockTokens,
    bytes: blockTokens * tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel),
  }));
}

/**
 * vLLM raises the tokens of a block until an attention page is no smaller than a
 * state, and tells the raised number: the state's page is padded to it.
 */
function statePages(layout: PagedLayout): readonly Pages[] {
  const { spec, blockTokens, tensorParallel, stateBlocks } = layout;
  return (spec?.states ?? []).map((state) => ({
    layers: state.layers,
    kept: { kind: 'state', blocks: stateBlocks ?? STATE_BLOCKS },
    blockTokens,
    bytes: layerStateBytes(state, PAGED_STATES, tensorParallel),
  }));
}

/**
 * Tokens of a block of a layout that has those asked for: vLLM takes the smallest
 * multiple of them whose attention page holds a state (platforms/interface.py,
 * _align_hybrid_block_size; kernels that want larger steps than 16 get more).
 */
export function raisedBlockTokens(layout: PagedLayout): number {
  const states = statePages(layout).map(({ bytes }) => bytes);
  const attention = attentionPages(layout).map(({ bytes }) => bytes);
  if (states.length === 0 || attention.length === 0) return layout.blockTokens;
  const multiple = Math.ceil(Math.max(...states) / Math.max(...attention));
  return layout.blockTokens * Math.max(1, multiple);
}

/**
 * The model's layers and those of a draft beside its full ones (vLLM counts every
 * attention layer that is loaded: v1/worker/gpu/attn_utils.py, get_kv_cache_spec).
 */
function pooledLayers({ spec, drafting }: PagedLayout): readonly LayerGroup[] {
  const groups = spec?.groups ?? [];
  const draftLayers = drafting?.layers ?? 0;
  const alike = groups.findIndex((group) => group.windowTokens === null);
  const shape = groups[Math.max(0, alike)];
  if (draftLayers === 0 || shape === undefined) return groups;
  if (alike >= 0) return groups.with(alike, { ...shape, layers: shape.layers + draftLayers });
  const { chunked: _, ...full } = { ...shape, windowTokens: null, layers: draftLayers };
  return [...groups, full];
}

function keptOf({ windowTokens, chunked }: LayerGroup): Kept {
  if (windowTokens === null) return { kind: 'all' };
  return { kind: chunked === true ? 'chunk' : 'window', tokens: windowTokens };
}

function sameKept(a: Kept, b: Kept): boolean {
  const tokensOf = (kept: Kept) => ('tokens' in kept ? kept.tokens : null);
  return a.kind === b.kind && tokensOf(a) === tokensOf(b);
}

/**
 * A page that goes into the largest a whole number of times gets that many times
 * the tokens; any other is padded.
 */
function matchedBlockTokens({ kept, bytes, blockTokens }: Pages, pageBytes: number): number {
  const ratio = kept.kind === 'state' ? 1 : pageBytes / bytes;
  return Number.isInteger(ratio) ? blockTokens * ratio : blockTokens;
}

/**
 * Layers of one block: the smallest number of layers of a kind, or the largest
 * one where they are nearly equal and padding costs less than more groups.
 */
function layersOfBlock(pages: readonly Pages[]): number {
  const counts = pages.map(({ layers }) => layers);
  const fewest = Math.min(...counts);
  const most = Math.max(...counts);
  return most < 1.5 * fewest ? most : fewest;
}
