/**
 * The state rooms of production around simulated engines, on virtual time:
 * the same classes as in compose-state.ts, connected in the same way. What
 * reads, listens or logs there is played here.
 */
import { type GpuMargins, reservedBytes } from '../policy/budget.ts';
import type { LevelThresholds } from '../policy/pressure.ts';
import type { PolicyConfig } from '../policy/types.ts';
import { Admission } from '../state/admission.ts';
import { beginReading } from '../state/begin-reading.ts';
import { Brake } from '../state/brake.ts';
import type { BrakeEffects } from '../state/brake-effects.ts';
import { Calibration } from '../state/calibration.ts';
import { Capacities, type CapacitiesOptions } from '../state/capacities.ts';
import type { Clock } from '../state/clock.ts';
import { connectRooms } from '../state/connect-rooms.ts';
import type { DecisionLog } from '../state/decision-log.ts';
import { Drains } from '../state/drains.ts';
import { EngineProcesses } from '../state/engine-processes.ts';
import { GpuMonitor } from '../state/gpu-monitor.ts';
import { Headrooms } from '../state/headrooms.ts';
import { Judge } from '../state/judge.ts';
import { Ledger } from '../state/ledger.ts';
import type { LengthForecasts } from '../state/lengths/length-forecasts.ts';
import { Levels } from '../state/levels.ts';
import type { Log } from '../state/log.ts';
import type { Metrics } from '../state/metrics.ts';
import { Outlooks } from '../state/outlooks.ts';
import { Pools } from '../state/pools.ts';
import { PreEviction } from '../state/pre-eviction.ts';
import { Sessions } from '../state/sessions.ts';
import type { Learner } from '../state/settled.ts';
import { Speeds } from '../state/speeds.ts';
import { Views } from '../state/views.ts';
import { adapterOf, factsOf, type Member, readingOf, type WorldMachine } from './instance.ts';
import { VirtualGpu } from './virtual-gpu.ts';

/** The part of a configuration that the rooms are built from. */
export interface Rules {
  readonly policy: PolicyConfig;
  readonly memory: Pick<
    CapacitiesOptions,
    'gpuMemoryThreshold' | 'safetyReserveBytes' | 'pressureBasis'
  > & {
    readonly pressure: LevelThresholds;
    readonly poolPressure: LevelThresholds;
    readonly hysteresis: number;
    readonly minDwellMs: number;
    readonly maxIdleKvBytes: number;
    readonly sessionIdleMs: number;
  };
  readonly probe: Pick<CapacitiesOptions, 'staleAfterMs' | 'onStale'>;
  /** Who knows all lengths needs no brake: it would see an end where none comes. */
  readonly isClairvoyant?: boolean;
  readonly mode: 'enforce' | 'observe';
  readonly maxConcurrency: number | null;
  readonly dynamicThresholds: boolean;
}

/** What the rooms are given besides their configuration. */
export interface WorldParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly decisionLog: DecisionLog;
  readonly lengths: LengthForecasts;
  readonly recalls: BrakeEffects;
  /** Memory was freed, and nobody who waits was tried yet. */
  readonly onFreed: () => void;
}

export type World = ReturnType<typeof composeWorld>;

