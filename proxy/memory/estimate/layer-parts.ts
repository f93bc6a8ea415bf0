/** One part of an estimate, and the parts that follow from a model's layers alone. */

import { type StateStorage, sequenceStateBytes } from '../engines/states.ts';
import { type KvLayout, keptTokens, tokenBytesOfLayer } from '../kv-layout.ts';
import type { LayerGroup, ModelSpec } from '../models/model-spec.ts';

/** A layout whose model is known. */
export type KnownLayout = KvLayout & { readonly spec: ModelSpec };

export interface EstimatePart {
  readonly part: string;
  /** Held while decoding, or at the peak of prefill. */
  readonly phase: 'decode' | 'prefill';
  readonly bytes: number;
  readonly formula: string;
  readonly source: string;
}

/** Where formulas were read. */
export const SOURCES = {
  transformersCache: 'transformers: cache_utils.py, DynamicCache',
  transformersModel: 'transformers: modeling_gpt_oss.py, integrations/moe.py',
  transformersLogits: 'transformers: generation/utils.py, logits_to_keep',
  vllm: 'vLLM: v1/core/kv_cache_utils.py, single_type_kv_cache_manager.py',
  slidingPool: 'SGLang: pool_configurator.py, schedule_batch.py',
  onePool: 'SGLang: pool_configurator.py; TGI: backends/v3/src/block_allocator.rs',
  pooledStates: 'SGLang: configs/mamba_utils.py',
  llamacpp: 'llama.cpp: llama-kv-cache-iswa.cpp, llama-kv-cache.cpp',
  llamacppStates: 'llama.cpp: llama-memory-recurrent.cpp',
} as const;

/** Layer by layer, what each token of KV takes, and how many are kept. */
export function keptParts(
  { spec, kvBytesPerElement }: KnownLayout,
  tensorParallel: number,
  tokens: number,
  source: string,
): EstimatePart[] {
  return spec.groups.map((group) => ({
    part: `KV of ${count(group.layers)} ${kindOf(group)} layers`,
    phase: 'decode',
    bytes: Math.ceil(
      group.layers *
        tokenBytesOfLayer(group, kvBytesPerElement, tensorParallel) *
        keptTokens(group, tokens),
    ),
    formula: [
      `${count(group.layers)} layers`,
      widthOf(group, kvBytesPerElement, tensorParallel),
      keptWords(group, tokens),
    ].join(' x '),
    source,
  }));
}

/** States of one sequence, which are of a fixed size. */
export function stateParts(
  spec: ModelSpec,
  storage: StateStorage,
  tensorParallel: number,
  source: string,
): EstimatePart[] {
  return spec.states.map((state) => ({
    part: `States of ${count(state.layers)} layers`,
    phase: 'decode',
    bytes: sequenceStateBytes({ ...spec, states: [state] }, storage, tensorParallel),
    formula: [
      `${count(state.layers)} layers`,
      `(${count(Math.ceil(state.convChannels / tensorParallel))} channels`,
      `${state.convKernel - storage.convPositionsLess} positions`,
      `${storage.convElementBytes} B + ${count(Math.ceil(state.recurrentElements / tensorParallel))} elements`,
      `${storage.recurrentElementBytes} B)`,
    ].join(' x '),
    source,
  }));
}

export function kindOf({ windowTokens, chunked }: LayerGroup): string {
  if (windowTokens === null) return 'full-attention';
  return chunked === true ? 'chunked' : 'sliding';
}

function keptWords(group: LayerGroup, tokens: number): string {
  return group.windowTokens === null
    ? `${count(tokens)} tokens`
    : `min(${count(tokens)}, ${count(group.windowTokens)}) tokens`;
}

function widthOf(group: LayerGroup, kvBytesPerElement: number, tensorParallel: number): string {
  if (group.packedTokenBytes !== undefined) return `${group.packedTokenBytes} B`;
  const heads = Math.max(1, Math.ceil(group.kvHeads / tensorParallel));
  return `${heads} KV heads x (${group.keyDim} + ${group.valueDim}) x ${kvBytesPerElement} B`;
}

/** As people read it. */
export function count(value: number): string {
  return value.toLocaleString('en');
}
