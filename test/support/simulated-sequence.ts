/** Sequences for the simulated engines, without HTTP: what happened to each is recorded. */
import type {
  Engine,
  EngineFault,
  Sequence,
} from '../../backend-adapters/simulated-server/engine.ts';
import { OutputText } from '../../backend-adapters/simulated-server/output-text.ts';

export interface Recorded extends Sequence {
  produced: number;
  cachedTokens: number | null;
  fault: EngineFault | null;
}

/** A prompt of `promptTokens` tokens that begins differently for each `id`. */
export function sequence(
  promptTokens: number,
  outputTokens: number,
  { id = 0, slot = null }: { readonly id?: number; readonly slot?: number | null } = {},
): Recorded {
  return sequenceOf(new Uint32Array(promptTokens).fill(id), outputTokens, slot);
}

export function sequenceOf(
  prompt: Uint32Array,
  outputTokens: number,
  slot: number | null = null,
): Recorded {
  const recorded: Recorded = {
    prompt,
    text: new OutputText(prompt[0] ?? 0),
    outputTokens,
    slot,
    reusesPrefix: true,
    produced: 0,
    cachedTokens: null,
    fault: null,
    listener: {
      tokens: (count) => {
        recorded.produced += count;
      },
      finished: (cachedTokens) => {
        recorded.cachedTokens = cachedTokens;
      },
      failed: (fault) => {
        recorded.fault = fault;
      },
    },
  };
  return recorded;
}

/** Rates of one token a step of one second: `advance(1)` is one step of decoding. */
export const STEP_RATES = {
  prefillTokensPerSecond: 1_000_000,
  decodeTokensPerSecond: 1,
  batchSlowdown: 0,
} as const;

/** Steps until nothing runs or waits; gives up loudly rather than for ever. */
export function runToEnd(engine: Engine, maxSteps = 100_000): void {
  for (let step = 0; step < maxSteps; step++) {
    const { running, waiting } = engine.counters();
    if (running + waiting === 0) return;
    engine.advance(1);
  }
  throw new Error(`the engine is still busy after ${maxSteps} steps`);
}
