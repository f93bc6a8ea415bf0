/**
 * GPU snapshots and the level of every instance. A sample that is missing or
 * stale is unknown: the capacity then says so instead of reading as empty.
 */
import { type GpuBudget, gpuBudget } from '../policy/budget.ts';
import { dynamicPressure, poolPressure } from '../policy/pressure.ts';
import type { Capacity } from '../policy/types.ts';
import { assertNever } from '../policy/types.ts';
import type { Clock } from './clock.ts';
import type { GpuReading, GpuSource } from './gpu-source.ts';
import type { Ledger } from './ledger.ts';
import type { LevelsOptions } from './levels.ts';
import { Levels } from './levels.ts';
import type { Log } from './log.ts';
import type { ServingInstance } from './pools.ts';

/** Of a last known budget, the share that is trusted once readings have gone stale. */
const STALE_SHARE = 0.9;

export interface GpuMonitorOptions extends LevelsOptions {
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
  readonly pressureBasis: 'budget' | 'gpu';
  readonly staleAfterMs: number;
  readonly onStale: 'ledger' | 'reject' | 'pass';
  /** Indexes or UUIDs of the GPUs that count; empty: all. */
  readonly gpuIds: readonly string[];
  /** The GPUs of an instance, by its name, as positions in the list of those that count. */
  readonly gpuOf: (instance: string, gpuCount: number) => readonly number[];
}

export interface GpuSnapshot {
  readonly gpus: readonly GpuReading[];
  readonly atMs: number;
}

export class GpuMonitor {
  readonly levels: Levels;
  readonly #source: GpuSource;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: GpuMonitorOptions;
  /** The least use ever seen of each GPU, by UUID. */
  readonly #floorBytes = new Map<string, number>();
  readonly #lastBudget = new Map<string, GpuBudget>();
  readonly #listeners: (() => void)[] = [];
  #snapshot: GpuSnapshot | null = null;
  #firstSample: (() => void) | null = null;

  constructor(
    source: GpuSource,
    ledger: Ledger,
    clock: Clock,
    log: Log,
    options: GpuMonitorOptions,
  ) {
    this.#source = source;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
    this.levels = new Levels(options);
  }

  get sourceName(): string {
    return this.#source.name;
  }

  /** The latest sample, however old; null before the first. */
  get snapshot(): GpuSnapshot | null {
    return this.#snapshot;
  }

  get ageMs(): number | null {
    return this.#snapshot === null ? null : this.#clock.nowMs() - this.#snapshot.atMs;
  }

