/**
 * What a level does to a request. Percentages act on the tokens asked for,
 * nothing is ever raised, and whoever sends `X-Kvgate-Degrade: never` is left alone.
 */
import type { Level, PolicyConfig, RequestShape, Sampling } from './types.ts';

interface LevelEffect {
  /** Of the output tokens asked for; whole, so that no rounding of a fraction takes a token more. */
  readonly outputPercent: number;
  readonly topPMax: number | null;
  readonly temperatureMax: number | null;
  /** Of the usual sequences in flight; `one`: a single request. */
  readonly concurrencyPercent: number | 'one';
}

const EFFECTS: Readonly<Record<Level, LevelEffect>> = {
  low: { outputPercent: 100, topPMax: null, temperatureMax: null, concurrencyPercent: 100 },
  medium: { outputPercent: 90, topPMax: 0.9, temperatureMax: null, concurrencyPercent: 100 },
  high: { outputPercent: 70, topPMax: null, temperatureMax: 0.5, concurrencyPercent: 50 },
  critical: { outputPercent: 50, topPMax: null, temperatureMax: 0, concurrencyPercent: 25 },
  emergency: { outputPercent: 30, topPMax: null, temperatureMax: 0, concurrencyPercent: 'one' },
};

export interface EffectiveRequest {
  /** Output tokens of one sequence after the level; null when the request names none. */
  readonly outputTokens: number | null;
  readonly sampling: Sampling;
}

/** The request as the level lets it be: step 1 of the decision. */
export function degrade(
  shape: RequestShape,
  level: Level,
  config: Pick<PolicyConfig, 'degrade' | 'minOutputTokens'>,
  neverDegrade: boolean,
): EffectiveRequest {
  const asked = shape.requestedOutputTokens;
  if (neverDegrade || config.degrade === 'off') return { outputTokens: asked, sampling: {} };

  const effect = EFFECTS[level];
  const outputTokens =
    asked === null
      ? null
      : Math.min(asked, Math.max(config.minOutputTokens, percentOf(asked, effect.outputPercent)));
  if (config.degrade === 'memory-only') return { outputTokens, sampling: {} };

  const { topPMax, temperatureMax } = effect;
  const lowersTopP = topPMax !== null && (shape.topP ?? 1) > topPMax;
  const lowersTemperature = temperatureMax !== null && (shape.temperature ?? 1) > temperatureMax;
  return {
    outputTokens,
    sampling: {
      ...(lowersTopP ? { topP: topPMax } : {}),
      ...(lowersTemperature ? { temperature: temperatureMax } : {}),
    },
  };
}

/**
 * Sequences an instance may have in flight at a level; null: no limit.
 * @param maxConcurrency `--max-concurrency`: the 100 %, and the limit at low
 * @param usualSequences the 100 % where that is not set: the highest number in
 *   flight lately at low; null when there was none, and then only `emergency` limits
 */
export function concurrencyCap(
  level: Level,
  maxConcurrency: number | null,
  usualSequences: number | null,
  mode: PolicyConfig['degrade'],
): number | null {
  if (mode === 'off' || level === 'low') return maxConcurrency;
  const percent = EFFECTS[level].concurrencyPercent;
  if (percent === 'one') return 1;
  const fullSequences = maxConcurrency ?? usualSequences;
  return fullSequences === null ? null : Math.max(1, percentOf(fullSequences, percent));
}

/** Rounded down. */
function percentOf(count: number, percent: number): number {
  return Math.floor((count * percent) / 100);
}
