/**
 * What SGLang tells in `/metrics` alone, and, where it tells its load nowhere
 * else, its load (metrics/collector.py; only with `--enable-metrics`). Each
 * rank has samples of its own, several where all its GPUs report: then all
 * tell the same, and the highest is taken.
 */
import { type Sample, samplesNamed } from '../../proxy/text/prometheus-text.ts';
import type { RankLoad } from './rank-load.ts';

export interface SglangMetrics {
  readonly ranks: readonly RankLoad[];
  /** Since the start; null where it is not told. */
  readonly retractions: number | null;
  /** KV in host memory, of all ranks; null where there is none or it is not told. */
  readonly hostUsedTokens: number | null;
  readonly hostTotalTokens: number | null;
}

const RUNNING = 'sglang:num_running_reqs';
const WAITING = 'sglang:num_queue_reqs';
const USED = 'sglang:num_used_tokens';
/** Of the fullest pool of a rank: full, sliding, or state. */
const USAGE = 'sglang:token_usage';
const POOL = 'sglang:max_total_num_tokens';
/** A counter, and a gauge of older versions that falls back to 0. */
const RETRACTED = ['sglang:num_retracted_requests_total', 'sglang:num_retracted_reqs'] as const;
const HOST_USED = 'sglang:hicache_host_used_tokens';
const HOST_TOTAL = 'sglang:hicache_host_total_tokens';
const NAMES = [RUNNING, WAITING, USED, USAGE, POOL, ...RETRACTED, HOST_USED, HOST_TOTAL];

export function sglangMetrics(text: string): SglangMetrics {
  const samples = samplesNamed(text, NAMES);
  const ranks = [...new Set(samples.map(rankOf))].sort((a, b) => a - b);
  const ofRank = (rank: number) => samples.filter((sample) => rankOf(sample) === rank);
  const values = (name: string): readonly (number | null)[] =>
    ranks.map((rank) => highest(ofRank(rank), name));
  return {
    ranks: ranks.flatMap((rank) => loadOf(rank, ofRank(rank)) ?? []),
    retractions: total(values(RETRACTED[0])) ?? total(values(RETRACTED[1])),
    hostUsedTokens: total(values(HOST_USED)),
    hostTotalTokens: total(values(HOST_TOTAL)),
  };
}

function loadOf(rank: number, samples: readonly Sample[]): RankLoad | null {
  const running = highest(samples, RUNNING);
  if (running === null) return null;
  return {
    rank,
    running,
    waiting: highest(samples, WAITING),
    usedTokens: highest(samples, USED),
    usage: highest(samples, USAGE),
    poolTokens: highest(samples, POOL),
    maxSequences: null,
    retracted: null,
  };
}

function rankOf({ labels }: Sample): number {
  const rank = labels.get('dp_rank') ?? '';
  return /^\d{1,4}$/.test(rank) ? Number(rank) : 0;
}

function highest(samples: readonly Sample[], name: string): number | null {
  const values = samples
    .filter((sample) => sample.name === name && Number.isFinite(sample.value) && sample.value >= 0)
    .map(({ value }) => value);
  return values.length === 0 ? null : Math.max(...values);
}

/** null where there is none, or a rank does not tell. */
function total(values: readonly (number | null)[]): number | null {
  if (values.length === 0 || values.some((value) => value === null)) return null;
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}
