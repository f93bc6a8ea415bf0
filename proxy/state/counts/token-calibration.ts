/**
 * How many tokens prompts really have, over how many their bytes let expect:
 * code and Japanese have more, long words fewer. It moves what is expected of the
 * next prompt of the same instance, never its bounds.
 */
import { calibrated, type TokenBounds } from '../../memory/token-bounds.ts';

const RATIOS_KEPT = 64;
const RATIOS_NEEDED = 8;

interface Seen {
  /** The latest ratios, a ring. */
  readonly ratios: number[];
  next: number;
  median: number;
}

export class TokenCalibration {
  readonly #seen = new Map<string, Seen>();

  /** @param bounds as `applied` gave them; of prompts that were bounded by their bytes */
  learn(instance: string, bounds: TokenBounds, promptTokens: number): void {
    if (bounds.source !== 'bytes' || bounds.expected <= 0 || promptTokens <= 0) return;
    const plain = bounds.expected / (bounds.calibration ?? 1);
    const seen = this.#seen.get(instance) ?? { ratios: [], next: 0, median: 1 };
    seen.ratios[seen.next] = promptTokens / plain;
    seen.next = (seen.next + 1) % RATIOS_KEPT;
    seen.median = medianOf(seen.ratios);
    this.#seen.set(instance, seen);
  }

  /** The same bounds, with what is likely here between them. */
  applied(instance: string, bounds: TokenBounds): TokenBounds {
    const seen = this.#seen.get(instance);
    const isKnown = seen !== undefined && seen.ratios.length >= RATIOS_NEEDED;
    return isKnown && bounds.source === 'bytes' ? calibrated(bounds, seen.median) : bounds;
  }

  /** Another model has another vocabulary. */
  forget(instance: string): void {
    this.#seen.delete(instance);
  }
}

/** Robust: a prompt that is all base64 does not move it. */
function medianOf(ratios: readonly number[]): number {
  const sorted = [...ratios].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 1;
}
