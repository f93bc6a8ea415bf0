/**
 * vLLM's moving state. Its port opens only after the model is loaded, so
 * loading shows as a refused connection; a dead engine answers /health with 503.
 */
import type { EngineIo, EngineReading } from '../adapter.ts';
import { EngineAnswerError } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';
import { hostTierOf } from './host-tier.ts';
import { type EngineMetrics, type VllmMetrics, vllmMetrics } from './metrics.ts';
import type { VllmSettings } from './settings.ts';

/** @throws EngineAnswerError when the engine is dead or tells no metrics */
export async function fetchMetrics(io: EngineIo, signal: AbortSignal): Promise<VllmMetrics> {
  const health = await io.get('/health', signal);
  if (health.status !== 200) throw new EngineAnswerError('/health', health, '200');
  const metrics = await io.get('/metrics', signal);
  if (metrics.status !== 200) throw new EngineAnswerError('/metrics', metrics, '200');
  return vllmMetrics(metrics.body);
}

/**
 * One reading for each engine where requests can be sent to the one they are
 * meant for. Where not, all are read as one: as many blocks as the smallest has
 * and as full as the fullest, since a request may land on either.
 * @param pinned whether the engine obeys the rank header
 */
export function readingOf(
  metrics: VllmMetrics,
  settings: VllmSettings,
  pinned: boolean,
): EngineReading {
  const each = metrics.engines.map((engine) => engineReading(metrics, engine, settings));
  const [first = UNKNOWN_READING, ...others] = each;
  if (others.length === 0) return first;
  const counts = (field: keyof EngineReading) => each.map((reading) => reading[field]);
  const capacityUnits = known(counts('capacityUnits'), (all) => Math.min(...all));
  const shares = known(
    metrics.engines.map(({ usage }) => usage),
    (all) => Math.max(...all),
  );
  return {
    ...first,
    state: each.some(({ state }) => state === 'loading') ? 'loading' : 'ready',
    capacityUnits,
    usedUnits:
      capacityUnits === null || shares === null ? null : Math.round(shares * capacityUnits),
    runningSequences: known(counts('runningSequences'), sum),
    waitingSequences: known(counts('waitingSequences'), sum),
    preemptions: known(counts('preemptions'), sum),
    ...(pinned ? { ranks: each } : { isMixture: true }),
  };
}

/**
 * One block of a pool is the null block, which no request gets and which usage
 * leaves out (vllm/v1/core/block_pool.py). A sleeping engine holds no weights:
 * it is as little ready as one that loads them.
 */
function engineReading(
  metrics: VllmMetrics,
  engine: EngineMetrics,
  settings: VllmSettings,
): EngineReading {
  const { usage } = engine;
  const blocks = engine.blocks === null ? null : engine.blocks - 1;
  return {
    ...UNKNOWN_READING,
    state: engine.awake ? 'ready' : 'loading',
    capacityUnits: blocks,
    usedUnits: blocks === null || usage === null ? null : Math.round(usage * blocks),
    runningSequences: engine.running,
    waitingSequences: engine.waiting,
    maxSequences: settings.maxSequences,
    preemptions: engine.preemptions,
    hostTier: hostTierOf(metrics, engine, settings.hostTier),
  };
}

/** null where one of them is unknown: its share is unknown as well. */
function known(
  values: readonly unknown[],
  combine: (all: readonly number[]) => number,
): number | null {
  const counts = values.filter((value) => typeof value === 'number');
  return counts.length === values.length ? combine(counts) : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
