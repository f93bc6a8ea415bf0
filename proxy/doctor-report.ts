/** What `kvgate doctor` tells of each backend, in plain words. */
import type { Adapter, EngineFacts } from '../backend-adapters/adapter.ts';
import { assertNever } from './memory/assert-never.ts';
import { type KvLayout, steadyKvBytes } from './memory/kv-layout.ts';
import type { MediaBound } from './memory/models/media-bounds.ts';
import type { LayerGroup, ModelSpec } from './memory/models/model-spec.ts';
import type { GpuReading } from './state/gpu-source.ts';
import type { InstanceOverview } from './state/overview.ts';
import { type Health, type Instance, isServing } from './state/pools.ts';

export interface Patient {
  readonly instance: Instance;
  readonly seen: InstanceOverview | null;
  /** Why it can't be guarded as it is; null when it can. */
  readonly unusable: string | null;
}

export interface DoctorFindings {
  readonly patients: readonly Patient[];
  /** The value of `--adapter`. */
  readonly adapterAsked: string;
  readonly gpuSource: string;
  readonly gpus: readonly GpuReading[];
}

const MIB = 1024 ** 2;
const SAMPLE_TOKENS = 10_000;

export function doctorReport(findings: DoctorFindings): string {
  const lines = [
    ...findings.patients.flatMap((patient) => patientLines(patient, findings.adapterAsked)),
    `GPUs: ${findings.gpuSource}`,
    ...findings.gpus.map(gpuLine),
  ];
  return lines.join('\n');
}

function patientLines({ instance, seen, unusable }: Patient, adapterAsked: string): string[] {
  const { name, url, health, adapter, facts } = instance;
  const head = `${name}  ${url}`;
  if (!isServing(instance) || adapter === null || facts === null) {
    return [head, ...ailment(health).map((line) => `  ${line}`), ''];
  }
  const found = adapterAsked === 'auto' ? 'found by asking it' : 'as --adapter says';
  const verdict =
    unusable ?? (health.state === 'healthy' ? null : `${health.state}: ${health.why}`);
  return [
    head,
    `  Engine      ${adapter.name}, ${facts.version ?? 'version not told'} (${found})`,
    `  Model       ${facts.modelId}${facts.layout.spec === null ? '' : `: ${geometry(facts.layout.spec)}`}`,
    `  Memory      ${memoryWords(facts)}`,
    `  Capacity    ${capacityWords(instance, seen)}`,
    ...kvLine(facts.layout),
    `  Media       ${mediaWords(facts)}`,
    `  Generates   ${adapter.generationRoutes.map(({ path }) => path).join(', ')}`,
    `  Passes on   ${passWords(adapter)}`,
    ...assumptions(facts.warnings),
    verdict === null ? '  Guarded.' : `  Not guarded: ${verdict}`,
    '',
  ];
}

/** What keeps it from being guarded, and what to try. */
function ailment(health: Health): string[] {
  switch (health.state) {
    case 'unreachable':
      return [
        `Not guarded: ${health.why}`,
        health.processGone
          ? 'Nothing listens there: is the server up, and this the port it listens on? (vLLM opens its port only when the model is loaded.)'
          : "If a server of OpenAI's API runs there, name its engine with --adapter; if it wants a key, give it with --backend-api-key-file.",
      ];
    case 'loading':
      return [`Not guarded yet: ${health.why}. Ask again when the model is loaded.`];
    case 'starting':
    case 'unusable':
    case 'quarantined':
      return [`Not guarded: ${health.why}`];
    case 'healthy':
      return [];
    default:
      return assertNever(health);
  }
}

function assumptions(warnings: readonly string[]): string[] {
  if (warnings.length === 0) return ['  Assumed     nothing'];
  return ['  Assumed, or to be known:', ...warnings.map((warning) => `    - ${warning}`)];
}

function geometry({ groups }: ModelSpec): string {
  return groups.map(groupWords).join(', ');
}

function groupWords({ layers, kvHeads, keyDim, valueDim, windowTokens }: LayerGroup): string {
  const dims = keyDim === valueDim ? String(keyDim) : `${keyDim}/${valueDim}`;
  const kept = windowTokens === null ? '' : ` that keep ${windowTokens} tokens`;
  return `${layers} layers of ${kvHeads} KV heads x ${dims}${kept}`;
}

function memoryWords({ layout, ranks }: EngineFacts): string {
  const each = ranks > 1 ? `, in each of ${ranks} data-parallel ranks` : '';
  switch (layout.model) {
    case 'dynamic':
      return `dynamic: KV is taken from free GPU memory by each request (${layout.attention} attention)`;
    case 'paged':
      return `paged: a fixed pool of blocks of ${layout.blockTokens} tokens${each}`;
    case 'slots':
      return layout.unified
        ? `slots: ${layout.slots} slots share one pool of cells`
        : `slots: ${layout.slots} slots of ${layout.contextTokens} cells each`;
    default:
      return assertNever(layout);
  }
}

function capacityWords(instance: Instance, seen: InstanceOverview | null): string {
  const units = seen?.capacityUnits ?? null;
  const room =
    units === null
      ? (seen?.capacity ?? 'unknown')
      : `${units.toLocaleString('en')} ${unitOf(instance.facts?.layout.model)}`;
  const bytes = seen?.capacityBytes ?? null;
  const sequences = seen?.maxSequences ?? null;
  return [
    room,
    ...(bytes === null ? [] : [`${Math.floor(bytes / MIB).toLocaleString('en')} MiB`]),
    sequences === null ? 'sequences at a time: no limit known' : `${sequences} sequences at a time`,
  ].join(', ');
}

function unitOf(model: KvLayout['model'] | undefined): string {
  return model === 'paged' ? 'blocks' : model === 'slots' ? 'cells' : 'bytes';
}

function kvLine({ spec, kvBytesPerElement }: KvLayout): string[] {
  if (spec === null) return [];
  const bytes = steadyKvBytes(spec, SAMPLE_TOKENS, kvBytesPerElement);
  const tokens = SAMPLE_TOKENS.toLocaleString('en');
  return [
    `  KV          ${tokens} tokens take ${Math.ceil(bytes / MIB)} MiB, at ${kvBytesPerElement} bytes an element`,
  ];
}

function mediaWords({ media }: EngineFacts): string {
  const parts = Object.entries(media).map(([kind, bound]) => `${kind} ${boundWords(bound)}`);
  return parts.join(', ');
}

function boundWords(bound: MediaBound): string {
  if (bound === 'none') return 'not taken';
  return bound === null ? 'refused (size not known)' : `up to ${bound} tokens`;
}

function passWords({ passthroughRoutes }: Adapter): string {
  return passthroughRoutes.map(({ method, path }) => `${method} ${path}`).join(', ') || 'nothing';
}

function gpuLine({ index, name, uuid, totalBytes, usedBytes, unknownWhy }: GpuReading): string {
  const memory =
    totalBytes === null || usedBytes === null
      ? `memory unknown: ${unknownWhy ?? 'not told'}`
      : `${Math.floor(usedBytes / MIB)} of ${Math.floor(totalBytes / MIB)} MiB in use`;
  return `  ${index}  ${name}  ${uuid}  ${memory}`;
}
