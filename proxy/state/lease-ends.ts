/**
 * When a live lease is likely to end, at its instance's speed: as the outputs
 * did that were longer than what it has produced.
 */
import { lengthAt } from '../policy/length-curve.ts';
import type { Lease } from './lease.ts';
import type { LengthForecasts } from './lengths/length-forecasts.ts';
import type { Speeds } from './speeds.ts';

/**
 * Each lease is taken to end in equal parts at these shares of such outputs:
 * of many leases about so many end by then, which no single moment would tell.
 */
const SHARES = [1 / 6, 1 / 2, 5 / 6] as const;
/** The last of several sequences is what ends the lease. */
const SHARE_OF_SEVERAL = [0.95] as const;

/** Ends are the same moments for a while: what a lease generates meanwhile was foreseen. */
const VALID_MS = 100;

interface KnownEnds {
  readonly ends: readonly number[] | null;
  readonly state: Lease['state'];
  readonly untilMs: number;
}

export class LeaseEnds {
  readonly #speeds: Speeds;
  readonly #lengths: LengthForecasts;
  readonly #known = new WeakMap<Lease, KnownEnds>();

  constructor(speeds: Speeds, lengths: LengthForecasts) {
    this.#speeds = speeds;
    this.#lengths = lengths;
  }

  /** Moments of equal parts of it; a part may be past: its prediction was wrong. null before the instance's speed is known. */
  predictedMs(lease: Lease, nowMs: number): readonly number[] | null {
    const known = this.#known.get(lease);
    if (known !== undefined && nowMs < known.untilMs && known.state === lease.state) {
      return known.ends;
    }
    const ends = this.#predictedMs(lease, nowMs);
    this.#known.set(lease, { ends, state: lease.state, untilMs: nowMs + VALID_MS });
    return ends;
  }

  /** When a lease gives back what only its prefill takes. */
  decodingMs(lease: Lease, nowMs: number): number {
    const { instance, charge, takenAtMs } = lease.terms;
    return Math.max(
      nowMs,
      takenAtMs + (this.#speeds.durationMs(instance, charge.promptTokens, 1) ?? 0),
    );
  }

  #predictedMs(lease: Lease, nowMs: number): readonly number[] | null {
    const { instance, charge, takenAtMs, lengthKey } = lease.terms;
    const producedTokens = this.#producedTokens(lease, nowMs);
    const curve = lengthKey === undefined ? null : this.#lengths.curveOf(lengthKey, producedTokens);
    const shares = charge.sequences > 1 ? SHARE_OF_SEVERAL : SHARES;
    const lengths =
      curve === null
        ? [charge.outputTokens]
        : shares.map((share) =>
            Math.min(charge.outputTokens, lengthAt(curve, share, producedTokens)),
          );
    const started = producedTokens > 0;
    const fromMs = started ? nowMs : takenAtMs;
    const prompt = started ? 0 : charge.promptTokens;
    const ends: number[] = [];
    for (const tokens of lengths) {
      const ms = this.#speeds.durationMs(instance, prompt, tokens - producedTokens);
      if (ms === null) return null;
      ends.push(fromMs + ms);
    }
    return ends;
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
