/**
 * The state that vLLM tells in `/metrics` (vllm/v1/metrics/loggers.py), one
 * reading for each data-parallel engine. Names changed between versions
 * (`gpu_cache_usage_perc` became `kv_cache_usage_perc`), and a metric that is
 * missing or not a number is null.
 */
import { type Sample, samplesNamed } from '../../proxy/text/prometheus-text.ts';

/** One data-parallel engine: it has a pool of blocks and a scheduler of its own. */
export interface EngineMetrics {
  /** Blocks of its own pool, the null block included. */
  readonly blocks: number | null;
  /** Share of the blocks that live requests hold. */
  readonly usage: number | null;
  readonly running: number | null;
  readonly waiting: number | null;
  readonly preemptions: number | null;
  /** Share of the KV kept in host memory that is in use. */
  readonly hostUsage: number | null;
  /** False while it sleeps: its weights, and at level 2 its KV, are gone from the GPU. */
  readonly awake: boolean;
}

export interface VllmMetrics {
  /** By rank, at least one. */
  readonly engines: readonly [EngineMetrics, ...EngineMetrics[]];
  /** Labels of `cache_config_info`, which dumps the engine's CacheConfig. */
  readonly blockTokens: number | null;
  readonly cacheDtype: string | null;
  /** `mamba_cache_mode`, of models that have states. */
  readonly stateMode: string | null;
  /** Requests of full length that the pool of one engine holds, a fraction; null: not told. */
  readonly fullLengthRequests: number | null;
  /** `--kv-cache-memory-bytes`, where the number of blocks follows from it; of one GPU. */
  readonly poolBytes: number | null;
  /** `--kv-offloading-size`, and V0's `--swap-space`; null where neither is told. */
  readonly hostBytes: number | null;
  /** Positions of the draft that are counted: as many as tokens are guessed at a time; 0: none. */
  readonly draftTokens: number;
}

const CONFIG = 'vllm:cache_config_info';
const USAGE = ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'] as const;
const RUNNING = ['vllm:num_requests_running'] as const;
const WAITING = ['vllm:num_requests_waiting'] as const;
const PREEMPTIONS = ['vllm:num_preemptions_total', 'vllm:num_preemptions'] as const;
const HOST_USAGE = ['vllm:kv_offload_cpu_cache_usage_perc', 'vllm:cpu_cache_usage_perc'] as const;
const SLEEP = 'vllm:engine_sleep_state';
const DRAFT_POSITIONS = [
  'vllm:spec_decode_num_accepted_tokens_per_pos_total',
  'vllm:spec_decode_num_accepted_tokens_per_pos',
] as const;
const NAMES = [
  ...[CONFIG, SLEEP, ...USAGE, ...RUNNING, ...WAITING],
  ...[...PREEMPTIONS, ...HOST_USAGE, ...DRAFT_POSITIONS],
];

const BYTES_OF_GIB = 2 ** 30;

export function vllmMetrics(text: string): VllmMetrics {
  const samples = samplesNamed(text, NAMES);
  const configs = samples.filter((sample) => sample.name === CONFIG);
  const engineNames = [...new Set(samples.map(engineOf))].sort((a, b) => Number(a) - Number(b));
  const [first = '0', ...others] = engineNames;
  const positions = samples
    .filter(({ name }) => DRAFT_POSITIONS.some((known) => known === name))
    .map(({ labels }) => labels.get('position'));
  const read = (engine: string) => engineMetrics(samples, engine, engineNames.length);
  return {
    engines: [read(first), ...others.map(read)],
    blockTokens: smallest(configs.map((config) => labelCount(config, 'block_size'))),
    cacheDtype: configs[0]?.labels.get('cache_dtype') ?? null,
    stateMode: configs[0]?.labels.get('mamba_cache_mode') ?? null,
    fullLengthRequests: positive(configs[0]?.labels.get('kv_cache_max_concurrency')),
    poolBytes: poolBytes(configs[0]),
    hostBytes: hostBytes(configs[0]),
    draftTokens: new Set(positions).size,
  };
}

function engineMetrics(all: readonly Sample[], engine: string, engines: number): EngineMetrics {
  const samples = all.filter((sample) => engineOf(sample) === engine);
  const usage = gaugeOf(samples, USAGE);
  const hostUsage = gaugeOf(samples, HOST_USAGE);
  const awake = samples.find(
    ({ name, labels }) => name === SLEEP && labels.get('sleep_state') === 'awake',
  );
  return {
    blocks: ownBlocks(all, samples, engines),
    usage: usage !== null && usage <= 1 ? usage : null,
    running: gaugeOf(samples, RUNNING),
    waiting: gaugeOf(samples, WAITING),
    preemptions: gaugeOf(samples, PREEMPTIONS),
    hostUsage: hostUsage !== null && hostUsage <= 1 ? hostUsage : null,
    awake: awake?.value !== 0,
  };
}

/**
 * The front end adds up the blocks of all its engines and tells that sum in the
 * line of each of them (vllm/v1/engine/core_client.py from v0.12, utils.py
 * before), so one figure for several engines is shared out between them. A
 * line that says "None" is of a process that was not told.
 */
function ownBlocks(all: readonly Sample[], own: readonly Sample[], engines: number): number | null {
  const told = (samples: readonly Sample[]) =>
    samples
      .filter(({ name }) => name === CONFIG)
      .map((config) => labelCount(config, 'num_gpu_blocks'))
      .filter((count) => count !== null);
  const blocks = smallest(told(own));
  if (blocks === null || engines === 1) return blocks;
  return new Set(told(all)).size > 1 ? blocks : Math.floor(blocks / engines);
}

/** Versions with one engine name none. */
function engineOf(sample: Sample): string {
  return sample.labels.get('engine') ?? '0';
}

/** Of the first name that has a sample: an old and a new name never add up. */
function gaugeOf(samples: readonly Sample[], names: readonly string[]): number | null {
  const name = names.find((candidate) => samples.some((sample) => sample.name === candidate));
  const value = samples.find((sample) => sample.name === name)?.value ?? Number.NaN;
  return Number.isFinite(value) && value >= 0 ? value : null;
}

/** `num_gpu_blocks` is the text "None" until the pool was sized. */
function labelCount(sample: Sample, label: string): number | null {
  const text = sample.labels.get(label) ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

function smallest(counts: readonly (number | null)[]): number | null {
  const known = counts.filter((count) => count !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function positive(text: string | undefined): number | null {
  const value = Number(text ?? Number.NaN);
  return Number.isFinite(value) && value > 0 ? value : null;
}

/** An override of the blocks has nothing to do with the bytes. */
function poolBytes(config: Sample | undefined): number | null {
  const isOverridden =
    config !== undefined && labelCount(config, 'num_gpu_blocks_override') !== null;
  return config === undefined || isOverridden ? null : labelCount(config, 'kv_cache_memory_bytes');
}

/** `kv_offloading_size` is in GiB; V0 tells `swap_space_bytes`. */
function hostBytes(config: Sample | undefined): number | null {
  const gib = Number(config?.labels.get('kv_offloading_size'));
  if (Number.isFinite(gib) && gib > 0) return Math.round(gib * BYTES_OF_GIB);
  return config === undefined ? null : labelCount(config, 'swap_space_bytes');
}
