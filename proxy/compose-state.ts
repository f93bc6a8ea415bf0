/** Builds the state rooms: who owns what, and who is told of whose changes. */
import { adapterNamed, detectAdapter } from '../backend-adapters/registry.ts';
import { composeCalibration } from './compose-calibration.ts';
import { composeEngineProcesses, composeGpuSource } from './compose-gpu.ts';
import { composeLengths } from './compose-lengths.ts';
import { composeTokens } from './compose-tokens.ts';
import type { Config } from './config/config.ts';
import { decidingValues } from './config/deciding-options.ts';
import { packageVersion } from './config/version.ts';
import { engineHost } from './engine-host.ts';
import { EngineClient } from './http/engine-client.ts';
import type { Upstream } from './http/upstream.ts';
import { specFromModelFile } from './memory/models/model-file.ts';
import { realClock } from './real-clock.ts';
import { StartError } from './start-error.ts';
import { Admission } from './state/admission.ts';
import { Brake } from './state/brake.ts';
import { Capacities } from './state/capacities.ts';
import { connectRooms } from './state/connect-rooms.ts';
import { Drains } from './state/drains.ts';
import { EngineMonitor, type EngineMonitorOptions } from './state/engine-monitor.ts';
import { GpuMonitor } from './state/gpu-monitor.ts';
import { placeOnGpus } from './state/gpu-placement.ts';
import { Headrooms } from './state/headrooms.ts';
import { InstanceLines } from './state/instance-lines.ts';
import { Judge } from './state/judge.ts';
import { Ledger } from './state/ledger.ts';
import { Levels } from './state/levels.ts';
import type { Log } from './state/log.ts';
import type { Metrics } from './state/metrics.ts';
import { Outlooks } from './state/outlooks.ts';
import { Overview } from './state/overview.ts';
import { Pools } from './state/pools.ts';
import { PreEviction } from './state/pre-eviction.ts';
import { Sessions } from './state/sessions.ts';
import type { Learner } from './state/settled.ts';
import { Speeds } from './state/speeds.ts';
import { Tally } from './state/tally.ts';
import { Views } from './state/views.ts';
import { createMetrics } from './telemetry/metrics.ts';

/** Idle sessions in all; each is a few hundred bytes of bookkeeping. */
const MAX_IDLE_SESSIONS = 100_000;
const PROBE_TIMEOUT_MS = 5_000;

export type StateRooms = Awaited<ReturnType<typeof composeState>>;

/**
 * @param upstreamOf the connections to a backend, by its name
 * @param readSimulated reads the GPUs of a simulated backend, where there is one
 * @throws StartError when `--model-config` can't be used
 */
export async function composeState(
  config: Config,
  log: Log,
  upstreamOf: (name: string) => Upstream,
  readSimulated: ((signal: AbortSignal) => Promise<unknown>) | null,
) {
  const clock = realClock;
  const { memory, policy, maxConcurrency, mode } = config;
  const pools = createPools(config, upstreamOf);
  const ledger = new Ledger();
  const speeds = new Speeds();
  const learning = composeLengths();
  const { lengths, decisionLog } = learning;
  const chosen = await composeGpuSource(config, clock, readSimulated);
  const gpu = new GpuMonitor(chosen.source, clock, log, {
    ...config.probe,
    gpuOf: placeOnGpus(pools.instances, config.engine.largeTensorParallel),
  });
  const processes = composeEngineProcesses(config, clock);
  const { calibration, learn } = composeCalibration(pools, ledger, log);
  const tally = new Tally();
  const metricsPage = createMetrics(() => overview.metrics(admission), packageVersion());
  const metrics = tally.watching(metricsPage);
  const headrooms = new Headrooms({ pools, clock, log, metrics }, config.dynamicThresholds);
  const outlooks = new Outlooks({ ledger, lengths, speeds, clock }, policy);
  const capacities = new Capacities(
    { gpu, pools, ledger, outlooks, processes, calibration, headrooms, clock },
    { ...memory, ...config.probe },
  );
  const levels = new Levels({ ...memory, maxConcurrency, degrade: policy.degrade });
  const tokens = composeTokens(config, pools, clock, log);
  const watched = { clock, pools, ledger, gpu, capacities, calibration, levels, headrooms };
  const brake = new Brake({ ...watched, speeds, log, metrics, mode });
  const views = new Views({ ...watched, outlooks, brake, speeds, lengths });

  const sessions = createSessions(config, metrics, log);
  const overview = new Overview({ ...watched, outlooks, brake, sessions, views });
  const judged = { pools, sessions, views, lengths, clock, log, policy };
  const judge = new Judge(judged);
  const deciders = { ...judged, judge, ledger, speeds, metrics, decisionLog };
  const admission = new Admission({ ...deciders, mode });
  const drains = new Drains(ledger, speeds, clock);
  const engines = new EngineMonitor(pools, ledger, clock, log, engineOptions(config));

  const learners: readonly Learner[] = [
    (settled) => speeds.learn(settled.instance, settled),
    learn,
    ...learning.lengthLearners,
    (settled) => tokens.countWitnesses.settled(settled),
  ];
  const told = { chosen, tally, metrics, metricsPage, decisionLog, overview };
  const decided = { judge, admission, drains, brake, engines };
  const rooms = { ...watched, ...tokens, ...told, ...decided, speeds, lengths, sessions, learners };
  decisionLog.settings(decidingValues(config.options));
  connectRooms(rooms, [
    new PreEviction({ ...rooms, log }, memory.poolPressure),
    new InstanceLines(rooms),
  ]);
  return rooms;
}

function createPools({ backends }: Config, upstreamOf: (name: string) => Upstream): Pools {
  return new Pools(
    backends.map(({ name, url, pool }) => ({
      name,
      url,
      pool,
      large: pool === 'large',
      io: new EngineClient(upstreamOf(name), engineHost(url)),
    })),
  );
}

function createSessions({ memory }: Config, metrics: Metrics, log: Log): Sessions {
  const limits = {
    maxIdleBytes: memory.maxIdleKvBytes,
    idleMs: memory.sessionIdleMs,
    maxIdleSessions: MAX_IDLE_SESSIONS,
  };
  return new Sessions(limits, (id, kvBytes, reason) => {
    metrics.sessionEvicted(reason);
    log.info('Session evicted', { session: id, kvBytes, reason });
  });
}

function engineOptions({ engine, probe }: Config): EngineMonitorOptions {
  const parsed = engine.modelConfig === null ? null : specFromModelFile(engine.modelConfig);
  if (parsed !== null && !parsed.ok) {
    throw new StartError(`--model-config: ${parsed.field}: ${parsed.problem}`);
  }
  const { adapter, kvBytesPerElement, kvLayout, attention } = engine;
  return {
    pollIntervalMs: probe.pollIntervalMs,
    probeTimeoutMs: PROBE_TIMEOUT_MS,
    detect: async (...io: Parameters<typeof detectAdapter>) =>
      adapter === 'auto' ? detectAdapter(...io) : adapterNamed(adapter),
    hintsFor: ({ large }: { readonly large: boolean }) => ({
      modelSpec: parsed?.spec ?? null,
      kvBytesPerElement,
      kvLayout,
      attention,
      tensorParallel: large ? engine.largeTensorParallel : 1,
      ollamaNumParallel: engine.ollamaNumParallel,
      imageTokens: engine.imageTokens,
      audioTokens: engine.audioTokens,
    }),
  };
}
