/**
 * When a live lease is likely to end: at the median of the outputs that were
 * longer than what it has produced, at its instance's speed.
 */
import type { Lease } from './lease.ts';
import type { LengthForecasts } from './lengths/length-forecasts.ts';
import type { Speeds } from './speeds.ts';

export class LeaseEnds {
  readonly #speeds: Speeds;
  readonly #lengths: LengthForecasts;

  constructor(speeds: Speeds, lengths: LengthForecasts) {
    this.#speeds = speeds;
    this.#lengths = lengths;
  }

  /** May be past: then the prediction was wrong. null before the instance's speed is known. */
  predictedMs(lease: Lease, nowMs: number): number | null {
    const { instance, charge, takenAtMs, lengthKey } = lease.terms;
    const producedTokens = this.#producedTokens(lease, nowMs);
    // The last of several sequences is what ends it.
    const share = charge.sequences > 1 ? 0.95 : 0.5;
    const likelyTokens =
      lengthKey === undefined ? null : this.#lengths.likelyTokens(lengthKey, share, producedTokens);
    const outputTokens = Math.min(charge.outputTokens, likelyTokens ?? charge.outputTokens);
    if (producedTokens === 0) {
      const ms = this.#speeds.durationMs(instance, charge.promptTokens, outputTokens);
      return ms === null ? null : takenAtMs + ms;
    }
    const ms = this.#speeds.durationMs(instance, 0, outputTokens - producedTokens);
    return ms === null ? null : nowMs + ms;
  }

  /**
   * What was seen of its output; where nothing can be seen, as once its client
   * has left, what is likely to be there by now.
   */
  #producedTokens({ state, generatedTokens, terms }: Lease, nowMs: number): number {
    const { instance, charge, takenAtMs, streams } = terms;
    if (state === 'open' && (streams || generatedTokens > 0)) return generatedTokens;
    const { promptTokens, outputTokens } = charge;
    const elapsedMs = nowMs - takenAtMs;
    const likelyTokens = this.#speeds.outputTokensAfter(instance, promptTokens, elapsedMs);
    return Math.min(Math.max(generatedTokens, likelyTokens), outputTokens);
  }
}
