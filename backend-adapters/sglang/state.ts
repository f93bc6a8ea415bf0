/**
 * SGLang's moving state: `/v1/loads`, else `/get_load` of older versions, else
 * its metrics; and from the metrics what only they tell, where there are any.
 * Units are pages. Each data-parallel rank has a reading of its own.
 */

import { blockBytes } from '../../proxy/memory/engines/paged.ts';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineIo, EngineReading, HostTier } from '../adapter.ts';
import { EngineAnswerError, parseJson } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';
import { type SglangMetrics, sglangMetrics } from './metrics.ts';
import { type RankLoad, ranksOfLoads, ranksOfOldLoad } from './rank-load.ts';

const LOADS = '/v1/loads?include=core,queues';
/** `token_usage` is rounded to four digits: half of the last one is no use by anyone. */
const ROUNDING = 0.000_05;

/** @throws EngineAnswerError when it tells its load nowhere */
export async function readSglang(
  io: EngineIo,
  layout: KvLayout,
  signal: AbortSignal,
): Promise<EngineReading> {
  const told = await io.get(LOADS, signal);
  const metrics = await readMetrics(io, signal);
  const ranks =
    ranksOfLoads(told.status === 200 ? parseJson(told.body) : null) ??
    (await readOldLoad(io, signal)) ??
    (metrics === null || metrics.ranks.length === 0 ? null : metrics.ranks);
  if (ranks === null) throw new EngineAnswerError(LOADS, told, '200 with the load of each rank');
  const readings = ranks.map((rank) => readingOf(rank, layout));
  const retracted = ranks.map((rank) => rank.retracted);
  const whole = {
    preemptions: metrics?.retractions ?? sum(retracted),
    hostTier: hostTierOf(metrics, layout),
  };
  const [only, ...others] = readings;
  if (only !== undefined && others.length === 0) return { ...only, ...whole };
  return { ...combined(readings), ...whole, ranks: readings };
}

async function readMetrics(io: EngineIo, signal: AbortSignal): Promise<SglangMetrics | null> {
  const reply = await io.get('/metrics', signal);
  return reply.status === 200 ? sglangMetrics(reply.body) : null;
}

async function readOldLoad(io: EngineIo, signal: AbortSignal): Promise<readonly RankLoad[] | null> {
  const reply = await io.get('/get_load', signal);
  return ranksOfOldLoad(reply.status === 200 ? parseJson(reply.body) : null);
}

function readingOf(load: RankLoad, layout: KvLayout): EngineReading {
  const { blockTokens, tokenPool } = layout.model === 'paged' ? layout : ONE_TOKEN_PAGES;
  const { poolTokens } = load;
  const capacityUnits =
    poolTokens === null ? (tokenPool?.blocks ?? null) : Math.floor(poolTokens / blockTokens);
  const usedTokens = usedTokensOf(load, (capacityUnits ?? 0) * blockTokens);
  return {
    ...UNKNOWN_READING,
    capacityUnits,
    usedUnits: usedTokens === null ? null : Math.ceil(usedTokens / blockTokens),
    runningSequences: load.running,
    waitingSequences: load.waiting,
    maxSequences: load.maxSequences,
    preemptions: load.retracted,
  };
}

const ONE_TOKEN_PAGES = { blockTokens: 1, tokenPool: undefined };

/** By the fullest pool: with sliding layers it may be theirs, in tokens of the full one. */
function usedTokensOf({ usedTokens, usage }: RankLoad, poolTokens: number): number | null {
  const fullest = usage === null ? null : Math.floor((usage - ROUNDING) * poolTokens);
  if (usedTokens === null)
    return fullest === null || poolTokens === 0 ? null : Math.max(0, fullest);
  return Math.max(usedTokens, fullest ?? 0);
}

/** Of all ranks: room and limits of one, for a request lives in one; use of the fullest; their requests. */
function combined(ranks: readonly EngineReading[]): EngineReading {
  const of = (pick: (reading: EngineReading) => number | null) => ranks.map(pick);
  return {
    ...UNKNOWN_READING,
    capacityUnits: extreme(
      Math.min,
      of((rank) => rank.capacityUnits),
    ),
    usedUnits: extreme(
      Math.max,
      of((rank) => rank.usedUnits),
    ),
    runningSequences: sum(of((rank) => rank.runningSequences)),
    waitingSequences: sum(of((rank) => rank.waitingSequences)),
    maxSequences: extreme(
      Math.min,
      of((rank) => rank.maxSequences),
    ),
  };
}

/** `--enable-hierarchical-cache`: KV that left the GPU and may come back. */
function hostTierOf(metrics: SglangMetrics | null, layout: KvLayout): HostTier | null {
  const totalTokens = metrics?.hostTotalTokens ?? null;
  if (metrics === null || totalTokens === null || totalTokens === 0) return null;
  const pageBytes = layout.model === 'paged' ? blockBytes(layout) : null;
  const pageTokens = layout.model === 'paged' ? layout.blockTokens : 1;
  const { hostUsedTokens } = metrics;
  return {
    capacityBytes: pageBytes === null ? null : Math.round((totalTokens / pageTokens) * pageBytes),
    usedShare: hostUsedTokens === null ? null : Math.min(1, hostUsedTokens / totalTokens),
  };
}

function extreme(
  pick: (...values: number[]) => number,
  values: readonly (number | null)[],
): number | null {
  const known = values.filter((value) => value !== null);
  return known.length < values.length ? null : pick(...known);
}

function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length < values.length ? null : known.reduce((total, value) => total + value, 0);
}
