/**
 * What a vLLM server is: its block pool, its context and its model.
 */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import type { EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import { flagInteger, flagSwitch } from '../command-line.ts';
import { countField, faultText, getJson, listField, stringField } from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel, UNKNOWN_GEOMETRY } from '../known-model.ts';
import type { VllmMetrics } from './metrics.ts';
import { fetchMetrics, readingOf } from './state.ts';

/** vLLM's own defaults on GPUs: `block_size`, `max_num_batched_tokens`. */
const DEFAULT_BLOCK_TOKENS = 16;
const DEFAULT_BATCHED_TOKENS = 8192;

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeVllm(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const metrics = await fetchMetrics(io, signal);
    const model = listField(await getJson(io, '/v1/models', signal), 'data')[0];
    const modelId = stringField(model, 'id') ?? 'unknown';
    const contextTokens = countField(model, 'max_model_len');
    if (contextTokens === null || contextTokens === 0) {
      return { ok: false, state: 'unusable', why: '/v1/models tells no max_model_len' };
    }
    const spec = knownModel(hints, [modelId, stringField(model, 'root')]);
    const kvBytesPerElement = hints.kvBytesPerElement ?? bytesPerElement(metrics.cacheDtype);
    const layout: PagedLayout = {
      model: 'paged',
      spec,
      kvBytesPerElement,
      blockTokens: metrics.blockTokens ?? DEFAULT_BLOCK_TOKENS,
      contextTokens,
      inFlightTokens: Math.min(contextTokens, inFlightTokens(await io.commandLine())),
      tensorParallel: hints.tensorParallel,
    };
    const warnings = [...(spec === null ? [UNKNOWN_GEOMETRY] : []), ...metricWarnings(metrics)];
    const facts = { layout, modelId, warnings, framing: DEFAULT_FRAMING };
    return { ok: true, facts, reading: readingOf(metrics) };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

/** With async scheduling, the default, the next batch is prepared while one runs. */
function inFlightTokens(args: readonly string[] | null): number {
  const batched = flagInteger(args ?? [], ['--max-num-batched-tokens']) ?? DEFAULT_BATCHED_TOKENS;
  const async = flagSwitch(args ?? [], ['--async-scheduling'], ['--no-async-scheduling']) ?? true;
  return Math.max(1, batched) * (async ? 2 : 1);
}

/** `auto` follows the model's own type, 16 bits wide in practice. */
function bytesPerElement(cacheDtype: string | null): number {
  return cacheDtype?.startsWith('fp8') === true ? 1 : 2;
}

function metricWarnings(metrics: VllmMetrics): string[] {
  const missing = [
    metrics.blocks === null ? 'num_gpu_blocks' : null,
    metrics.blockTokens === null ? `block_size, ${DEFAULT_BLOCK_TOKENS} assumed` : null,
    metrics.usage === null ? 'KV cache usage' : null,
    metrics.running === null ? 'running requests' : null,
    metrics.waiting === null ? 'waiting requests' : null,
    metrics.preemptions === null ? 'preemptions' : null,
  ].filter((name) => name !== null);
  const warnings = missing.map((name) => `/metrics does not tell ${name}`);
  if (metrics.engines > 1) {
    warnings.push(
      `${metrics.engines} data-parallel engines answer here and are guarded as one of them: name each as a backend to use them all`,
    );
  }
  return warnings;
}
