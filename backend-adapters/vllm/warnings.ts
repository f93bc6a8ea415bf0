/** What an operator should know of a vLLM server: what it does not tell, and what is assumed. */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import { UNKNOWN_GEOMETRY } from '../known-model.ts';
import type { VllmMetrics } from './metrics.ts';

export function probeWarnings(
  metrics: VllmMetrics,
  layout: PagedLayout,
  pinned: boolean,
): readonly string[] {
  const missing = missingMetrics(metrics, layout).map((name) => `/metrics does not tell ${name}`);
  return [
    ...(layout.spec === null ? [UNKNOWN_GEOMETRY] : []),
    ...missing,
    ...enginesWarnings(metrics.engines.length, pinned),
  ];
}

function missingMetrics(
  { engines, blockTokens }: VllmMetrics,
  layout: PagedLayout,
): readonly string[] {
  return [
    engines.some(({ blocks }) => blocks === null) ? 'num_gpu_blocks' : null,
    blockTokens === null ? `block_size, ${layout.blockTokens} assumed` : null,
    engines.some(({ usage }) => usage === null) ? 'KV cache usage' : null,
    engines.some(({ running }) => running === null) ? 'running requests' : null,
    engines.some(({ waiting }) => waiting === null) ? 'waiting requests' : null,
    engines.some(({ preemptions }) => preemptions === null) ? 'preemptions' : null,
  ].filter((name) => name !== null);
}

function enginesWarnings(engines: number, pinned: boolean): readonly string[] {
  if (engines === 1) return [];
  if (pinned) {
    return [
      `${engines} data-parallel engines answer here; their blocks are told as one sum and taken to be equal shares`,
    ];
  }
  return [
    `${engines} data-parallel engines answer here and this version (before v0.11.1) can't be told which to use: they are guarded as one of them; name each as a backend to use them all`,
  ];
}