export function composeWorld(members: readonly Member[], rules: Rules, parts: WorldParts) {
  const { clock, log, metrics, decisionLog, lengths } = parts;
  const { memory, policy, maxConcurrency, probe, mode } = rules;
  const pools = new Pools(members.map(({ config }) => config));
  const ledger = new Ledger();
  const speeds = new Speeds();
  const source = new VirtualGpu();
  const gpu = new GpuMonitor(source, clock, log, {
    ...probe,
    gpuIds: [],
    gpuOf: (name, gpuCount) => (gpuCount === 0 ? [] : [placeOf(members, name)]),
  });
  const processes = new EngineProcesses(async () => null, clock);
  const calibration = new Calibration(pools, ledger, log);
  pools.onChange((before, after) => calibration.changed(before, after));
  const headrooms = new Headrooms({ pools, clock, log, metrics }, rules.dynamicThresholds);
  const outlooks = new Outlooks({ ledger, lengths, speeds, clock }, policy);
  const capacities = new Capacities(
    { gpu, pools, ledger, outlooks, processes, calibration, headrooms, clock },
    { ...memory, ...probe },
  );
  const levels = new Levels({ ...memory, maxConcurrency, degrade: policy.degrade });
  const watched = { clock, pools, ledger, gpu, capacities, calibration, levels, headrooms };
  const brakeMode = rules.isClairvoyant === true ? 'observe' : mode;
  const brake = new Brake({ ...watched, speeds, log, metrics, mode: brakeMode });
  brake.actThrough(parts.recalls);
  const views = new Views({ ...watched, outlooks, brake, speeds, lengths });
  const sessions = new Sessions(
    { maxIdleBytes: memory.maxIdleKvBytes, idleMs: memory.sessionIdleMs, maxIdleSessions: 1_000 },
    () => {},
  );
  const preEviction = new PreEviction(
    { capacities, levels, sessions, clock, log },
    memory.poolPressure,
  );
  const judged = { pools, sessions, views, lengths, clock, log, policy };
  const judge = new Judge(judged);
  // Before whoever waits is tried: what was freed is seen as it is.
  ledger.onFreed(parts.onFreed);
  const deciders = { ...judged, judge, ledger, speeds, metrics, decisionLog };
  const admission = new Admission({ ...deciders, mode });
  const drains = new Drains(ledger, speeds, clock);
  const learners: readonly Learner[] = [
    (settled) => speeds.learn(settled.instance, settled),
    (settled) => calibration.settled(settled),
    (settled) => lengths.settled(settled),
    (settled) => decisionLog.settled(settled),
  ];
  const rooms = {
    ...{ clock, pools, ledger, gpu, source, judge, admission, drains, learners, levels },
    ...{ headrooms, metrics, brake },
  };
  connectRooms(rooms, [preEviction]);
  void gpu.start(0);
  return { ...rooms, poll: () => poll(members, rules, rooms) };
}

function placeOf(members: readonly Member[], name: string): number {
  return members.findIndex(({ config }) => config.name === name);
}

/** What is in use of a GPU of which exactly the machine's capacity is left to promise. */
function floorBytes({ gpuBytes, layout, capacityUnits }: WorldMachine, memory: GpuMargins): number {
  const kvBytes = layout.model === 'dynamic' ? (capacityUnits ?? 0) : 0;
  return Math.max(0, gpuBytes - reservedBytes(gpuBytes, memory) - kvBytes);
}

/** A round of readings: of the engines, and of GPUs where leases are counted in their bytes. */
function poll(
  members: readonly Member[],
  { memory }: Rules,
  { pools, ledger, clock, source }: Pick<World, 'pools' | 'ledger' | 'clock' | 'source'>,
): void {
  const health = { state: 'healthy' } as const;
  const cards = members.map(({ config, paths, machine: machineNow, gauges: gaugesNow }) => {
    const [machine, gauges] = [machineNow(), gaugesNow()];
    const isNew = pools.get(config.name)?.facts === null;
    const adapter = adapterOf(machine.engine, paths);
    const endReading = beginReading(pools, ledger, clock, config.name);
    endReading(
      readingOf(machine, gauges),
      isNew ? { adapter, facts: factsOf(machine), health } : {},
    );
    return {
      totalBytes: machine.gpuBytes,
      floorBytes: machine.gpuFloorBytes ?? floorBytes(machine, memory),
      liveBytes: machine.layout.model === 'dynamic' ? gauges.usedUnits : 0,
      isRead: machine.layout.model === 'dynamic' && machine.capacityUnits !== null,
    };
  });
  if (cards.some(({ isRead }) => isRead)) source.sample(cards);
}
