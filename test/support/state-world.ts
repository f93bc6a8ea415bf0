/**
 * The state rooms on a virtual clock, with engines and GPUs that a test plays:
 * nothing here listens, polls or waits.
 */
import type { Adapter, EngineFacts, EngineReading } from '../../backend-adapters/adapter.ts';
import { UNKNOWN_READING } from '../../backend-adapters/unknown-reading.ts';
import { composeCalibration } from '../../proxy/compose-calibration.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import type { PolicyConfig } from '../../proxy/policy/types.ts';
import { Admission } from '../../proxy/state/admission.ts';
import { Brake } from '../../proxy/state/brake.ts';
import { Capacities, type CapacitiesOptions } from '../../proxy/state/capacities.ts';
import { DecisionLog } from '../../proxy/state/decision-log.ts';
import { Drains } from '../../proxy/state/drains.ts';
import { EngineProcesses, type FindProcesses } from '../../proxy/state/engine-processes.ts';
import { GpuMonitor, type GpuMonitorOptions } from '../../proxy/state/gpu-monitor.ts';
import type {
  GpuProcess,
  GpuReading,
  GpuSource,
  GpuSourceEvents,
} from '../../proxy/state/gpu-source.ts';
import { Headrooms } from '../../proxy/state/headrooms.ts';
import { type AdmissionRequest, Judge } from '../../proxy/state/judge.ts';
import { Ledger } from '../../proxy/state/ledger.ts';
import { LengthForecasts } from '../../proxy/state/lengths/length-forecasts.ts';
import { Levels } from '../../proxy/state/levels.ts';
import type { Log } from '../../proxy/state/log.ts';
import type { Metrics } from '../../proxy/state/metrics.ts';
import { Outlooks } from '../../proxy/state/outlooks.ts';
import { Pools } from '../../proxy/state/pools.ts';
import { Sessions } from '../../proxy/state/sessions.ts';
import { Speeds } from '../../proxy/state/speeds.ts';
import { Views } from '../../proxy/state/views.ts';
import { POLICY, requestShape, UNIFIED } from './decision.ts';
import { fakeEngine } from './fake-engine-io.ts';
import { ANY_FACTS, CHAT, CHAT_ROUTE } from './scanned-request.ts';
import { VirtualClock } from './virtual-clock.ts';

/** An adapter whose methods a test fills in; one that is called and was not is a fault. */
export function fakeAdapter(methods: Partial<Adapter> = {}): Adapter {
  const unexpected = (): never => {
    throw new Error('not part of this test');
  };
  return {
    name: 'fake',
    generationRoutes: [CHAT_ROUTE],
    passthroughRoutes: [],
    cancelQuietMs: 0,
    rankHeader: null,
    detect: unexpected,
    probe: unexpected,
    read: unexpected,
    countTokens: unexpected,
    tryOneToken: unexpected,
    parse: unexpected,
    rewrite: unexpected,
    usage: unexpected,
    streamEvent: unexpected,
    classifyError: unexpected,
    ...methods,
  };
}

export function facts(layout: KvLayout, modelId = 'four-byte'): EngineFacts {
  return { ...ANY_FACTS, layout, modelId, framing: { baseTokens: 0, perMessageTokens: 0 } };
}

export function reading(change: Partial<EngineReading> = {}): EngineReading {
  return { ...UNKNOWN_READING, ...change };
}

export interface Logged {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly msg: string;
}

export function recordingLog(): { readonly log: Log; readonly lines: readonly Logged[] } {
  const lines: Logged[] = [];
  const at = (level: Logged['level']) => (msg: string) => void lines.push({ level, msg });
  return {
    lines,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
  };
}

