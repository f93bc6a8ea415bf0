/**
 * What was learned of each instance: how long prompts and tokens take there
 * (speeds.ts), and how long its answers were lately. What a request is likely
 * to bring, whatever the instance, is in length-forecasts.ts. Nothing is
 * predicted before something was seen.
 */
import { assertNever } from '../policy/types.ts';
import { Speeds, type Timing } from './speeds.ts';

const OUTPUTS_KEPT = 512;
const OUTPUTS_NEEDED = 20;

export interface Settled extends Timing {
  /** What ended the answer: the model itself, the limit it was asked with, or one that kvgate set. */
  readonly endedBy: 'itself' | 'asked_limit' | 'set_limit';
}

interface Outputs {
  /** The latest output lengths, a ring. */
  readonly tokens: number[];
  next: number;
  q99: number | null;
}

export class Predictor {
  readonly #speeds = new Speeds();
  readonly #outputs = new Map<string, Outputs>();

  /** Learns from a request that ran to its end. */
  settled(instance: string, sample: Settled): void {
    this.#speeds.learn(instance, sample);
    const length = sample.outputTokens <= 0 ? null : lengthOf(sample);
    if (length === null) return;
    const outputs = this.#of(instance);
    outputs.tokens[outputs.next] = length;
    outputs.next = (outputs.next + 1) % OUTPUTS_KEPT;
    outputs.q99 = null;
  }

  /** The 99th percentile of the latest output lengths; null until 20 were seen. */
  outputTokensQ99(instance: string): number | null {
    const outputs = this.#of(instance);
    if (outputs.tokens.length < OUTPUTS_NEEDED) return null;
    if (outputs.q99 === null) {
      const sorted = [...outputs.tokens].sort((a, b) => a - b);
      outputs.q99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? null;
    }
    return outputs.q99;
  }

  /**
   * As `durationMs`, for an output as long as those seen lately, if that is
   * shorter than the longest it may be and not below what is out already.
   */
  likelyDurationMs(
    instance: string,
    charge: { readonly promptTokens: number; readonly outputTokens: number },
    generatedTokens = 0,
  ): number | null {
    const { promptTokens, outputTokens } = charge;
    const likelyTokens = Math.max(generatedTokens, this.outputTokensQ99(instance) ?? outputTokens);
    return this.durationMs(instance, promptTokens, Math.min(outputTokens, likelyTokens));
  }

  /** The least of `likelyDurationMs` over several instances; null when none has learned yet. */
  quickestDurationMs(
    instances: readonly string[],
    charge: { readonly promptTokens: number; readonly outputTokens: number },
  ): number | null {
    const durations = instances.flatMap((name) => this.likelyDurationMs(name, charge) ?? []);
    return durations.length === 0 ? null : Math.min(...durations);
  }

  /** Predicted time from forwarding to the last token; null before anything was learned. */
  durationMs(...request: Parameters<Speeds['durationMs']>): number | null {
    return this.#speeds.durationMs(...request);
  }

  /** The output that is likely to exist so long after forwarding; 0 before anything was learned. */
  outputTokensAfter(...request: Parameters<Speeds['outputTokensAfter']>): number {
    return this.#speeds.outputTokensAfter(...request);
  }

  #of(instance: string): Outputs {
    const known = this.#outputs.get(instance);
    if (known !== undefined) return known;
    const fresh: Outputs = { tokens: [], next: 0, q99: null };
    this.#outputs.set(instance, fresh);
    return fresh;
  }
}

/**
 * The length an answer tells of. One that was cut at the limit it was asked
 * with tells nothing. One that was cut at a limit learned from others would
 * have been longer: it counts twice, or the limit could only ever shrink.
 */
function lengthOf({ endedBy, outputTokens }: Settled): number | null {
  switch (endedBy) {
    case 'itself':
      return outputTokens;
    case 'asked_limit':
      return null;
    case 'set_limit':
      return 2 * outputTokens;
    default:
      return assertNever(endedBy);
  }
}
