/** `GET /memory_stats`: sessions and GPUs in the units people think in. */
import type { Clock } from '../state/clock.ts';
import type { GpuMonitor } from '../state/gpu-monitor.ts';
import type { GpuReading } from '../state/gpu-source.ts';
import type { Overview } from '../state/overview.ts';
import type { Sessions } from '../state/sessions.ts';
import type { Tally } from '../state/tally.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const MAX_SESSIONS_SHOWN = 1_000;

export interface MemoryParts {
  readonly sessions: Sessions;
  readonly gpu: GpuMonitor;
  readonly tally: Tally;
  readonly clock: Clock;
  readonly overview: Overview;
}

/** What is not known is null. */
export function memoryStats({ sessions, gpu, tally, clock, overview }: MemoryParts) {
  const gpus = gpu.snapshot?.gpus ?? [];
  const use = gpuUse(gpus);
  return {
    active_sessions: sessions.active,
    total_kv_mb: rounded(sessions.totalBytes / MIB),
    gpu_usage: use === null ? null : `${(use.share * 100).toFixed(1)}%`,
    gpu_free_mb: use === null ? null : rounded(use.freeBytes / MIB),
    session_details: sessions.details(MAX_SESSIONS_SHOWN, clock.nowMs()).map((session) => ({
      id: session.id,
      kv_mb: rounded(session.kvBytes / MIB),
      requests: session.requests,
      idle_seconds: rounded(session.idleMs / 1000),
      age_seconds: rounded(session.ageMs / 1000),
      live_kv_mb: rounded(session.liveBytes / MIB),
      resident_kv_mb: rounded(session.residentBytes / MIB),
    })),
    gpu_memory: gpus.map(gpuMemory),
    rejected_count: tally.rejected,
    routed_4gpu_count: tally.routedLarge,
    degraded_count: tally.degraded,
    gpu_source: gpu.sourceName,
    gpu_age_seconds: gpu.ageMs === null ? null : rounded(gpu.ageMs / 1000),
    instances: overview.instances(),
  };
}

/** The use of all GPUs together; null when one of them can't be read. */
function gpuUse(gpus: readonly GpuReading[]): { share: number; freeBytes: number } | null {
  let used = 0;
  let total = 0;
  for (const { usedBytes, totalBytes } of gpus) {
    if (usedBytes === null || totalBytes === null) return null;
    used += usedBytes;
    total += totalBytes;
  }
  return total === 0 ? null : { share: used / total, freeBytes: total - used };
}

function gpuMemory({ index, uuid, name, totalBytes, usedBytes, unknownWhy }: GpuReading) {
  const known = totalBytes !== null && usedBytes !== null;
  return {
    gpu_id: index,
    uuid,
    name,
    free_gb: known ? rounded((totalBytes - usedBytes) / GIB) : null,
    total_gb: totalBytes === null ? null : rounded(totalBytes / GIB),
    used_gb: usedBytes === null ? null : rounded(usedBytes / GIB),
    usage_percent: known ? rounded((usedBytes / totalBytes) * 100) : null,
    unknown_why: unknownWhy,
  };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