/** Metrics that write down what is counted: the method's name, and its first argument. */
export function recordingMetrics(): {
  readonly metrics: Metrics;
  readonly counted: readonly (readonly [keyof Metrics, unknown])[];
} {
  const counted: (readonly [keyof Metrics, unknown])[] = [];
  const note = (what: keyof Metrics) => (first?: unknown) => void counted.push([what, first]);
  return {
    counted,
    metrics: {
      decided: note('decided'),
      degraded: note('degraded'),
      waitedInQueue: (seconds, outcome, priority) =>
        void counted.push(['waitedInQueue', { seconds, outcome, priority }]),
      waitPredicted: note('waitPredicted'),
      observeTtft: note('observeTtft'),
      observeInterToken: note('observeInterToken'),
      observeEndToEnd: note('observeEndToEnd'),
      tokens: note('tokens'),
      prefixCacheHit: note('prefixCacheHit'),
      leaseSettled: note('leaseSettled'),
      promptCounted: note('promptCounted'),
      outputForecast: note('outputForecast'),
      leaseEndedTwice: note('leaseEndedTwice'),
      sessionEvicted: note('sessionEvicted'),
      headroomMoved: note('headroomMoved'),
      streamCancelled: note('streamCancelled'),
      brakeActed: note('brakeActed'),
    },
  };
}

/** A GPU source that says what a test says. */
export class FakeGpuSource implements GpuSource {
  readonly name = 'fake';
  #events: GpuSourceEvents | null = null;

  start(events: GpuSourceEvents): void {
    this.#events = events;
  }

  async stop(): Promise<void> {
    this.#events = null;
  }

  /** One round: used bytes by UUID, of 1,000 each unless told otherwise; null is unreadable. Processes are seen where they are given. */
  sample(
    usedBytes: Readonly<Record<string, number | null>>,
    processes: Readonly<Record<string, readonly GpuProcess[]>> = {},
    totalBytes = 1_000,
  ): void {
    const gpus: GpuReading[] = Object.entries(usedBytes).map(([uuid, used], index) => ({
      uuid,
      index,
      name: 'fake GPU',
      totalBytes,
      usedBytes: used,
      utilizationPercent: null,
      unknownWhy: used === null ? 'not readable' : null,
      processes: processes[uuid] ?? null,
    }));
    this.#events?.sample(gpus);
  }

  fault(message: string): void {
    this.#events?.fault(message);
  }
}

export const THRESHOLDS = { medium: 0.7, high: 0.8, critical: 0.85, emergency: 0.9 };
export const POOL_THRESHOLDS = { medium: 1, high: 1.05, critical: 1.1, emergency: 1.2 };

export interface WorldOptions {
  readonly instances?: readonly {
    readonly name: string;
    readonly large?: boolean;
    readonly layout?: KvLayout;
    readonly reading?: Partial<EngineReading>;
  }[];
  readonly policy?: Partial<PolicyConfig>;
  readonly mode?: 'enforce' | 'observe';
  readonly memory?: Partial<CapacitiesOptions>;
  readonly gpu?: Partial<GpuMonitorOptions>;
  readonly maxConcurrency?: number | null;
  readonly dynamicThresholds?: boolean;
  readonly findProcesses?: FindProcesses;
}

/**
 * Healthy engines, each a unified pool of 10,000 tokens unless told otherwise,
 * and everything that stands behind an admission.
 */
