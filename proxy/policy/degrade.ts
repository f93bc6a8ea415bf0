/**
 * What a level does to a request. Percentages act on the tokens asked for,
 * nothing is ever raised, and whoever sends `X-Kvgate-Degrade: never` is left alone.
 */
import type { Level, PolicyConfig, RequestShape, Sampling } from './types.ts';

interface LevelEffect {
  readonly outputShare: number;
  readonly topPMax: number | null;
  readonly temperatureMax: number | null;
  /** Share of the usual sequences in flight; `one`: a single request. */
  readonly concurrency: number | 'one';
}

const EFFECTS: Readonly<Record<Level, LevelEffect>> = {
  low: { outputShare: 1, topPMax: null, temperatureMax: null, concurrency: 1 },
  medium: { outputShare: 0.9, topPMax: 0.9, temperatureMax: null, concurrency: 1 },
  high: { outputShare: 0.7, topPMax: null, temperatureMax: 0.5, concurrency: 0.5 },
  critical: { outputShare: 0.5, topPMax: null, temperatureMax: 0, concurrency: 0.25 },
  emergency: { outputShare: 0.3, topPMax: null, temperatureMax: 0, concurrency: 'one' },
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
      : Math.min(asked, Math.max(config.minOutputTokens, Math.floor(asked * effect.outputShare)));
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
 * Sequences an instance may have in flight at a level.
 * @param usualSequences the 100 %: `--max-concurrency`, or the highest number in
 *   flight lately at low; null when neither is known, and then only `emergency` limits.
 */
export function concurrencyCap(
  level: Level,
  usualSequences: number | null,
  mode: PolicyConfig['degrade'],
): number | null {
  const share = mode === 'off' ? 1 : EFFECTS[level].concurrency;
  if (share === 'one') return 1;
  if (usualSequences === null) return null;
  return Math.max(1, Math.floor(usualSequences * share));
}
