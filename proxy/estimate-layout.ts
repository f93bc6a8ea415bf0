/** How an engine as it is started by default lays out KV, changed by what the operator tells. */

import { packedLatent } from '../backend-adapters/packed-latent.ts';
import type { ValuesOf } from './config/command-options.ts';
import type { ESTIMATE_OPTIONS } from './config/estimate-options.ts';
import type { Problem } from './config/problem.ts';
import { KV_BYTES_PER_ELEMENT } from './config/resolve.ts';
import { assertNever } from './memory/assert-never.ts';
import { raisedBlockTokens } from './memory/engines/block-groups.ts';
import { withoutWindows } from './memory/engines/llamacpp-cells.ts';
import { ollamaBatchTokens } from './memory/engines/ollama-memory.ts';
import type { KnownLayout } from './memory/estimate/layer-parts.ts';
import type { PagedLayout } from './memory/kv-layout.ts';
import type { ModelSpec } from './memory/models/model-spec.ts';

export type EstimateValues = ValuesOf<typeof ESTIMATE_OPTIONS>;
type Engine = EstimateValues['engine'];

const BYTES_OF_16_BITS = 2;
/** vLLM: `block_size` on GPUs. */
const VLLM_BLOCK_TOKENS = 16;
/** SGLang: `swa_full_tokens_ratio`. */
const SGLANG_SLIDING_SHARE = 0.8;
/**
 * The models whose sliding layers have a pool of their own there, by their names
 * (configs/model_config.py, is_hybrid_swa_model); of any other all layers keep
 * every token, which is more.
 */
const SGLANG_SLIDING = /gpt[-_ .]?oss|llama[-_ .]?4|gemma[-_ .]?4|mimo[-_ .]?v2|step[-_ .]?3/i;

/** The types that each engine can keep KV in. */
const KV_TYPES: Readonly<Record<Engine, readonly (keyof typeof KV_BYTES_PER_ELEMENT)[]>> = {
  vllm: ['bf16', 'f16', 'f32', 'fp8'],
  sglang: ['bf16', 'f16', 'f32', 'fp8'],
  tgi: ['bf16', 'f16', 'fp8'],
  llamacpp: ['bf16', 'f16', 'f32', 'q8_0', 'q4_0'],
  ollama: ['f16', 'q8_0', 'q4_0'],
  transformers: ['bf16', 'f16', 'f32'],
};

/** What the engine can't be started with; null where all of it can be. */
export function refusedValue(values: EstimateValues, spec: ModelSpec): Problem | null {
  const { engine, gpus } = values;
  const dtype = values['kv-dtype'];
  if (dtype !== null && !KV_TYPES[engine].includes(dtype)) {
    const known = KV_TYPES[engine].join(', ');
    return problem('kv-dtype', `${dtype} is no type that ${engine} keeps KV in: ${known}`);
  }
  const splitsHeads = engine === 'vllm' || engine === 'sglang' || engine === 'tgi';
  if (splitsHeads && !canSplit(spec, gpus)) {
    const kvHeads = [...new Set(spec.groups.map((group) => group.kvHeads))].join(' and ');
    const heads = `the ${spec.queryHeads} heads of ${spec.id} (${kvHeads} of KV)`;
    return problem('gpus', `${engine} can't split ${heads} over ${gpus} GPUs`);
  }
  if (values['cached-tokens'] !== null && !splitsHeads) {
    return problem('cached-tokens', `is nothing to ${engine}: it shares no blocks`);
  }
  return null;
}

/** Heads of queries are shared out evenly; those of keys too, or each is on several GPUs. */
function canSplit({ queryHeads, groups }: ModelSpec, gpus: number): boolean {
  return (
    queryHeads % gpus === 0 &&
    groups.every(({ kvHeads }) => Math.max(kvHeads, gpus) % Math.min(kvHeads, gpus) === 0)
  );
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}

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
    case 'vllm': {
      const asked = pool(values, spec, kvBytesPerElement, { blockTokens: VLLM_BLOCK_TOKENS });
      return { ...asked, blockTokens: raisedBlockTokens(asked), stateBlocks: batches(values) + 1 };
    }
    case 'sglang': {
      const windows = spec.groups.flatMap(({ windowTokens }) => windowTokens ?? []);
      const hasTwoPools = windows.length > 0 && SGLANG_SLIDING.test(spec.id);
      const slidingShare = hasTwoPools ? SGLANG_SLIDING_SHARE : null;
      const slidingSlackTokens = Math.max(0, ...windows);
      const tokenPool = { blocks: null, slidingShare, slidingSlackTokens, outputChunkTokens: 1 };
      return pool(values, spec, kvBytesPerElement, { tokenPool });
    }
    case 'tgi': {
      const shares = { slidingShare: null, slidingSlackTokens: 0 };
      const tokenPool = { blocks: null, ...shares, outputChunkTokens: 1 };
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

type KnownPool = PagedLayout & { readonly spec: ModelSpec };

/** With async scheduling a second batch is in the works (vLLM: max_concurrent_batches). */
function batches(values: EstimateValues): number {
  return values.engine === 'vllm' && values['async-scheduling'] ? 2 : 1;
}

function pool(
  values: EstimateValues,
  spec: ModelSpec,
  kvBytesPerElement: number,
  traits: Pick<PagedLayout, 'tokenPool'> & { readonly blockTokens?: number },
): KnownPool {
  const inFlightTokens = batches(values) * values['max-num-batched-tokens'];
  return {
    model: 'paged',
    spec: packedLatent(spec, values['kv-dtype']),
    kvBytesPerElement,
    blockTokens: 1,
    contextTokens: spec.contextTokens,
    inFlightTokens: Math.min(spec.contextTokens, inFlightTokens),
    tensorParallel: values.gpus,
    drafting: null,
    ...traits,
  };
}
