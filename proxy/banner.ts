/** What an operator sees at start: what is guarded, with which limits, and what to try. */
import type { Config } from './config/config.ts';
import { describeConfig } from './config/describe.ts';
import { steadyKvBytes } from './memory/kv-layout.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';
import type { GpuReading } from './state/gpu-source.ts';
import type { InstanceOverview } from './state/overview.ts';

const MIB = 1024 ** 2;
/** A chat with tools and a few files is easily as long. */
const SHORT_SESSION_TOKENS = 32_000;

export interface BannerFacts {
  readonly version: string;
  readonly config: Config;
  readonly port: number;
  readonly gpuSource: string;
  readonly gpus: readonly GpuReading[];
  readonly instances: readonly InstanceOverview[];
  /** Models whose geometry is known, one of each. */
  readonly specs: readonly { readonly spec: ModelSpec; readonly kvBytesPerElement: number }[];
  /** The simulated server in use, in words; null when the backends are real. */
  readonly demo: string | null;
}

export function banner(facts: BannerFacts): string {
  const { config, port } = facts;
  const scheme = config.server.tls === null ? 'http' : 'https';
  const origin = `${scheme}://${shownHost(config.server.host)}:${port}`;
  return [
    `kvgate ${facts.version} on ${origin} (${config.mode})`,
    ...(facts.demo === null ? [] : [`Demo: answers come from a ${facts.demo}.`]),
    '',
    `GPUs. ${facts.gpuSource}`,
    ...(facts.gpus.length === 0 ? ['  none seen'] : facts.gpus.map(gpuLine)),
    'Backends',
    ...facts.instances.map(instanceLine),
    'Session limit',
    ...sessionLimits(facts),
    ...describeConfig(config),
    '',
    'Try',
    ...curlLines(origin, facts.instances[0]?.modelId ?? 'gpt-oss-20b'),
    '',
  ].join('\n');
}

function gpuLine({ index, name, totalBytes, usedBytes, unknownWhy }: GpuReading): string {
  const memory =
    totalBytes === null || usedBytes === null
      ? `memory unknown: ${unknownWhy ?? 'not told'}`
      : `${mib(usedBytes)} of ${mib(totalBytes)} MiB in use`;
  return `  ${index}  ${name}  ${memory}`;
}

function instanceLine(instance: InstanceOverview): string {
  const { instance: name, url, adapter, health, memoryModel, capacityUnits, modelId } = instance;
  if (health.state !== 'healthy') return `  ${name}  ${url}  ${health.state}: ${health.why}`;
  const unit = { dynamic: 'bytes', paged: 'blocks', slots: 'cells' }[memoryModel ?? ''] ?? 'units';
  const room =
    capacityUnits === null
      ? `capacity ${instance.capacity ?? 'unknown'}`
      : memoryModel === 'dynamic'
        ? `${mib(capacityUnits)} MiB for requests`
        : `${capacityUnits} ${unit}`;
  return `  ${name}  ${url}  ${adapter ?? '?'}  ${modelId}  ${memoryModel ?? '?'}  ${room}`;
}

function sessionLimits({ specs, config }: BannerFacts): string[] {
  if (specs.length === 0) {
    return ["  none: it needs the model's geometry; pass --model-config with its config.json"];
  }
  return specs.flatMap(({ spec, kvBytesPerElement }) =>
    sessionLines(spec, kvBytesPerElement, config.policy.sessionKvLimitBytes),
  );
}

function sessionLines(spec: ModelSpec, kvBytesPerElement: number, limitBytes: number): string[] {
  const tokens = longestWithin(spec, kvBytesPerElement, limitBytes);
  const line = `  ${mib(limitBytes)} MiB hold ${tokens.toLocaleString('en')} tokens of ${spec.id}`;
  if (tokens >= SHORT_SESSION_TOKENS || tokens >= spec.contextTokens) return [line];
  const hint = `  warning: that is short for a long chat; see --session-kv-limit-mb`;
  return [line, hint];
}

/** The most tokens whose KV stays within a limit; KV grows with the tokens, so bisection finds it. */
function longestWithin(spec: ModelSpec, kvBytesPerElement: number, limitBytes: number): number {
  let within = 0;
  let beyond = spec.contextTokens + 1;
  while (beyond - within > 1) {
    const middle = Math.floor((within + beyond) / 2);
    if (steadyKvBytes(spec, middle, kvBytesPerElement) <= limitBytes) within = middle;
    else beyond = middle;
  }
  return within;
}

function curlLines(origin: string, model: string): string[] {
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: 'Say hello.' }],
    max_tokens: 64,
  });
  const stream = body.replace('"max_tokens":64', '"max_tokens":64,"stream":true');
  const json = `-H 'content-type: application/json'`;
  return [
    `  curl -i ${origin}/v1/chat/completions ${json} -d '${body}'`,
    `  curl -N ${origin}/v1/chat/completions ${json} -H 'x-session-id: demo' -d '${stream}'`,
    `  curl ${origin}/explain ${json} -d '${body}'`,
    `  curl ${origin}/memory_stats`,
    `  curl ${origin}/metrics`,
  ];
}

function shownHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}

function mib(bytes: number): string {
  return Math.floor(bytes / MIB).toLocaleString('en');
}
