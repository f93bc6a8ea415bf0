/** The level of each instance, and the concurrency that its level allows. */
import { concurrencyCap } from '../policy/degrade.ts';
import {
  type LevelRules,
  type LevelState,
  type LevelThresholds,
  nextLevel,
} from '../policy/pressure.ts';
import type { Level, PolicyConfig } from '../policy/types.ts';

export interface LevelsOptions {
  readonly pressure: LevelThresholds;
  readonly poolPressure: LevelThresholds;
  readonly hysteresis: number;
  readonly minDwellMs: number;
  readonly maxConcurrency: number | null;
  readonly degrade: PolicyConfig['degrade'];
}

/** The highest number in flight of the last minute is what a level's share refers to. */
const USUAL_WINDOW_MS = 60_000;
const BUCKET_MS = 1_000;

interface InstanceLevel {
  state: LevelState;
  pressure: number | null;
  preemptions: number | null;
  /** Highest sequences in flight at low, by second. */
  usual: { readonly bucket: number; sequences: number }[];
}

export interface LevelSignal {
  readonly memoryModel: 'dynamic' | 'pool';
  readonly pressure: number | null;
  /** Preemptions since the engine started, where it counts them. */
  readonly preemptions: number | null;
  readonly sequences: number;
}

export class Levels {
  readonly #options: LevelsOptions;
  readonly #rules: Readonly<Record<LevelSignal['memoryModel'], LevelRules>>;
  readonly #instances = new Map<string, InstanceLevel>();

  constructor(options: LevelsOptions) {
    this.#options = options;
    const { pressure, poolPressure, hysteresis, minDwellMs } = options;
    this.#rules = {
      dynamic: { thresholds: pressure, hysteresis, minDwellMs },
      pool: { thresholds: poolPressure, hysteresis, minDwellMs },
    };
  }

  /**
   * Takes the newest signal of an instance.
   * @returns the level before and after
   */
  observe(instance: string, signal: LevelSignal, nowMs: number): { before: Level; after: Level } {
    const known = this.#of(instance, nowMs);
    const before = known.state.level;
    // A preemption means that the pool was too small for what was promised, whatever the forecast says.
    const preempted =
      signal.preemptions !== null &&
      known.preemptions !== null &&
      signal.preemptions > known.preemptions;
    known.pressure = signal.pressure;
    known.preemptions = signal.preemptions ?? known.preemptions;
    known.state = nextLevel(
      known.state,
      signal.pressure,
      preempted ? 'medium' : 'low',
      this.#rules[signal.memoryModel],
      nowMs,
    );
    if (known.state.level === 'low') rememberUsual(known.usual, signal.sequences, nowMs);
    return { before, after: known.state.level };
  }

  level(instance: string): Level {
    return this.#instances.get(instance)?.state.level ?? 'low';
  }

  pressure(instance: string): number | null {
    return this.#instances.get(instance)?.pressure ?? null;
  }

  /** Sequences that may be in flight on the instance at its level; null: no limit. */
  concurrencyCap(instance: string): number | null {
    const { maxConcurrency, degrade } = this.#options;
    const usual = this.#instances.get(instance)?.usual ?? [];
    const usualSequences = usual.reduce((most, { sequences }) => Math.max(most, sequences), 0);
    return concurrencyCap(
      this.level(instance),
      maxConcurrency,
      usualSequences === 0 ? null : usualSequences,
      degrade,
    );
  }

  #of(instance: string, nowMs: number): InstanceLevel {
    const known = this.#instances.get(instance);
    if (known !== undefined) return known;
    const fresh: InstanceLevel = {
      state: { level: 'low', sinceMs: nowMs },
      pressure: null,
      preemptions: null,
      usual: [],
    };
    this.#instances.set(instance, fresh);
    return fresh;
  }
}

function rememberUsual(usual: InstanceLevel['usual'], sequences: number, nowMs: number): void {
  const bucket = Math.floor(nowMs / BUCKET_MS);
  const last = usual.at(-1);
  if (last?.bucket === bucket) last.sequences = Math.max(last.sequences, sequences);
  else usual.push({ bucket, sequences });
  while ((usual[0]?.bucket ?? bucket) + USUAL_WINDOW_MS / BUCKET_MS < bucket) usual.shift();
}
