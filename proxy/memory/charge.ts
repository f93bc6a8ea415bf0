/**
 * What one request is charged on one instance, in the instance's own currency:
 * bytes on `dynamic`, blocks on `paged`, cells on `slots`. The charge is an
 * upper bound: it holds however the prompt tokens are split over the prompts
 * of the body, and shared prefixes are charged to every sequence.
 */
import { assertNever } from './assert-never.ts';
import { decodeCacheBytes } from './engines/dynamic.ts';
import { blockBytes, pagedBlocks } from './engines/paged.ts';
import { liveCellBytes } from './engines/slots.ts';
import { PAGED_STATES, sequenceStateBytes } from './engines/states.ts';
import { placedOutputTokens } from './engines/token-pool.ts';
import { type KvLayout, naiveKvBytes, type PagedLayout } from './kv-layout.ts';
import { sequenceUnits } from './sequence-units.ts';
import { contextTokensOf, decodeUnitsOf, firstStepUnitsOf, prefillUnitsOf } from './units.ts';

export { contextTokensOf, unitBytes } from './units.ts';

export interface Charge {
  /** Prompts of the body; each is sampled sequences / prompts times. */
  readonly prompts: number;
  readonly sequences: number;
  /** Of all prompts of the body together, each counted once. */
  readonly promptTokens: number;
  /** Of one sequence. */
  readonly outputTokens: number;
  /** Units until the first token is known to have been produced. */
  readonly prefillUnits: number;
  /**
   * The most units once a first token is out. For one sequence: at prompt +
   * output tokens. For several the peak, since the others may still be in prefill.
   */
  readonly finalUnits: number;
  /** What must be free for the request to be safe: the most it ever holds. */
  readonly peakUnits: number;
  /** KV and states, in bytes on each GPU at the end of decoding; null when the geometry is unknown. */
  readonly kvBytes: number | null;
  /** The plain formula's figure (all layers, full attention), reported beside the real one. */
  readonly naiveBytes: number | null;
}

/**
 * Charges a request. It is monotone in every count.
 *
 * @param promptTokens of all prompts of the body together, a whole number
 * @param outputTokens of one sequence; its end is bounded by the layout's context
 * @param prompts prompts in the body, at least 1
 * @param samplesPerPrompt sequences generated for each prompt, at least 1
 */
export function chargeOf(
  layout: KvLayout,
  promptTokens: number,
  outputTokens: number,
  prompts: number,
  samplesPerPrompt: number,
): Charge {
  const firstTokens = outputInPlace(layout, outputTokens, 0);
  const promptKvTokens = tokensOfPrompts(layout, promptTokens, firstTokens, prompts);
  const endTokens = tokensOfPrompts(layout, promptTokens, outputTokens, prompts);
  const sequences = prompts * samplesPerPrompt;
  const prefillUnits = prefillUnitsOf(layout, promptKvTokens, prompts);
  const decodeUnits = decodeUnitsOf(layout, endTokens, prompts);
  // Several prompts need not peak in the same phase: each counts as prefill up to its very end.
  const peakUnits =
    prompts === 1
      ? Math.max(prefillUnits, overlapUnits(layout, promptKvTokens, outputTokens), decodeUnits)
      : prefillUnitsOf(layout, endTokens, prompts);
  const kvBytes = kvBytesOf(layout, endTokens, prompts);
  const { spec, kvBytesPerElement } = layout;
  return {
    prompts,
    sequences,
    promptTokens,
    outputTokens,
    prefillUnits: samplesPerPrompt * prefillUnits,
    finalUnits: samplesPerPrompt * (sequences === 1 ? decodeUnits : peakUnits),
    peakUnits: samplesPerPrompt * peakUnits,
    kvBytes: kvBytes === null ? null : samplesPerPrompt * kvBytes,
    naiveBytes:
      spec === null ? null : samplesPerPrompt * naiveKvBytes(spec, endTokens, kvBytesPerElement),
  };
}

/**
 * The units a lease holds right now. Of several sequences all are taken to be
 * as far as the longest: enough to explain an engine's gauge, not to reserve by.
 *
 * @param generatedTokens of one sequence, the longest; ignored in prefill
 */
export function heldUnits(
  layout: KvLayout,
  charge: Charge,
  phase: 'prefill' | 'decode',
  generatedTokens: number,
): number {
  if (phase === 'prefill') return charge.prefillUnits;
  const { prompts, promptTokens } = charge;
  const samplesPerPrompt = charge.sequences / prompts;
  // The client has the first token while the step that follows it still runs.
  if (layout.model === 'dynamic' && generatedTokens < 2) {
    const tokens = tokensOfPrompts(layout, promptTokens, 0, prompts);
    return samplesPerPrompt * firstStepUnitsOf(layout, tokens, prompts);
  }
  const placedTokens = outputInPlace(layout, charge.outputTokens, generatedTokens);
  const tokens = tokensOfPrompts(layout, promptTokens, placedTokens, prompts);
  // Asked for every token of every stream: of a single sequence what was said once is remembered.
  if (charge.sequences === 1) return sequenceUnits(layout, tokens);
  return samplesPerPrompt * decodeUnitsOf(layout, tokens, prompts);
}

/**
 * With async scheduling the first decode step is in the works before the blocks
 * of the last batch of prefill go back.
 */
function overlapUnits(layout: KvLayout, promptKvTokens: number, outputTokens: number): number {
  if (layout.model !== 'paged' || layout.tokenPool !== undefined || outputTokens < 2) return 0;
  return prefillUnitsOf(layout, Math.min(promptKvTokens + 1, layout.contextTokens), 1);
}

/** Output tokens of one sequence that hold units when so many of them are generated. */
function outputInPlace(layout: KvLayout, outputTokens: number, generatedTokens: number): number {
  return layout.model === 'paged'
    ? placedOutputTokens(layout.tokenPool, outputTokens, generatedTokens)
    : generatedTokens;
}

/** Tokens of one sample of every prompt, each ended by the context at the latest. */
function tokensOfPrompts(
  layout: KvLayout,
  promptTokens: number,
  outputTokens: number,
  prompts: number,
): number {
  return Math.min(promptTokens + prompts * outputTokens, prompts * contextTokensOf(layout));
}

function kvBytesOf(layout: KvLayout, tokens: number, sequences: number): number | null {
  switch (layout.model) {
    case 'dynamic':
      return decodeCacheBytes(layout, tokens, sequences);
    case 'paged':
      return pagedBytes(layout, tokens, sequences);
    case 'slots':
      return liveCellBytes(layout, tokens, sequences);
    default:
      return assertNever(layout);
  }
}

/** Where a block serves all layers at once, those with a state have theirs in a pool beside it. */
function pagedBytes(layout: PagedLayout, tokens: number, sequences: number): number | null {
  const { spec, tensorParallel, tokenPool } = layout;
  const bytes = blockBytes(layout);
  if (spec === null || bytes === null) return null;
  const poolBytes = bytes * pagedBlocks(layout, tokens, sequences);
  if (tokenPool === undefined) return poolBytes;
  return poolBytes + sequences * sequenceStateBytes(spec, PAGED_STATES, tensorParallel);
}
