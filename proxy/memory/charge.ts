/**
 * What one request is charged on one instance, in the instance's own currency:
 * bytes on `dynamic`, blocks on `paged`, cells on `slots`. The charge is an
 * upper bound: it holds however the prompt tokens are split over the prompts
 * of the body, and shared prefixes are charged to every sequence.
 */
import { type KvLayout, naiveKvBytes, steadyKvBytes } from './kv-layout.ts';
import { blockBytes, pagedBlocks } from './paged.ts';
import { placedOutputTokens } from './token-pool.ts';
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
  /** KV bytes on each GPU at the end of decoding; null when the geometry is unknown. */
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
      ? Math.max(prefillUnits, decodeUnits)
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
  return samplesPerPrompt * decodeUnitsOf(layout, tokens, prompts);
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
  if (layout.model === 'paged') {
    const bytes = blockBytes(layout);
    return bytes === null ? null : bytes * pagedBlocks(layout, tokens, sequences);
  }
  const { spec, kvBytesPerElement } = layout;
  return spec === null ? null : steadyKvBytes(spec, tokens, kvBytesPerElement, 1, sequences);
}
