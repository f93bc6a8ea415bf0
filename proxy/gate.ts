/**
 * The composition root: builds every room from the configuration, starts them
 * in order and stops them in the reverse order. Nothing is decided here.
 */
import type { Server } from 'node:http';
import { adapterNamed, detectAdapter } from '../backend-adapters/registry.ts';
import type { Config } from './config/config.ts';
import { packageVersion } from './config/version.ts';
import { chooseGpuSource } from './gpu/choose.ts';
import { EngineClient } from './http/engine-client.ts';
import { Exchanges } from './http/exchanges.ts';
import { Passthrough } from './http/forward-passthrough.ts';
import { type GenerationParts, handleExplain, handleGeneration } from './http/handle-generation.ts';
import { commandLineBehind } from './http/listening-process.ts';
import { handleOperator, type OperatorParts } from './http/operator-routes.ts';
import { BufferBudget } from './http/read-body.ts';
import { adminServer, dataServer, listen } from './http/server.ts';
import { Settlement } from './http/settle.ts';
import { Tenants } from './http/tenants.ts';
import { Upstream } from './http/upstream.ts';
import { type ModelSpec, modelSpecFromConfig } from './memory/model-spec.ts';
import { realClock } from './real-clock.ts';
import { unusableReason } from './start-checks.ts';
import { Admission } from './state/admission.ts';
import { Drains } from './state/drains.ts';
import { EngineMonitor } from './state/engine-monitor.ts';
import { GpuMonitor } from './state/gpu-monitor.ts';
import { placeOnGpus } from './state/gpu-placement.ts';
import type { GpuReading } from './state/gpu-source.ts';
import { Judge } from './state/judge.ts';
import { Ledger } from './state/ledger.ts';
import type { Log } from './state/log.ts';
import { Overview } from './state/overview.ts';
import { isServing, Pools } from './state/pools.ts';
import { Predictor } from './state/predictor.ts';
import { Sessions } from './state/sessions.ts';
import { Tally } from './state/tally.ts';
import { Views } from './state/views.ts';
import { createMetrics } from './telemetry/metrics.ts';

/** The configuration is sound, but what it describes can't be guarded: exit code 2. */
export class StartError extends Error {
  readonly code = 'cannot_start';
}

export interface Gate {
  readonly port: number;
  readonly adminPort: number | null;
  readonly overview: Overview;
  /** One sentence on where GPU readings come from. */
  readonly gpuSource: string;
  gpus(): readonly GpuReading[];
  /** The models whose geometry is known, one of each. */
  specs(): readonly { readonly spec: ModelSpec; readonly kvBytesPerElement: number }[];
  /** Refuses new work, lets running requests end, breaks what is left at the deadline. */
  drain(): Promise<void>;
}

/** Idle sessions in all; each is a few hundred bytes of bookkeeping. */
const MAX_IDLE_SESSIONS = 100_000;
const FIRST_SAMPLE_WAIT_MS = 5_000;
const PROBE_TIMEOUT_MS = 5_000;
const SWEEP_INTERVAL_MS = 1_000;

/**
 * Starts a gate.
 * @param readSimulated reads the GPUs of a simulated backend, where there is one
 * @throws StartError when a backend can't be guarded as configured
 */
