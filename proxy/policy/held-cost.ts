/**
 * What a request costs those who wait beside it: the KV it holds, for as long
 * as it holds it, in byte-seconds on each GPU.
 */
import type { Charge, Estimate } from './types.ts';

/** KV of a token where the geometry is unknown: 32 layers of 8 KV heads of 128, in 16 bit (Llama 3 8B). */
const STAND_IN_TOKEN_BYTES = 128 * 1024;
/** Where no speed was learned yet: 5,000 prompt tokens a second, 50 tokens of output. */
const STAND_IN_PREFILL_MS = 0.2;
const STAND_IN_DECODE_MS = 20;
/** One token for one step: what takes no time or no KV still took a turn. */
const LEAST_COST = (STAND_IN_TOKEN_BYTES * STAND_IN_DECODE_MS) / 1000;

/**
 * KV-byte-seconds of a request that comes to so many tokens of output in so much
 * time. A charge tells its KV at the end of all the output it may have; that
 * of less is taken in proportion to the tokens.
 *
 * @param outputTokens of one sequence
 * @param durationMs null: not known; it is taken from the tokens then
 */
export function heldCost(charge: Charge, outputTokens: number, durationMs: number | null): number {
  const { promptTokens, sequences, kvBytes } = charge;
  const tokens = promptTokens + sequences * Math.min(outputTokens, charge.outputTokens);
  const mostTokens = promptTokens + sequences * charge.outputTokens;
  const share = mostTokens === 0 ? 1 : tokens / mostTokens;
  const bytes = kvBytes === null ? tokens * STAND_IN_TOKEN_BYTES : kvBytes * share;
  const ms = durationMs ?? promptTokens * STAND_IN_PREFILL_MS + outputTokens * STAND_IN_DECODE_MS;
  return Math.max(LEAST_COST, (bytes * ms) / 1000);
}

/** Output tokens of one sequence that are likely: half of the outputs of its kind are no longer. */
export function likelyTokens(charge: Charge, estimate: Estimate): number {
  return Math.min(charge.outputTokens, estimate.outputTokens?.q50Tokens ?? charge.outputTokens);
}
