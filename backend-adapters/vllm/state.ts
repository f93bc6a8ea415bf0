/**
 * vLLM's moving state. Its port opens only after the model is loaded, so
 * loading shows as a refused connection; a dead engine answers /health with 503.
 */
import type { EngineIo, EngineReading } from '../adapter.ts';
import { EngineAnswerError } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';
import { type VllmMetrics, vllmMetrics } from './metrics.ts';

/** @throws EngineAnswerError when the engine is dead or tells no metrics */
export async function fetchMetrics(io: EngineIo, signal: AbortSignal): Promise<VllmMetrics> {
  const health = await io.get('/health', signal);
  if (health.status !== 200) throw new EngineAnswerError('/health', health, '200');
  const metrics = await io.get('/metrics', signal);
  if (metrics.status !== 200) throw new EngineAnswerError('/metrics', metrics, '200');
  return vllmMetrics(metrics.body);
}

/**
 * With several data-parallel engines: blocks of the smallest, usage of the
 * fullest. One block of the pool is the null block, which no request gets and
 * which usage leaves out (vllm/v1/core/block_pool.py).
 */
export function readingOf(metrics: VllmMetrics): EngineReading {
  const { usage } = metrics;
  const blocks = metrics.blocks === null ? null : metrics.blocks - 1;
  return {
    ...UNKNOWN_READING,
    capacityUnits: blocks,
    usedUnits: blocks === null || usage === null ? null : Math.round(usage * blocks),
    runningSequences: metrics.running,
    waitingSequences: metrics.waiting,
    preemptions: metrics.preemptions,
  };
}
