/** How an engine as it is started by default lays out KV, changed by what the operator tells. */

import type { ValuesOf } from './config/command-options.ts';
import type { ESTIMATE_OPTIONS } from './config/estimate-options.ts';
import { KV_BYTES_PER_ELEMENT } from './config/resolve.ts';
import { assertNever } from './memory/assert-never.ts';
import { withoutWindows } from './memory/engines/llamacpp-cells.ts';
import { ollamaBatchTokens } from './memory/engines/ollama-memory.ts';
import type { KnownLayout } from './memory/estimate/layer-parts.ts';
import type { PagedLayout } from './memory/kv-layout.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';

export type EstimateValues = ValuesOf<typeof ESTIMATE_OPTIONS>;

const BYTES_OF_16_BITS = 2;
/** vLLM: `block_size` on GPUs. */
const VLLM_BLOCK_TOKENS = 16;
/** SGLang: `swa_full_tokens_ratio`. */
const SGLANG_SLIDING_SHARE = 0.8;
/** TGI takes places for output in chunks (backends/v3, queue.rs). */
const TGI_CHUNK_TOKENS = 512;

/** @param tokens prompt and output of one sequence */
export function estimateLayout(
  values: EstimateValues,
  spec: ModelSpec,
  tokens: number,
): KnownLayout {
  const dtype = values['kv-dtype'];
  const kvBytesPerElement = dtype === null ? BYTES_OF_16_BITS : KV_BYTES_PER_ELEMENT[dtype];
  switch (values.engine) {
    case 'transformers':
      return { model: 'dynamic', spec, kvBytesPerElement, attention: values.attention };
    case 'llamacpp':
      return slot(
        values['swa-full'] ? withoutWindows(spec) : spec,
        kvBytesPerElement,
        tokens,
        values['ubatch-size'],
      );
    case 'ollama':
      return slot(spec, kvBytesPerElement, tokens, ollamaBatchTokens(tokens));
    case 'vllm':
      return pool(values, spec, kvBytesPerElement, { blockTokens: VLLM_BLOCK_TOKENS });
    case 'sglang': {
      const windows = spec.groups.flatMap(({ windowTokens }) => windowTokens ?? []);
      const slidingShare = windows.length === 0 ? null : SGLANG_SLIDING_SHARE;
      const slidingSlackTokens = Math.max(0, ...windows);
      const tokenPool = { blocks: null, slidingShare, slidingSlackTokens, outputChunkTokens: 1 };
      return pool(values, spec, kvBytesPerElement, { tokenPool });
    }
    case 'tgi': {
      const shares = { slidingShare: null, slidingSlackTokens: 0 };
      const tokenPool = { blocks: null, ...shares, outputChunkTokens: TGI_CHUNK_TOKENS };
      return pool(values, spec, kvBytesPerElement, { tokenPool });
    }
    default:
      return assertNever(values.engine);
  }
}

function slot(
  spec: ModelSpec,
  kvBytesPerElement: number,
  contextTokens: number,
  ubatchTokens: number,
): KnownLayout {
  return {
    model: 'slots',
    spec,
    kvBytesPerElement,
    unified: false,
    slots: 1,
    contextTokens,
    ubatchTokens,
  };
}

function pool(
  values: EstimateValues,
  spec: ModelSpec,
  kvBytesPerElement: number,
  traits: Pick<PagedLayout, 'tokenPool'> & { readonly blockTokens?: number },
): KnownLayout {
  // With async scheduling a second batch is in the works (vLLM: max_concurrent_batches).
  const batches = values.engine === 'vllm' && values['async-scheduling'] ? 2 : 1;
  return {
    model: 'paged',
    spec,
    kvBytesPerElement,
    blockTokens: 1,
    contextTokens: spec.contextTokens,
    inFlightTokens: Math.min(spec.contextTokens, batches * values['max-num-batched-tokens']),
    tensorParallel: values.gpus,
    drafting: null,
    ...traits,
  };
}
