/**
 * The state that vLLM tells in `/metrics`. Names changed between versions
 * (`gpu_cache_usage_perc` became `kv_cache_usage_perc`), and a metric that is
 * missing or not a number is null.
 */
import { type Sample, samplesNamed } from './prometheus-text.ts';

export interface VllmMetrics {
  /** Blocks of one engine, the smallest of them; null where none tells. */
  readonly blocks: number | null;
  readonly blockTokens: number | null;
  /** `auto`, `fp8`, ... as configured. */
  readonly cacheDtype: string | null;
  /** Data-parallel engines behind this address. */
  readonly engines: number;
  /** Share of the blocks that live requests hold, of the fullest engine. */
  readonly usage: number | null;
  readonly running: number | null;
  readonly waiting: number | null;
  readonly preemptions: number | null;
}

const CONFIG = 'vllm:cache_config_info';
const USAGE = ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'] as const;
const RUNNING = 'vllm:num_requests_running';
const WAITING = 'vllm:num_requests_waiting';
const PREEMPTIONS = ['vllm:num_preemptions_total', 'vllm:num_preemptions'] as const;

export function vllmMetrics(text: string): VllmMetrics {
  const samples = samplesNamed(text, [CONFIG, ...USAGE, RUNNING, WAITING, ...PREEMPTIONS]);
  const configs = samples.filter((sample) => sample.name === CONFIG);
  const usage = firstOf(samples, USAGE).map((sample) => sample.value);
  return {
    blocks: smallest(configs.map((config) => labelCount(config, 'num_gpu_blocks'))),
    blockTokens: smallest(configs.map((config) => labelCount(config, 'block_size'))),
    cacheDtype: configs[0]?.labels.get('cache_dtype') ?? null,
    engines: Math.max(1, configs.length),
    usage: usage.length > 0 && usage.every(isShare) ? Math.max(...usage) : null,
    running: total(firstOf(samples, [RUNNING])),
    waiting: total(firstOf(samples, [WAITING])),
    preemptions: total(firstOf(samples, PREEMPTIONS)),
  };
}

/** Samples of the first name that has any: an old and a new name never add up. */
function firstOf(samples: readonly Sample[], names: readonly string[]): readonly Sample[] {
  const name = names.find((candidate) => samples.some((sample) => sample.name === candidate));
  return samples.filter((sample) => sample.name === name);
}

/** Over all engines; null where there is none or one is not a count. */
function total(samples: readonly Sample[]): number | null {
  const counts = samples.map((sample) => sample.value);
  const sound = counts.length > 0 && counts.every((count) => Number.isFinite(count) && count >= 0);
  return sound ? counts.reduce((sum, count) => sum + count, 0) : null;
}

/** `num_gpu_blocks` is the text "None" until the pool was sized. */
function labelCount(sample: Sample, label: string): number | null {
  const text = sample.labels.get(label) ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

/** null where one of them is unknown: its share of the work is unknown as well. */
function smallest(counts: readonly (number | null)[]): number | null {
  const known = counts.filter((count) => count !== null);
  return known.length === 0 || known.length < counts.length ? null : Math.min(...known);
}

function isShare(value: number): boolean {
  return value >= 0 && value <= 1;
}
