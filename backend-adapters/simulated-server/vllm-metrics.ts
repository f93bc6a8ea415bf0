/** vLLM's Prometheus text, as far as a guard in front of it reads it. */
import { BLOCK_TOKENS } from './content-chain.ts';
import type { VllmServer } from './vllm-dialect.ts';

export function vllmMetrics({ engine, modelId, ...server }: VllmServer): string {
  const counters = engine.counters();
  const labels = `engine="0",model_name="${modelId}"`;
  const metric = (type: 'gauge' | 'counter', name: string, value: number): string =>
    `# HELP vllm:${name} Simulated.\n# TYPE vllm:${name} ${type}\nvllm:${name}{${labels}} ${value}\n`;
  const cacheConfig = [
    `block_size="${BLOCK_TOKENS}"`,
    'cache_dtype="auto"',
    'enable_prefix_caching="True"',
    'engine="0"',
    ...(server.fullLengthBlocks === null
      ? []
      : [`kv_cache_max_concurrency="${server.numGpuBlocks / server.fullLengthBlocks}"`]),
    `gpu_memory_utilization="${server.gpuMemoryUtilization}"`,
    `num_gpu_blocks="${server.numGpuBlocks}"`,
    'sliding_window="None"',
  ].join(',');
  return [
    metric('gauge', 'num_requests_running', counters.running),
    metric('gauge', 'num_requests_waiting', counters.waiting),
    metric('gauge', 'kv_cache_usage_perc', engine.usedBlocks / engine.usableBlocks),
    metric('counter', 'num_preemptions_total', counters.preemptions),
    metric('counter', 'prompt_tokens_total', counters.promptTokens),
    metric('counter', 'generation_tokens_total', counters.generatedTokens),
    metric('counter', 'prefix_cache_queries_total', counters.promptTokens),
    metric('counter', 'prefix_cache_hits_total', counters.cachedTokens),
    '# HELP vllm:cache_config_info Simulated.\n# TYPE vllm:cache_config_info gauge\n',
    `vllm:cache_config_info{${cacheConfig}} 1\n`,
  ].join('');
}
