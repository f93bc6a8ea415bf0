/** Checked values and file contents become the one frozen Config, in bytes and milliseconds. */
import { type ListenAddress, parseBackend, parseListenAddress } from './addresses.ts';
import type { BackendConfig, Config, DemoConfig } from './config.ts';
import type { OptionName, OptionValues } from './options.ts';
import type { FileContents, Report } from './read-files.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** Bytes of one element; the quantised types of llama.cpp hold 32 elements in a block. */
export const KV_BYTES_PER_ELEMENT = {
  bf16: 2,
  f16: 2,
  f32: 4,
  fp8: 1,
  q8_0: 34 / 32,
  q4_0: 18 / 32,
} as const;

/** Both lists of backends in order, those that can't be understood reported and left out. */
export function resolveBackends(values: OptionValues, report: Report): BackendConfig[] {
  const ofPool = (field: 'backend' | 'backend-large', pool: BackendConfig['pool']) =>
    values[field].flatMap((text, index) => {
      const backend = parseBackend(text, pool, `${pool}-${index + 1}`);
      if (!backend.ok) report(field, backend.why);
      return backend.ok ? [backend.value] : [];
    });
  return [...ofPool('backend', 'default'), ...ofPool('backend-large', 'large')];
}

export function resolveAdminListen(values: OptionValues, report: Report): ListenAddress | null {
  const text = values['admin-listen'];
  if (text === null) return null;
  const address = parseListenAddress(text);
  if (!address.ok) report('admin-listen', address.why);
  return address.ok ? address.value : null;
}

export interface ResolveInput {
  readonly values: OptionValues;
  readonly files: FileContents;
  readonly backends: readonly BackendConfig[];
  readonly adminListen: ListenAddress | null;
  readonly options: Config['options'];
}

/** Units only: every rule has been checked by now. The result is frozen all the way down. */
export function resolveConfig({
  values,
  files,
  backends,
  adminListen,
  options,
}: ResolveInput): Config {
  return deepFreeze({
    server: {
      host: values.host,
      port: values.port,
      adminListen,
      adminToken: files.adminToken,
      apiKeys: files.apiKeys,
      maxPriority: values['max-priority'],
      tls: files.tls,
      maxBodyBytes: Math.floor(values['max-body-mb'] * MIB),
      maxBufferedBytes: Math.floor(values['max-buffered-mb'] * MIB),
      drainTimeoutMs: toMs(values['drain-timeout']),
      responseMetadata: values['response-metadata'],
      passthroughPaths: values['passthrough-path'],
    },
    backends,
    engine: resolveEngine(values, files),
    memory: resolveMemory(values),
    mode: values.mode,
    policy: resolvePolicy(values),
    maxConcurrency: values['max-concurrency'],
    dynamicThresholds: values['dynamic-thresholds'],
    probe: {
      gpuSource: values['gpu-source'],
      dcgmUrl: values['dcgm-url'],
      gpuIds: values['gpu-ids'],
      pollIntervalMs: values['poll-interval-ms'],
      staleAfterMs: values['stale-after-ms'],
      onStale: values['on-stale'],
    },
    state: { dir: values['state-dir'], decisionLogFile: values['decision-log'] },
    telemetry: { logLevel: values['log-level'], logFormat: values['log-format'] },
    options,
  });
}

export function resolveDemo(
  values: OptionValues,
  isDefault: (name: OptionName) => boolean,
): DemoConfig {
  return deepFreeze({
    engine: values['simulated-engine'],
    gpuBytes: values['simulated-gpu-mb'] * MIB,
    speed: values['simulated-speed'],
    seed: values['simulated-seed'],
    // Eager attention, the safe assumption of a real server, allows no long prompts on 80 GB.
    attention: isDefault('attention') ? 'flash' : values.attention,
  });
}

function resolveEngine(values: OptionValues, files: FileContents): Config['engine'] {
  const kvDtype = values['kv-dtype'];
  return {
    adapter: values.adapter,
    backendApiKey: files.backendApiKey,
    modelConfig: files.modelConfig,
    tokenizerPath: files.tokenizerPath,
    kvBytesPerElement: kvDtype === null ? null : KV_BYTES_PER_ELEMENT[kvDtype],
    kvLayout: values['kv-layout'],
    attention: values.attention,
    imageTokens: values['image-tokens'],
    audioTokens: values['audio-tokens'],
    ollamaNumParallel: values['ollama-num-parallel'],
    largeTensorParallel: values['large-tensor-parallel'],
    connectTimeoutMs: values['connect-timeout-ms'],
    firstByteTimeoutMs: toMs(values['first-byte-timeout']),
    streamIdleTimeoutMs: toMs(values['stream-idle-timeout']),
    writeStallTimeoutMs: toMs(values['write-stall-timeout']),
  };
}

function resolveMemory(values: OptionValues): Config['memory'] {
  return {
    gpuMemoryThreshold: values['gpu-memory-threshold'],
    safetyReserveBytes: Math.floor(values['mem-safety-reserve-mb'] * MIB),
    maxIdleKvBytes: Math.floor(values['max-kv-gb'] * GIB),
    sessionIdleMs: toMs(values['idle-timeout-seconds']),
    pressureBasis: values['pressure-basis'],
    // The options name the upper end of a level; the next level begins there.
    pressure: {
      medium: values['pressure-low'],
      high: values['pressure-medium'],
      critical: values['pressure-high'],
      emergency: values['pressure-critical'],
    },
    poolPressure: {
      medium: values['pool-pressure-medium'],
      high: values['pool-pressure-high'],
      critical: values['pool-pressure-critical'],
      emergency: values['pool-pressure-emergency'],
    },
    hysteresis: values.hysteresis,
    minDwellMs: toMs(values['min-dwell']),
  };
}

function resolvePolicy(values: OptionValues): Config['policy'] {
  return {
    largeRequestTokens: values['large-req-tokens'],
    largeRequestKvBytes: Math.floor(values['large-req-kv-mb'] * MIB),
    sessionKvLimitBytes: Math.floor(values['session-kv-limit-mb'] * MIB),
    shortWaitMs: toMs(values['short-wait']),
    queueTimeoutMs: toMs(values['queue-timeout']),
    queueMax: values['queue-max'],
    queueTargetMs: toMs(values['queue-target']),
    shrinkFloor: values['shrink-floor'],
    minOutputTokens: values['min-output-tokens'],
    degrade: values.degrade,
    reserve: values.reserve,
    overrunProbability: values['overrun-probability'],
    admissionOrder: values['admission-order'],
  };
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1000);
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
