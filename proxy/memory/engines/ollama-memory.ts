/**
 * What Ollama starts llama-server with, and what it predicts of it. The batch
 * grows with the context of all slots together, and Ollama takes a smaller one
 * where memory is short (server/sched.go, automaticGenerationBatch): what is
 * told here is the most that it takes, unless a model sets num_batch itself.
 */

import type { ModelSpec } from '../models/model-spec.ts';
import type { LlamacppContext } from './llamacpp-cells.ts';

/** Contexts above each of these have a larger batch. */
const BATCH_STEPS = [
  { aboveTokens: 32_768, batchTokens: 2048 },
  { aboveTokens: 4_096, batchTokens: 1024 },
  { aboveTokens: 0, batchTokens: 512 },
] as const;

const F16_BYTES = 2;

/** Tokens of one batch, physical and logical. @param contextTokens of all slots together */
export function ollamaBatchTokens(contextTokens: number): number {
  return BATCH_STEPS.find(({ aboveTokens }) => contextTokens > aboveTokens)?.batchTokens ?? 512;
}

/**
 * The context of its runner (llm/llama_server.go): slots are never unified.
 *
 * @param slotTokens `num_ctx`, of one slot
 * @param parallel OLLAMA_NUM_PARALLEL
 */
export function ollamaContext(slotTokens: number, parallel: number): LlamacppContext {
  const contextTokens = slotTokens * parallel;
  const batchTokens = ollamaBatchTokens(contextTokens);
  return {
    contextTokens,
    sequences: parallel,
    unified: false,
    batchTokens,
    ubatchTokens: batchTokens,
  };
}

/**
 * The KV part of Ollama's own prediction, by which it evicts other models
 * (llm/llama_server.go, PredictServerVRAM), for comparison: f16 whatever the
 * type, no windows, and a head as large as the embedding's share of it.
 *
 * @param contextTokens of all slots together
 */
export function ollamaPredictedKvBytes(spec: ModelSpec, contextTokens: number): number {
  const layers = [...spec.groups, ...spec.states].reduce((sum, group) => sum + group.layers, 0);
  const kvHeads = Math.min(...spec.groups.map((group) => group.kvHeads));
  const headDim = Math.floor(spec.hiddenSize / spec.queryHeads);
  const leastKvHeads = Number.isFinite(kvHeads) ? kvHeads : 1;
  return 2 * layers * leastKvHeads * headDim * contextTokens * F16_BYTES;
}
