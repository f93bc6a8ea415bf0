/**
 * What was learned of each instance: how long prompts and tokens take there,
 * and how long answers are. Nothing is predicted before something was seen.
 */
import { assertNever } from '../policy/types.ts';

const SMOOTHING = 0.2;
const OUTPUTS_KEPT = 512;
const OUTPUTS_NEEDED = 20;

export interface Settled {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Time to the first token; null when the answer was not streamed. */
  readonly ttftMs: number | null;
  readonly totalMs: number;
  /** What ended the answer: the model itself, the limit it was asked with, or one that kvgate set. */
  readonly endedBy: 'itself' | 'asked_limit' | 'set_limit';
}

interface Learned {
  prefillMsPerToken: number | null;
  decodeMsPerToken: number | null;
  /** The latest output lengths, a ring. */
  readonly outputs: number[];
  next: number;
  q99: number | null;
}

export class Predictor {
  readonly #learned = new Map<string, Learned>();

  /** Learns from a request that ran to its end. */
  settled(instance: string, sample: Settled): void {
    const learned = this.#of(instance);
    const prefillMs = sample.ttftMs ?? (learned.prefillMsPerToken ?? 0) * sample.promptTokens;
    if (sample.ttftMs !== null && sample.promptTokens > 0) {
      learned.prefillMsPerToken = smoothed(
        learned.prefillMsPerToken,
        sample.ttftMs / sample.promptTokens,
      );
    }
    if (sample.outputTokens <= 0) return;
    const decodeMs = Math.max(0, sample.totalMs - prefillMs);
    learned.decodeMsPerToken = smoothed(learned.decodeMsPerToken, decodeMs / sample.outputTokens);
    const length = lengthOf(sample);
    if (length === null) return;
    learned.outputs[learned.next] = length;
    learned.next = (learned.next + 1) % OUTPUTS_KEPT;
    learned.q99 = null;
  }

  /** The 99th percentile of the latest output lengths; null until 20 were seen. */
  outputTokensQ99(instance: string): number | null {
    const learned = this.#of(instance);
    if (learned.outputs.length < OUTPUTS_NEEDED) return null;
    if (learned.q99 === null) {
      const sorted = [...learned.outputs].sort((a, b) => a - b);
      learned.q99 = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? null;
    }
    return learned.q99;
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
  durationMs(instance: string, promptTokens: number, outputTokens: number): number | null {
    const { prefillMsPerToken, decodeMsPerToken } = this.#of(instance);
    if (decodeMsPerToken === null) return null;
    return (prefillMsPerToken ?? 0) * promptTokens + decodeMsPerToken * outputTokens;
  }

  #of(instance: string): Learned {
    const known = this.#learned.get(instance);
    if (known !== undefined) return known;
    const fresh: Learned = {
      prefillMsPerToken: null,
      decodeMsPerToken: null,
      outputs: [],
      next: 0,
      q99: null,
    };
    this.#learned.set(instance, fresh);
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

function smoothed(before: number | null, sample: number): number {
  return before === null ? sample : before + SMOOTHING * (sample - before);
}
