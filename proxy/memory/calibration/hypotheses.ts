/**
 * The ways in which an engine may lay out KV other than the one that was
 * assumed of it: each differs in what no endpoint tells for certain, and each
 * predicts other figures.
 */
import type { KvLayout, PagedLayout } from '../kv-layout.ts';
import { prefillUnitsOf } from '../units.ts';
import { fullLengthBlocks, type Observation } from './observation.ts';

export interface Hypothesis<L extends KvLayout = KvLayout> {
  /** As an operator would say it. */
  readonly name: string;
  readonly layout: L;
}

export const AS_ASSUMED = 'as assumed';

/**
 * `max_num_batched_tokens` as it is usual on small GPUs, large ones and the
 * largest, and twice each: with async scheduling two batches are in the works
 * (vLLM: arg_utils.py, get_batch_defaults; config/vllm.py, max_in_flight_tokens).
 * The assumed number may be of such a pair as well: v0.32 on a CPU was told 256,
 * left async scheduling off and counted with 256.
 */
const USUAL_IN_FLIGHT_TOKENS = [2048, 4096, 8192, 16_384, 32_768];
const USUAL_BLOCK_TOKENS = [16, 32, 64, 128, 256];
const ELEMENT_BYTES = [2, 1, 4];
const GPUS = [1, 2, 4, 8];

/**
 * Every hypothesis, the assumed layout first, and of two that predict the same
 * the more usual one. Only pools like vLLM's have several: what other engines
 * leave open does not show in their figures.
 * @param told figures of the engine's own, from which one more may follow
 */
export function hypothesesOf(
  base: KvLayout,
  told: readonly Observation[],
): readonly [Hypothesis, ...Hypothesis[]] {
  const assumed = { name: AS_ASSUMED, layout: base };
  if (base.model !== 'paged' || base.tokenPool !== undefined || base.spec === null) {
    return [assumed];
  }
  const counts: readonly Hypothesis<PagedLayout>[] = [
    { name: AS_ASSUMED, layout: base },
    ...groupVariations(base),
    ...inFlightVariations(base, told),
    ...USUAL_BLOCK_TOKENS.filter((tokens) => tokens !== base.blockTokens).map((blockTokens) => ({
      name: `blocks of ${blockTokens} tokens`,
      layout: { ...base, blockTokens },
    })),
  ];
  const sizesAreSeen = told.some(({ kind }) => kind === 'pool_blocks');
  return [assumed, ...counts.slice(1), ...(sizesAreSeen ? counts.flatMap(sizeVariations) : [])];
}

/** With the hybrid manager off, sliding layers are kept like full ones (vLLM: unify_hybrid_kv_cache_specs). */
function groupVariations(base: PagedLayout): readonly Hypothesis<PagedLayout>[] {
  const windows = new Set(base.spec?.groups.map(({ windowTokens }) => windowTokens));
  if (!windows.has(null) || windows.size < 2) return [];
  const { hybridManager, ...rest } = base;
  return hybridManager === false
    ? [{ name: 'hybrid KV cache manager on', layout: rest }]
    : [{ name: 'hybrid KV cache manager off', layout: { ...base, hybridManager: false } }];
}

function inFlightVariations(
  base: PagedLayout,
  told: readonly Observation[],
): readonly Hypothesis<PagedLayout>[] {
  const slides = base.spec?.groups.some(({ windowTokens }) => windowTokens !== null) ?? false;
  if (!slides || base.hybridManager === false) return [];
  const solved = told.flatMap((observation) => inFlightTokensOf(base, observation) ?? []);
  const { inFlightTokens: assumed, contextTokens } = base;
  const usual = [Math.ceil(assumed / 2), 2 * assumed, ...USUAL_IN_FLIGHT_TOKENS];
  const candidates = [...usual, ...solved].map((tokens) => Math.min(contextTokens, tokens));
  return [...new Set(candidates)]
    .filter((tokens) => tokens !== assumed)
    .map((inFlightTokens) => ({
      name: `${inFlightTokens} tokens in flight`,
      layout: { ...base, inFlightTokens },
    }));
}

/** The most tokens in flight that make the told figure what it is; null where none do. */
function inFlightTokensOf(base: PagedLayout, observation: Observation): number | null {
  if (observation.kind !== 'full_length_blocks') return null;
  const { contextTokens, measured } = observation;
  const blocksAt = (inFlightTokens: number) =>
    fullLengthBlocks({ ...base, inFlightTokens }, contextTokens) ?? Number.POSITIVE_INFINITY;
  let least = 1;
  let most = contextTokens;
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    if (blocksAt(middle) <= measured.hi) least = middle;
    else most = middle - 1;
  }
  const blocks = blocksAt(least);
  return blocks >= measured.lo && blocks <= measured.hi ? least : null;
}

/** The bytes of a block: the type of its elements, and over how many GPUs its heads are split. */
function sizeVariations({ name, layout }: Hypothesis<PagedLayout>): readonly Hypothesis[] {
  const prefix = name === AS_ASSUMED ? '' : `${name}, `;
  const sizes = ELEMENT_BYTES.flatMap((kvBytesPerElement) =>
    GPUS.map((tensorParallel) => ({ kvBytesPerElement, tensorParallel })),
  );
  return sizes
    .filter(
      ({ kvBytesPerElement, tensorParallel }) =>
        kvBytesPerElement !== layout.kvBytesPerElement || tensorParallel !== layout.tensorParallel,
    )
    .map((size) => ({
      name: `${prefix}KV of ${size.kvBytesPerElement} bytes an element, ${
        size.tensorParallel === 1 ? 'on one GPU' : `split over ${size.tensorParallel} GPUs`
      }`,
      layout: { ...layout, ...size },
    }));
}

/** The one that charges the most for long and for short requests; the first of several alike. */
export function dearest(hypotheses: readonly Hypothesis[]): Hypothesis | null {
  let best: { readonly hypothesis: Hypothesis; readonly units: number } | null = null;
  for (const hypothesis of hypotheses) {
    const units = chargedUnits(hypothesis.layout);
    if (best === null || units > best.units) best = { hypothesis, units };
  }
  return best?.hypothesis ?? null;
}

const LENGTHS_COMPARED = [1, 1 / 4, 1 / 16, 1 / 64];

function chargedUnits(layout: KvLayout): number {
  const contextTokens =
    layout.model === 'dynamic' ? layout.spec.contextTokens : layout.contextTokens;
  return LENGTHS_COMPARED.map((share) =>
    prefillUnitsOf(layout, Math.ceil(contextTokens * share), 1),
  ).reduce((sum, units) => sum + units, 0);
}
