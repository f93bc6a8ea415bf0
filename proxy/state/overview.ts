/** The state of the whole house at one moment, for metrics and the operator's routes. */
import { unitBytes } from '../memory/charge.ts';
import { capacityUnits } from '../policy/reserve.ts';
import type { Admission } from './admission.ts';
import type { Brake } from './brake.ts';
import type { Calibration, CalibrationView } from './calibration.ts';
import type { Capacities } from './capacities.ts';
import type { Clock } from './clock.ts';
import type { GpuMonitor } from './gpu-monitor.ts';
import type { Headrooms } from './headrooms.ts';
import { tagsOf } from './instance-tags.ts';
import type { Ledger } from './ledger.ts';
import type { Levels } from './levels.ts';
import type { InstanceSample, MetricsSnapshot } from './metrics.ts';
import type { Outlooks } from './outlooks.ts';
import { type Instance, isServing, type Pools } from './pools.ts';
import type { Sessions } from './sessions.ts';
import type { Views } from './views.ts';

export interface OverviewParts {
  readonly pools: Pools;
  readonly ledger: Ledger;
  readonly gpu: GpuMonitor;
  readonly capacities: Capacities;
  readonly calibration: Pick<Calibration, 'of'>;
  readonly levels: Levels;
  readonly headrooms: Pick<Headrooms, 'shareOf'>;
  readonly outlooks: Pick<Outlooks, 'leasedUnits'>;
  readonly brake: Pick<Brake, 'isOn'>;
  readonly sessions: Sessions;
  readonly views: Views;
  readonly clock: Clock;
}

/** One instance as an operator sees it; what is not known is null. */
export interface InstanceOverview extends InstanceSample {
  readonly url: string;
  readonly health: Instance['health'];
  readonly adapter: string | null;
  readonly memoryModel: string | null;
  readonly capacity: string | null;
  readonly capacityUnits: number | null;
  readonly committedUnits: number;
  readonly heldUnits: number;
  readonly othersUnits: number | null;
  readonly sequences: number;
  readonly maxSequences: number | null;
  readonly concurrencyCap: number | null;
  readonly leases: number;
  /** What its figures say of the memory model; null while its engine is not known. */
  readonly calibration: CalibrationView | null;
}

export class Overview {
  readonly #parts: OverviewParts;

  constructor(parts: OverviewParts) {
    this.#parts = parts;
  }

  instances(): readonly InstanceOverview[] {
    return this.#parts.pools.instances.map((instance) => this.#instance(instance));
  }

  /** Everything that metrics mirror. */
  metrics(admission: Admission): MetricsSnapshot {
    const { gpu, sessions, pools, clock } = this.#parts;
    const nowMs = clock.nowMs();
    return {
      instances: this.instances(),
      gpus: (gpu.snapshot?.gpus ?? []).map(({ index, usedBytes, totalBytes }) => ({
        gpu: String(index),
        usedBytes,
        totalBytes,
      })),
      probes: [
        { source: gpu.sourceName, ageSeconds: seconds(gpu.ageMs) },
        ...pools.instances.map(({ name, latest }) => ({
          source: name,
          ageSeconds: latest === null ? null : (nowMs - latest.finishedAtMs) / 1000,
        })),
      ],
      activeSessions: sessions.active,
      queueDepth: admission.queueLength,
    };
  }

  #instance(instance: Instance): InstanceOverview {
    const { ledger, capacities, calibration, levels, headrooms, outlooks, brake, views } =
      this.#parts;
    const calibrated = calibration.of(instance.name);
    const totals = ledger.totals(instance.name);
    const leasedUnits = outlooks.leasedUnits(instance.name);
    const serving = isServing(instance) ? instance : null;
    const capacity = serving === null ? null : capacities.of(serving);
    const units = capacity === null || !('units' in capacity) ? null : capacityUnits(capacity);
    const bytesOfUnit = serving === null ? null : unitBytes(serving.facts.layout);
    const bytes = (count: number | null) =>
      count === null || bytesOfUnit === null ? null : count * bytesOfUnit;
    return {
      ...tagsOf(instance),
      url: instance.url,
      up: instance.health.state === 'healthy',
      health: instance.health,
      adapter: instance.adapter?.name ?? null,
      memoryModel: serving?.facts.layout.model ?? null,
      level: levels.level(instance.name),
      pressure: levels.pressure(instance.name),
      headroomShare: headrooms.shareOf(instance.name),
      braking: brake.isOn(instance.name),
      capacity: capacity === null ? null : describeCapacity(capacity),
      capacityUnits: units,
      capacityBytes: bytes(units),
      committedUnits: leasedUnits,
      reservedBytes: bytes(leasedUnits),
      heldUnits: totals.heldUnits,
      usedBytes: bytes(totals.heldUnits),
      othersUnits: serving === null ? null : views.others(serving).units,
      sequences: totals.sequences,
      maxSequences: instance.latest?.reading.maxSequences ?? null,
      concurrencyCap: levels.concurrencyCap(instance.name),
      leases: ledger.leases(instance.name).size,
      calibration: calibrated,
      calibrationAlarm: calibrated === null ? null : calibrated.alarm !== null,
    };
  }
}

function describeCapacity(capacity: { readonly state: string; readonly why?: string }): string {
  return capacity.why === undefined ? capacity.state : `${capacity.state}: ${capacity.why}`;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}