export async function startGate(
  config: Config,
  log: Log,
  readSimulated: ((signal: AbortSignal) => Promise<unknown>) | null,
): Promise<Gate> {
  const clock = realClock;
  const { engine, memory, probe, server } = config;

  const upstreams = new Map(
    config.backends.map(({ name, url }) => [
      name,
      new Upstream(url, engine.backendApiKey, engine.connectTimeoutMs),
    ]),
  );
  const upstreamOf = (name: string): Upstream => {
    const upstream = upstreams.get(name);
    if (upstream === undefined) throw new Error(`no connections to ${name}`);
    return upstream;
  };

  const ledger = new Ledger();
  const predictor = new Predictor();
  const pools = new Pools(
    config.backends.map(({ name, url, pool }) => ({
      name,
      url,
      pool,
      large: pool === 'large',
      io: new EngineClient(upstreamOf(name), () => commandLineBehind(url)),
    })),
  );
  const chosen = await chooseGpuSource(probe.gpuSource, {
    pollIntervalMs: probe.pollIntervalMs,
    clock,
    searchPath: process.env.PATH ?? '',
    ...(readSimulated === null ? {} : { readSimulated }),
  });
  const gpu = new GpuMonitor(chosen.source, ledger, clock, log, {
    ...memory,
    ...probe,
    maxConcurrency: config.maxConcurrency,
    degrade: config.policy.degrade,
    gpuOf: placeOnGpus(pools.instances, engine.largeTensorParallel),
  });
  const views = new Views(pools, ledger, gpu, predictor, clock);
  const tally = new Tally();
  const metricsPage = createMetrics(() => overview.metrics(admission), packageVersion());
  const metrics = tally.watching(metricsPage);
  const sessions = new Sessions(
    {
      maxIdleBytes: memory.maxIdleKvBytes,
      idleMs: memory.sessionIdleMs,
      maxIdleSessions: MAX_IDLE_SESSIONS,
    },
    (id, kvBytes, reason) => {
      metrics.sessionEvicted(reason);
      log.info('Session evicted', { session: id, kvBytes, reason });
    },
  );
  const overview = new Overview({ pools, ledger, gpu, sessions, views, clock });
  const judge = new Judge({ pools, sessions, views, clock, log, policy: config.policy });
  const admission = new Admission({
    pools,
    sessions,
    views,
    clock,
    log,
    policy: config.policy,
    judge,
    ledger,
    predictor,
    metrics,
    mode: config.mode,
  });
  const drains = new Drains(ledger, predictor, clock);
  const engines = new EngineMonitor(pools, ledger, clock, log, {
    pollIntervalMs: probe.pollIntervalMs,
    probeTimeoutMs: PROBE_TIMEOUT_MS,
    detect: async (io, signal) =>
      engine.adapter === 'auto' ? detectAdapter(io, signal) : adapterNamed(engine.adapter),
    hintsFor: hintsFrom(config),
  });

  const exchanges = new Exchanges();
  const tenants = new Tenants(server.apiKeys);
  const passthrough = new Passthrough({
    backendApiKey: engine.backendApiKey,
    answerTimeoutMs: engine.firstByteTimeoutMs,
    dropCredentials: tenants.verifies,
  });
  const generation: GenerationParts = {
    pools,
    admission,
    drains,
    engines,
    exchanges,
    tenants,
    budget: new BufferBudget(server.maxBufferedBytes),
    settlement: new Settlement(metrics, predictor, clock),
    log,
    upstreamOf,
    timeouts: engine,
    maxBodyBytes: server.maxBodyBytes,
    responseMetadata: server.responseMetadata,
  };
  const operator: OperatorParts = {
    pools,
    gpu,
    sessions,
    admission,
    overview,
    exchanges,
    tenants,
    tally,
    clock,
    metricsPage,
    adminToken: server.adminToken,
    version: packageVersion(),
    explain: (message, response) => handleExplain(generation, message, response),
  };

  ledger.onEndedTwice(() => metrics.leaseEndedTwice());
  pools.onChange((before, after) => {
    if (after.latest !== null && after.latest !== before.latest)
      drains.confirm(after, after.latest);
    judge.refreshLevels();
    admission.pump();
  });
  gpu.onSample(() => {
    judge.refreshLevels();
    admission.pump();
  });
  await Promise.all([gpu.start(FIRST_SAMPLE_WAIT_MS), engines.start()]);

  const sweeping = setInterval(() => sessions.sweep(clock.nowMs()), SWEEP_INTERVAL_MS);
  const stopRooms = async () => {
    clearInterval(sweeping);
    await Promise.all([engines.stop(), gpu.stop()]);
    passthrough.close();
    await Promise.all([...upstreams.values()].map((upstream) => upstream.close()));
  };
  const unusable = pools.instances.flatMap(
    (instance) => unusableReason(instance, isServing(instance) ? gpu : null, config.policy) ?? [],
  );
  if (unusable.length > 0) {
    await stopRooms();
    throw new StartError(unusable.join('\n'));
  }

  const operate = (path: string, ...exchange: Parameters<OperatorParts['explain']>) =>
    handleOperator(operator, path, ...exchange);
  const gate = dataServer(
    {
      pools,
      tenants,
      generate: (message, response) => handleGeneration(generation, message, response),
      operate,
      pass: (target, message, response) => passthrough.forward(target, message, response),
    },
    server.tls,
    server.adminListen === null,
  );
  const admin = server.adminListen === null ? null : adminServer(operate);
  const port = await listen(gate, server.host, server.port);
  const adminPort =
    admin === null || server.adminListen === null
      ? null
      : await listen(admin, server.adminListen.host, server.adminListen.port);

  return {
    port,
    adminPort,
    overview,
    gpuSource: chosen.why,
    gpus: () => gpu.snapshot?.gpus ?? [],
    specs: () => knownSpecs(pools),
    async drain() {
      const closing = [gate, admin].flatMap((each) => (each === null ? [] : closed(each)));
      admission.close();
      const cut = setTimeout(() => exchanges.cancelAll('drain'), server.drainTimeoutMs);
      await exchanges.empty();
      clearTimeout(cut);
      for (const each of [gate, admin]) each?.closeIdleConnections();
      await stopRooms();
      for (const each of [gate, admin]) each?.closeAllConnections();
      await Promise.all(closing);
    },
  };
}

function knownSpecs(pools: Pools): ReturnType<Gate['specs']> {
  const known = new Map(
    pools.instances.flatMap(({ facts }) => {
      if (facts === null || facts.layout.spec === null) return [];
      const { spec, kvBytesPerElement } = facts.layout;
      return [[spec.id, { spec, kvBytesPerElement }] as const];
    }),
  );
  return [...known.values()];
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function hintsFrom(config: Config) {
  const { engine } = config;
  const parsed =
    engine.modelConfig === null
      ? null
      : modelSpecFromConfig(engine.modelConfig.json, engine.modelConfig.path);
  if (parsed !== null && !parsed.ok) {
    throw new StartError(`--model-config: ${parsed.field}: ${parsed.problem}`);
  }
  return ({ large }: { readonly large: boolean }) => ({
    modelSpec: parsed?.spec ?? null,
    kvBytesPerElement: engine.kvBytesPerElement,
    kvLayout: engine.kvLayout,
    attention: engine.attention,
    tensorParallel: large ? engine.largeTensorParallel : 1,
  });
}