  onSample(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Starts reading. Resolves with the first sample, or after `waitMs` without one. */
  start(waitMs: number): Promise<void> {
    const first = new Promise<void>((resolve) => {
      const cancel = this.#clock.after(waitMs, resolve);
      this.#firstSample = () => {
        cancel();
        resolve();
      };
    });
    this.#source.start({
      sample: (gpus) => this.#sampled(gpus),
      fault: (message) => this.#log.warn('GPU probe failed', { source: this.sourceName, message }),
    });
    return first;
  }

  stop(): Promise<void> {
    return this.#source.stop();
  }

  #sampled(all: readonly GpuReading[]): void {
    const wanted = new Set(this.#options.gpuIds);
    const counts = (gpu: GpuReading) =>
      wanted.size === 0 || wanted.has(gpu.uuid) || wanted.has(String(gpu.index));
    const gpus = all.filter(counts).sort((a, b) => a.index - b.index);
    for (const { uuid, usedBytes } of gpus) {
      if (usedBytes === null) continue;
      this.#floorBytes.set(uuid, Math.min(this.#floorBytes.get(uuid) ?? usedBytes, usedBytes));
    }
    this.#snapshot = { gpus, atMs: this.#clock.nowMs() };
    this.#firstSample?.();
    for (const listener of this.#listeners) listener();
  }

  /** What leases may fill of an instance now, in its own units. */
  capacityOf(instance: ServingInstance): Capacity {
    return instance.facts.layout.model === 'dynamic'
      ? this.#dynamicCapacity(instance)
      : this.#poolCapacity(instance);
  }

  /** Pressure by the signal of the instance's memory model; null when it is unknown. */
  pressureOf(instance: ServingInstance, unattributedUnits: number): number | null {
    const totals = this.#ledger.totals(instance.name);
    if (instance.facts.layout.model === 'dynamic') {
      if (this.#options.pressureBasis === 'gpu') return this.#gpuUse(instance);
      const budget = this.#freshBudget(instance) ?? this.#lastBudget.get(instance.name);
      if (budget === undefined) return null;
      return dynamicPressure(totals.heldUnits, budget.foreignBytes, budget.aloneBytes);
    }
    const capacity = this.#poolCapacity(instance);
    if (!('units' in capacity)) return null;
    return poolPressure(totals.committedUnits + unattributedUnits, capacity.units);
  }

  #gpusOf(instance: ServingInstance): readonly GpuReading[] {
    const age = this.ageMs;
    if (this.#snapshot === null || age === null || age > this.#options.staleAfterMs) return [];
    const { gpus } = this.#snapshot;
    return this.#options
      .gpuOf(instance.name, gpus.length)
      .flatMap((position) => gpus[position] ?? []);
  }

  #gpuUse(instance: ServingInstance): number | null {
    const shares = this.#gpusOf(instance).map(({ usedBytes, totalBytes }) =>
      usedBytes === null || totalBytes === null ? null : usedBytes / totalBytes,
    );
    const known = shares.filter((share) => share !== null);
    return known.length === 0 || known.length < shares.length ? null : Math.max(...known);
  }

  /** The tightest budget of the instance's GPUs; null when any of them can't be read. */
  #freshBudget(instance: ServingInstance): GpuBudget | null {
    const gpus = this.#gpusOf(instance);
    let tightest: GpuBudget | null = null;
    for (const { uuid, totalBytes, usedBytes } of gpus) {
      if (totalBytes === null || usedBytes === null) return null;
      const budget = gpuBudget({
        totalBytes,
        usedBytes,
        floorBytes: this.#floorBytes.get(uuid) ?? usedBytes,
        heldHighWaterBytes: this.#ledger.totals(instance.name).heldHighWaterUnits,
        gpuMemoryThreshold: this.#options.gpuMemoryThreshold,
        safetyReserveBytes: this.#options.safetyReserveBytes,
      });
      if (tightest === null || budget.capacityBytes < tightest.capacityBytes) tightest = budget;
    }
    if (tightest !== null) this.#lastBudget.set(instance.name, tightest);
    return tightest;
  }

  #dynamicCapacity(instance: ServingInstance): Capacity {
    const budget = this.#freshBudget(instance);
    if (budget !== null) return { state: 'known', units: budget.capacityBytes };
    const last = this.#lastBudget.get(instance.name)?.capacityBytes ?? null;
    return this.#withoutReading(last, 'no current reading of the GPU');
  }

  #poolCapacity(instance: ServingInstance): Capacity {
    const { latest } = instance;
    const units = latest?.reading.capacityUnits ?? null;
    if (latest === null || units === null) {
      return { state: 'unlimited', why: 'the engine does not tell the size of its pool' };
    }
    const ageMs = this.#clock.nowMs() - latest.finishedAtMs;
    if (ageMs <= this.#options.staleAfterMs) return { state: 'known', units };
    return this.#withoutReading(units, 'no current reading of the engine');
  }

  #withoutReading(lastUnits: number | null, why: string): Capacity {
    const { onStale } = this.#options;
    switch (onStale) {
      case 'pass':
        return { state: 'unlimited', why };
      case 'reject':
        return { state: 'blind', why };
      case 'ledger':
        if (lastUnits === null) return { state: 'blind', why: `${why}, and never was one` };
        return { state: 'conservative', units: Math.floor(lastUnits * STALE_SHARE), why };
      default:
        return assertNever(onStale);
    }
  }
}
