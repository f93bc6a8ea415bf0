/**
 * TGI's moving state, from its metrics (backends/v3/src/backend.rs, lib.rs).
 * The gauges of the batch are absent until the first one was formed: with no
 * request ever counted they are 0, else they are not known.
 */
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import { samplesNamed } from '../../proxy/text/prometheus-text.ts';
import type { EngineIo, EngineReading } from '../adapter.ts';
import { countField, EngineAnswerError, getJson } from '../engine-answer.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';

const POOL = 'tgi_batch_max_total_tokens';
const RESERVED = 'tgi_batch_current_max_tokens';
const RUNNING = 'tgi_batch_current_size';
const WAITING = 'tgi_queue_size';
const REQUESTS = 'tgi_request_count';

/** @throws EngineAnswerError when the shards don't answer or there are no metrics */
export async function readTgi(
  io: EngineIo,
  layout: KvLayout,
  signal: AbortSignal,
): Promise<EngineReading> {
  // It looks whether the shards can allocate; only after a failure does it generate.
  const health = await io.get('/health', signal);
  if (health.status !== 200) throw new EngineAnswerError('/health', health, '200');
  const info = await getJson(io, '/info', signal);
  const metrics = await io.get('/metrics', signal);
  if (metrics.status !== 200) throw new EngineAnswerError('/metrics', metrics, '200');
  return readingOf(metrics.body, info, layout);
}

function readingOf(metrics: string, info: unknown, layout: KvLayout): EngineReading {
  const samples = samplesNamed(metrics, [POOL, RESERVED, RUNNING, WAITING, REQUESTS]);
  const gauge = (name: string): number | null => {
    const value = samples.find((sample) => sample.name === name)?.value ?? -1;
    return Number.isFinite(value) && value >= 0 ? value : null;
  };
  const pool = gauge(POOL);
  const untouched = pool !== null && (gauge(REQUESTS) ?? 0) === 0 ? 0 : null;
  const blockTokens = layout.model === 'paged' ? layout.blockTokens : 1;
  const reserved = gauge(RESERVED) ?? untouched;
  return {
    ...UNKNOWN_READING,
    capacityUnits: pool === null ? null : Math.floor(pool / blockTokens),
    usedUnits: reserved === null ? null : Math.ceil(reserved / blockTokens),
    runningSequences: gauge(RUNNING) ?? untouched,
    waitingSequences: gauge(WAITING) ?? untouched,
    // Permits: one more request, each of best_of included, is answered with 429.
    maxSequences: countField(info, 'max_concurrent_requests'),
  };
}
