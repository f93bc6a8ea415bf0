/**
 * Releases idle sessions before the pressure of an instance crosses into the
 * next level, by its forecast (policy/forecast.ts), and not after. Only what an
 * engine with a pool keeps for a session can be released: a dynamic one frees
 * by itself. Live leases are never touched.
 */
import { unitBytes } from '../memory/charge.ts';
import {
  type Crossing,
  crossingAhead,
  FORECAST_HORIZON_MS,
  FORECAST_WINDOW_MS,
  type PressureSample,
  risingTrend,
} from '../policy/forecast.ts';
import type { LevelThresholds } from '../policy/pressure.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { Levels } from './levels.ts';
import type { Log } from './log.ts';
import type { ServingInstance } from './pools.ts';
import type { Sessions } from './sessions.ts';

/** Readings of several sources may come at once: a line needs few points, and at most 31 are kept. */
const MIN_SAMPLE_GAP_MS = 200;

export interface PreEvictionParts {
  readonly capacities: Pick<Capacities, 'of'>;
  readonly levels: Pick<Levels, 'level' | 'pressure'>;
  readonly sessions: Pick<Sessions, 'evictFor'>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Watched {
  samples: readonly PressureSample[];
  /** What was released and may not show yet. */
  released: readonly { readonly atMs: number; readonly bytes: number }[];
}

export class PreEviction {
  readonly #parts: PreEvictionParts;
  readonly #poolPressure: LevelThresholds;
  readonly #watched = new Map<string, Watched>();

  constructor(parts: PreEvictionParts, poolPressure: LevelThresholds) {
    this.#parts = parts;
    this.#poolPressure = poolPressure;
  }

  /** Takes the instance's pressure as it is now, and releases what the forecast lacks. */
  observe(instance: ServingInstance): void {
    const { levels, sessions, clock, log } = this.#parts;
    const { name } = instance;
    const pressure = levels.pressure(name);
    if (instance.facts.layout.model === 'dynamic' || pressure === null) return;
    const nowMs = clock.nowMs();
    const watched = this.#watched.get(name) ?? { samples: [], released: [] };
    const last = watched.samples.at(-1);
    if (last !== undefined && nowMs - last.atMs < MIN_SAMPLE_GAP_MS) return;
    const recent = watched.samples.filter(({ atMs }) => nowMs - atMs < FORECAST_WINDOW_MS);
    watched.samples = [...recent, { atMs: nowMs, pressure }];
    watched.released = watched.released.filter(({ atMs }) => nowMs - atMs < FORECAST_HORIZON_MS);
    this.#watched.set(name, watched);

    const ahead = this.#ahead(instance, watched.samples, nowMs);
    if (ahead === null) return;
    const underWayBytes = watched.released.reduce((sum, { bytes }) => sum + bytes, 0);
    const lackingBytes = Math.ceil(ahead.lackingBytes - underWayBytes);
    if (lackingBytes <= 0) return;
    const bytes = sessions.evictFor(lackingBytes, name, 'pressure');
    if (bytes === 0) return;
    watched.released = [...watched.released, { atMs: nowMs, bytes }];
    const { threshold, inMs } = ahead;
    const fields = { instance: name, threshold, inMs: Math.round(inMs), lackingBytes };
    log.info('Memory pressure ahead', { ...fields, releasedBytes: bytes });
  }

  #ahead(
    instance: ServingInstance,
    samples: readonly PressureSample[],
    nowMs: number,
  ): (Crossing & { readonly lackingBytes: number }) | null {
    const { levels, capacities } = this.#parts;
    const trend = risingTrend(samples, nowMs);
    if (trend === null) return null;
    const crossing = crossingAhead(trend, levels.level(instance.name), this.#poolPressure);
    const capacity = capacities.of(instance);
    const bytesOfUnit = unitBytes(instance.facts.layout);
    // Without the size of a unit no session is known to hold anything either.
    if (crossing === null || bytesOfUnit === null || !('aloneUnits' in capacity)) return null;
    return { ...crossing, lackingBytes: crossing.lacking * capacity.aloneUnits * bytesOfUnit };
  }
}
