/**
 * Pressure and levels: how full an instance is, by the signal that is right
 * for its memory model, and the hysteresis that keeps a level from flapping.
 */
import type { Level } from './types.ts';

export const LEVELS: readonly Level[] = ['low', 'medium', 'high', 'critical', 'emergency'];

/** The pressure at which each level begins; below `medium` it is low. */
export interface LevelThresholds {
  readonly medium: number;
  readonly high: number;
  readonly critical: number;
  readonly emergency: number;
}

export interface LevelRules {
  readonly thresholds: LevelThresholds;
  /** How far below a threshold the pressure must be before the level falls. */
  readonly hysteresis: number;
  /** How long a level is held at least before it may fall. */
  readonly minDwellMs: number;
}

export interface LevelState {
  readonly level: Level;
  readonly sinceMs: number;
}

export function levelRank(level: Level): number {
  return LEVELS.indexOf(level);
}

export function higherLevel(a: Level, b: Level): Level {
  return levelRank(a) >= levelRank(b) ? a : b;
}

/** The level a pressure alone would give: a threshold itself still belongs to the level below. */
export function levelAt(pressure: number, thresholds: LevelThresholds): Level {
  if (pressure > thresholds.emergency) return 'emergency';
  if (pressure > thresholds.critical) return 'critical';
  if (pressure > thresholds.high) return 'high';
  if (pressure > thresholds.medium) return 'medium';
  return 'low';
}

/**
 * The next level: rises at once, falls only when the pressure is `hysteresis`
 * below the threshold and the level was held for `minDwellMs`. An unknown
 * pressure (null) lets nothing fall.
 * @param atLeast the lowest level now, whatever the pressure
 */
export function nextLevel(
  state: LevelState,
  pressure: number | null,
  atLeast: Level,
  rules: LevelRules,
  nowMs: number,
): LevelState {
  const levelOf = (value: number) => higherLevel(atLeast, levelAt(value, rules.thresholds));
  const rising = pressure === null ? atLeast : levelOf(pressure);
  if (levelRank(rising) > levelRank(state.level)) return { level: rising, sinceMs: nowMs };
  if (pressure === null) return state;

  const falling = levelOf(pressure + rules.hysteresis);
  const held = nowMs - state.sinceMs >= rules.minDwellMs;
  if (held && levelRank(falling) < levelRank(state.level)) {
    return { level: falling, sinceMs: nowMs };
  }
  return state;
}

/**
 * Pressure of a `dynamic` instance: bytes held by live leases and by other
 * processes, over the budget the instance would have alone on its GPU.
 * NVML's "used" is not in it: a caching allocator keeps what was freed.
 */
export function dynamicPressure(
  heldBytes: number,
  foreignBytes: number,
  aloneBytes: number,
): number {
  if (aloneBytes <= 0) return Number.POSITIVE_INFINITY;
  return (heldBytes + foreignBytes) / aloneBytes;
}

/** Pressure of an engine with a fixed pool: the forecast peak over the pool. */
export function poolPressure(forecastUnits: number, capacityUnits: number): number {
  if (capacityUnits <= 0) return Number.POSITIVE_INFINITY;
  return forecastUnits / capacityUnits;
}
