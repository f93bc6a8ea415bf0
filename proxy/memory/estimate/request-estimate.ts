/** What one request takes of the memory of the GPUs that serve it, and how many such requests fit. */
import { assertNever } from '../assert-never.ts';
import { decodeBytes, decodeCacheBytes, prefillPeakBytes } from '../engines/dynamic.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../engines/paged.ts';
import { pagedKvBytes, pagedPrefillBytes } from '../engines/paged-bytes.ts';
import { prefixHit } from '../engines/prefix-hit.ts';
import { slotBytes } from '../engines/slots.ts';
import { PAGED_STATES, sequenceStateBytes } from '../engines/states.ts';
import { naiveKvBytes, type PagedLayout } from '../kv-layout.ts';
import { estimateParts } from './estimate-parts.ts';
import type { EstimatePart, KnownLayout } from './layer-parts.ts';

export interface MemoryOnGpu {
  /** Held while decoding, with prompt and output there; of llama.cpp the cells of one slot for them. */
  readonly kvBytes: number;
  /** The most that is taken at one moment of prefill, KV and what is computed with it. */
  readonly prefillPeakBytes: number;
}

export interface RequestEstimate extends MemoryOnGpu {
  /** The plain formula over all layers, as if each kept every token. */
  readonly naiveBytes: number;
  /** The fullest one. */
  readonly perGpu: MemoryOnGpu & { readonly gpus: number };
  /** On each GPU. */
  readonly parts: readonly EstimatePart[];
}

/**
 * Estimates one sequence. Engines that split heads (`paged`, by the layout's
 * tensorParallel) have an equal share on every GPU, heads that can't be split
 * replicated; others split layers over the GPUs, and the fullest has one layer
 * of each kind more.
 *
 * @param tokens prompt and output together, at most the model's context
 * @param gpus equal to the layout's tensorParallel where it has one
 */
export function estimateRequest(
  layout: KnownLayout,
  promptTokens: number,
  tokens: number,
  gpus: number,
): RequestEstimate {
  const each = layout.model === 'paged' ? layout : withShareOfLayers(layout, gpus);
  const onGpu = memoryOnGpu(each, promptTokens, tokens);
  const whole =
    layout.model === 'paged'
      ? {
          kvBytes: gpus * onGpu.kvBytes,
          prefillPeakBytes: gpus * onGpu.prefillPeakBytes,
        }
      : memoryOnGpu(layout, promptTokens, tokens);
  return {
    ...whole,
    naiveBytes: naiveKvBytes(layout.spec, tokens, layout.kvBytesPerElement),
    perGpu: { gpus, ...onGpu },
    parts: estimateParts(each, promptTokens, tokens),
  };
}

/** What of a request is held once for all that begin alike. */
export interface SharedPrefix {
  /** Not computed again: whole blocks, and never the prompt's last token. */
  readonly tokens: number;
  /** Of its `kvBytes`, on all GPUs. */
  readonly bytes: number;
}

/** @param cachedTokens of the prompt, that the engine has in its cache */
export function sharedPrefix(
  layout: PagedLayout & KnownLayout,
  promptTokens: number,
  cachedTokens: number,
): SharedPrefix {
  const { tokens, sharedBlocks } = prefixHit(layout, promptTokens, cachedTokens);
  return { tokens, bytes: layout.tensorParallel * sharedBlocks * (blockBytes(layout) ?? 0) };
}

/**
 * Requests of this size that run at a time in so much memory of each GPU, with
 * one of them at the peak of its prefill.
 *
 * @param cachedTokens of each prompt, the same for all: held once where the pool shares blocks
 */
export function requestsThatFit(
  layout: KnownLayout,
  promptTokens: number,
  tokens: number,
  gpus: number,
  budgetBytes: number,
  cachedTokens = 0,
): number {
  switch (layout.model) {
    case 'dynamic': {
      const each = withShareOfLayers(layout, gpus);
      const running = decodeBytes(each, tokens);
      const peak = Math.max(running, prefillPeakBytes(each, promptTokens));
      return peak > budgetBytes ? 0 : 1 + Math.floor((budgetBytes - peak) / running);
    }
    case 'paged': {
      const bytes = blockBytes(layout) ?? budgetBytes;
      const shared = prefixHit(layout, promptTokens, cachedTokens).sharedBlocks;
      const stateBytes = statesBesidePool(layout);
      // One block is the null block (vLLM: v1/core/block_pool.py).
      const room = budgetBytes - (1 + shared) * bytes;
      const running = (pagedBlocks(layout, tokens) - shared) * bytes + stateBytes;
      const prefill = (pagedPrefillBlocks(layout, promptTokens) - shared) * bytes + stateBytes;
      const peak = Math.max(running, prefill);
      return peak > room ? 0 : 1 + Math.floor((room - peak) / running);
    }
    case 'slots': {
      const { kvBytes } = memoryOnGpu(withShareOfLayers(layout, gpus), promptTokens, tokens);
      return Math.max(0, Math.floor(budgetBytes / kvBytes));
    }
    default:
      return assertNever(layout);
  }
}

/** Of one sequence on each GPU; 0 where states take blocks as KV does. */
function statesBesidePool({ spec, tokenPool, tensorParallel }: PagedLayout & KnownLayout): number {
  return tokenPool === undefined ? 0 : sequenceStateBytes(spec, PAGED_STATES, tensorParallel);
}

function memoryOnGpu(layout: KnownLayout, promptTokens: number, tokens: number): MemoryOnGpu {
  switch (layout.model) {
    case 'dynamic':
      return {
        kvBytes: decodeCacheBytes(layout, tokens),
        prefillPeakBytes: prefillPeakBytes(layout, promptTokens),
      };
    case 'paged':
      return {
        kvBytes: pagedKvBytes(layout, tokens),
        prefillPeakBytes: pagedPrefillBytes(layout, promptTokens),
      };
    case 'slots': {
      // Allocated when the server starts: a request moves nothing.
      const kvBytes = slotBytes(layout, tokens) ?? 0;
      return { kvBytes, prefillPeakBytes: kvBytes };
    }
    default:
      return assertNever(layout);
  }
}

/** The layers of the fullest GPU. */
function withShareOfLayers<T extends KnownLayout>(layout: T, gpus: number): T {
  const { spec } = layout;
  const share = <G extends { readonly layers: number }>(group: G): G => ({
    ...group,
    layers: Math.ceil(group.layers / gpus),
  });
  return {
    ...layout,
    spec: { ...spec, groups: spec.groups.map(share), states: spec.states.map(share) },
  };
}
