/** How fast each instance reads prompts and writes tokens, smoothed over what was seen lately. */

const SMOOTHING = 0.2;
const FORGETTING = 0.01;

interface Speed {
  prefillMsPerToken: number | null;
  decodeMsPerToken: number | null;
  /** The fastest that was seen lately: it is forgotten slowly. */
  fastestMsPerToken: number | null;
}

export interface Timing {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Time to the first token; null when the answer was not streamed. */
  readonly ttftMs: number | null;
  readonly totalMs: number;
}

export class Speeds {
  readonly #speeds = new Map<string, Speed>();

  /** Learns from a request that ran to its end. */
  learn(instance: string, { promptTokens, outputTokens, ttftMs, totalMs }: Timing): void {
    const speed = this.#of(instance);
    const prefillMs = ttftMs ?? (speed.prefillMsPerToken ?? 0) * promptTokens;
    if (ttftMs !== null && promptTokens > 0) {
      speed.prefillMsPerToken = smoothed(speed.prefillMsPerToken, ttftMs / promptTokens);
    }
    // An answer that is there with its first token tells nothing of those after it.
    if (outputTokens <= (ttftMs === null ? 0 : 1)) return;
    const decodeMs = Math.max(0, totalMs - prefillMs);
    const msPerToken = decodeMs / outputTokens;
    speed.decodeMsPerToken = smoothed(speed.decodeMsPerToken, msPerToken);
    const fastest = speed.fastestMsPerToken ?? msPerToken;
    speed.fastestMsPerToken = Math.min(msPerToken, fastest + FORGETTING * (msPerToken - fastest));
  }

  /** Predicted time from forwarding to the last token; null before anything was learned. */
  durationMs(instance: string, promptTokens: number, outputTokens: number): number | null {
    const { prefillMsPerToken, decodeMsPerToken } = this.#of(instance);
    if (decodeMsPerToken === null) return null;
    return (prefillMsPerToken ?? 0) * promptTokens + decodeMsPerToken * outputTokens;
  }

  /** The least of `durationMs` over several instances; null when none has learned yet. */
  quickestDurationMs(
    instances: readonly string[],
    promptTokens: number,
    outputTokens: number,
  ): number | null {
    const durations = instances.flatMap(
      (name) => this.durationMs(name, promptTokens, outputTokens) ?? [],
    );
    return durations.length === 0 ? null : Math.min(...durations);
  }

  /** The output that is likely to exist so long after forwarding; 0 before anything was learned. */
  outputTokensAfter(instance: string, promptTokens: number, elapsedMs: number): number {
    const { prefillMsPerToken, decodeMsPerToken } = this.#of(instance);
    if (decodeMsPerToken === null || decodeMsPerToken <= 0) return 0;
    const decodingMs = elapsedMs - (prefillMsPerToken ?? 0) * promptTokens;
    return Math.max(0, Math.floor(decodingMs / decodeMsPerToken));
  }

  /** The most output that may exist so long after forwarding, at the fastest speed seen; all, before one was. */
  mostOutputTokensAfter(instance: string, elapsedMs: number): number {
    const { fastestMsPerToken } = this.#of(instance);
    if (fastestMsPerToken === null || fastestMsPerToken <= 0) return Number.POSITIVE_INFINITY;
    return Math.max(0, Math.ceil(elapsedMs / fastestMsPerToken));
  }

  /** Milliseconds of a decode step at the fastest that was seen lately; null before one was. */
  fastestStepMs(instance: string): number | null {
    return this.#of(instance).fastestMsPerToken;
  }

  /** Decode steps in the time that a token of a prompt takes; null before anything was learned. */
  stepsPerPromptToken(instance: string): number | null {
    const { prefillMsPerToken, decodeMsPerToken } = this.#of(instance);
    if (prefillMsPerToken === null || decodeMsPerToken === null || decodeMsPerToken <= 0) {
      return null;
    }
    return prefillMsPerToken / decodeMsPerToken;
  }

  #of(instance: string): Speed {
    const known = this.#speeds.get(instance);
    if (known !== undefined) return known;
    const fresh = { prefillMsPerToken: null, decodeMsPerToken: null, fastestMsPerToken: null };
    this.#speeds.set(instance, fresh);
    return fresh;
  }
}

function smoothed(before: number | null, sample: number): number {
  return before === null ? sample : before + SMOOTHING * (sample - before);
}