export function stateWorld(options: WorldOptions = {}) {
  const given = options.instances ?? [{ name: 'a' }];
  const clock = new VirtualClock(1_000_000);
  const { log, lines } = recordingLog();
  const { metrics, counted } = recordingMetrics();
  const pools = new Pools(
    given.map(({ name, large = false }) => ({
      name,
      url: `http://${name}.test`,
      pool: large ? 'large' : 'default',
      large,
      io: fakeEngine({}),
    })),
  );
  const ledger = new Ledger();
  const speeds = new Speeds();
  const lengths = new LengthForecasts();
  const decisionLog = new DecisionLog(() => clock.nowMs());
  const source = new FakeGpuSource();
  const gpu = new GpuMonitor(source, clock, log, {
    staleAfterMs: 5_000,
    gpuIds: [],
    gpuOf: (_instance, gpuCount) => (gpuCount === 0 ? [] : [0]),
    ...options.gpu,
  });
  const processes = new EngineProcesses(options.findProcesses ?? (async () => null), clock);
  const { calibration, learn } = composeCalibration(pools, ledger, log);
  const headrooms = new Headrooms(
    { pools, clock, log, metrics },
    options.dynamicThresholds ?? false,
  );
  const policy: PolicyConfig = { ...POLICY, ...options.policy };
  const outlooks = new Outlooks({ ledger, lengths, speeds, clock }, policy);
  const capacities = new Capacities(
    { gpu, pools, ledger, outlooks, processes, calibration, headrooms, clock },
    {
      gpuMemoryThreshold: 0.9,
      safetyReserveBytes: 0,
      pressureBasis: 'budget',
      staleAfterMs: 5_000,
      onStale: 'ledger',
      ...options.memory,
    },
  );
  const levels = new Levels({
    pressure: THRESHOLDS,
    poolPressure: POOL_THRESHOLDS,
    hysteresis: 0.03,
    minDwellMs: 5_000,
    maxConcurrency: options.maxConcurrency ?? null,
    degrade: policy.degrade,
  });
  const mode = options.mode ?? 'enforce';
  const watched = { pools, ledger, capacities, headrooms, clock, log, metrics };
  const brake = new Brake({ ...watched, speeds, mode });
  const views = new Views({
    pools,
    ledger,
    capacities,
    levels,
    outlooks,
    brake,
    speeds,
    lengths,
    clock,
  });
  const evicted: string[] = [];
  const sessions = new Sessions(
    { maxIdleBytes: 1_000_000, idleMs: 300_000, maxIdleSessions: 1_000 },
    (id) => void evicted.push(id),
  );
  const judged = { pools, sessions, views, lengths, clock, log, policy };
  const judge = new Judge(judged);
  const deciders = { ...judged, judge, ledger, speeds, metrics, decisionLog };
  const admission = new Admission({ ...deciders, mode });
  const drains = new Drains(ledger, speeds, clock);

  /** A new reading of an engine, started and finished now. */
  const read = (name: string, change: Partial<EngineReading> = {}) => {
    const { heldUnits, sequences } = ledger.totals(name);
    pools.update(name, {
      health: { state: 'healthy' },
      latest: {
        reading: reading({ capacityUnits: 10_000, maxSequences: 4, ...change }),
        startedAtMs: clock.nowMs(),
        finishedAtMs: clock.nowMs(),
        ownHeldUnits: heldUnits,
        ownSequences: sequences,
        generatedAtStart: new Map(
          [...ledger.leases(name)].map((lease) => [lease, lease.generatedTokens]),
        ),
      },
    });
  };
  /** A lease that somebody else holds. */
  const take = (instance: string, promptTokens: number, outputTokens: number) =>
    ledger.take({
      requestId: 'another',
      instance,
      layout: UNIFIED,
      charge: chargeOf(UNIFIED, promptTokens, outputTokens, 1, 1),
      sessionKey: null,
      streams: true,
      takenAtMs: clock.nowMs(),
    });
  for (const instance of given) {
    pools.update(instance.name, {
      adapter: fakeAdapter(),
      facts: facts(instance.layout ?? UNIFIED),
    });
    read(instance.name, instance.reading);
  }
  void gpu.start(0);
  clock.advance(0);
  return {
    clock,
    lines,
    counted,
    pools,
    ledger,
    speeds,
    lengths,
    decisionLog,
    source,
    gpu,
    headrooms,
    capacities,
    calibration,
    learn,
    levels,
    views,
    sessions,
    evicted,
    judge,
    admission,
    drains,
    brake,
    read,
    take,
  };
}

let nextRequest = 0;

/** A request of 1,000 prompt and 1,000 output tokens, counted, in no session. */
export function admissionRequest(
  change: Partial<Omit<AdmissionRequest, 'shape'>> & {
    readonly shape?: Partial<AdmissionRequest['shape']>;
  } = {},
): AdmissionRequest {
  nextRequest += 1;
  return {
    id: `request-${nextRequest}`,
    path: CHAT,
    session: null,
    neverDegrade: false,
    tenant: 'anyone',
    priority: 'normal',
    countTokens: async () => null,
    ...change,
    shape: requestShape(change.shape),
  };
}

/** The serving instance of that name, as the rooms see it now. */
export function serving(pools: Pools, name: string) {
  const instance = pools.get(name);
  if (instance === undefined || instance.adapter === null || instance.facts === null) {
    throw new Error(`${name} does not serve`);
  }
  return { ...instance, adapter: instance.adapter, facts: instance.facts };
}
