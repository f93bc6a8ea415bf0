/**
 * The state rooms of production around a simulated engine, on virtual time:
 * the same classes as in compose-state.ts, connected in the same way. What
 * reads, listens or logs there is played here.
 */
import type { LevelThresholds } from '../policy/pressure.ts';
import type { PolicyConfig } from '../policy/types.ts';
import { Admission } from '../state/admission.ts';
import { beginReading } from '../state/begin-reading.ts';
import { Brake } from '../state/brake.ts';
import type { BrakeEffects } from '../state/brake-effects.ts';
import { Calibration } from '../state/calibration.ts';
import { Capacities, type CapacitiesOptions } from '../state/capacities.ts';
import type { Clock } from '../state/clock.ts';
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
import { isServing, Pools } from '../state/pools.ts';
import { PreEviction } from '../state/pre-eviction.ts';
import { Sessions } from '../state/sessions.ts';
import type { Learner } from '../state/settled.ts';
import { Speeds } from '../state/speeds.ts';
import { Views } from '../state/views.ts';
import type { EngineGauges } from './engine-model.ts';
import { adapterOf, factsOf, INSTANCE, INSTANCE_CONFIG, readingOf } from './instance.ts';
import type { Machine } from './machine.ts';
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

export function composeWorld(machine: Machine, rules: Rules, parts: WorldParts) {
  const { clock, log, metrics, decisionLog, lengths } = parts;
  const { memory, policy, maxConcurrency, probe } = rules;
  const pools = new Pools([INSTANCE_CONFIG]);
  const ledger = new Ledger();
  const speeds = new Speeds();
  const source = gpuOf(machine, rules);
  const gpu = new GpuMonitor(source, clock, log, {
    ...probe,
    gpuIds: [],
    gpuOf: (_instance, gpuCount) => (gpuCount === 0 ? [] : [0]),
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
  const brake = new Brake({ ...watched, speeds, log, metrics, mode: 'enforce' });
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
  const admission = new Admission({ ...deciders, mode: 'enforce' });
  const drains = new Drains(ledger, speeds, clock);
  const learners: readonly Learner[] = [
    (settled) => speeds.learn(settled.instance, settled),
    (settled) => calibration.settled(settled),
    (settled) => lengths.settled(settled),
    (settled) => decisionLog.settled(settled),
  ];
  const rooms = {
    ...{ clock, pools, ledger, gpu, source, judge, admission, drains, learners, levels },
    ...{ headrooms, preEviction, metrics, brake },
  };
  connect(rooms);
  void gpu.start(0);
  return { ...rooms, poll: (gauges: EngineGauges) => poll(machine, rooms, gauges) };
}

/** A GPU of which exactly the machine's capacity is left to promise, by the margins that are configured. */
function gpuOf(machine: Machine, { memory }: Rules): VirtualGpu {
  const { gpuBytes, layout, capacityUnits } = machine;
  const usableBytes = Math.min(
    Math.floor(gpuBytes * memory.gpuMemoryThreshold),
    gpuBytes - memory.safetyReserveBytes,
  );
  const kvBytes = layout.model === 'dynamic' ? capacityUnits : 0;
  return new VirtualGpu(gpuBytes, Math.max(0, usableBytes - kvBytes));
}

type Connected = Pick<
  World,
  | 'ledger'
  | 'metrics'
  | 'pools'
  | 'drains'
  | 'judge'
  | 'admission'
  | 'gpu'
  | 'headrooms'
  | 'preEviction'
  | 'brake'
>;

/** As `connect` of compose-state.ts. */
function connect(rooms: Connected): void {
  const { ledger, metrics, pools, drains, judge, admission, gpu, headrooms } = rooms;
  const { preEviction, brake } = rooms;
  const lookAgain = () => {
    judge.refreshLevels();
    headrooms.refresh();
    for (const instance of pools.instances.filter(isServing)) preEviction.observe(instance);
    admission.pump();
  };
  ledger.onEndedTwice(() => metrics.leaseEndedTwice());
  pools.onChange((before, after) => {
    if (after.latest !== null && after.latest !== before.latest) {
      drains.confirm(after, after.latest);
      brake.readingTaken(after);
    }
    headrooms.observe(after);
    lookAgain();
  });
  gpu.onSample(() => {
    brake.gpusRead();
    lookAgain();
  });
}

/** A round of readings: of the GPU where leases are counted in its bytes, and of the engine. */
function poll(
  machine: Machine,
  { pools, ledger, clock, source }: Pick<World, 'pools' | 'ledger' | 'clock' | 'source'>,
  gauges: EngineGauges,
): void {
  const isFirst = pools.get(INSTANCE)?.facts === null;
  const health = { state: 'healthy' } as const;
  const found = { adapter: adapterOf(machine.engine), facts: factsOf(machine), health };
  const endReading = beginReading(pools, ledger, clock, INSTANCE);
  endReading(readingOf(machine, gauges), isFirst ? found : {});
  if (machine.layout.model === 'dynamic') source.sample(gauges.usedUnits);
}
