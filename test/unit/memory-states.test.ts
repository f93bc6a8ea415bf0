/** States of a fixed size, as each engine keeps them. */
import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import {
  decodeBytes,
  decodeCacheBytes,
  firstStepBytes,
  prefillPeakBytes,
} from '../../proxy/memory/engines/dynamic.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import {
  layerStateBytes,
  PAGED_STATES,
  sequenceStateBytes,
} from '../../proxy/memory/engines/states.ts';
import {
  type DynamicLayout,
  type PagedLayout,
  steadyKvBytes,
} from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';

const base = findModel('gpt-oss-20b');
if (base === null) throw new Error('the catalog is empty');

/** Attention and states of Qwen3-Next-80B-A3B: 12 full layers, 36 gated delta nets. */
const HYBRID: ModelSpec = {
  ...base,
  groups: [{ layers: 12, kvHeads: 2, keyDim: 256, valueDim: 256, windowTokens: null }],
  states: [{ layers: 36, convChannels: 8192, convKernel: 4, recurrentElements: 32 * 128 * 128 }],
};
const WITHOUT: ModelSpec = { ...HYBRID, states: [] };

/** Traced in transformers: 36 x (2,097,152 in float32 + 65,536 in bf16). */
const TRANSFORMERS_BYTES = 77_856_768;
const PAGED_BYTES = 36 * (2_097_152 + 8192 * 3 * 2);

describe('transformers', () => {
  const layoutOf = (spec: ModelSpec): DynamicLayout => ({
    model: 'dynamic',
    spec,
    kvBytesPerElement: 2,
    attention: 'flash',
  });

  test.each([1, 1000, 100_000])('each sequence of %i tokens has them from its prefill on', (n) => {
    const [hybrid, plain] = [layoutOf(HYBRID), layoutOf(WITHOUT)];
    expect(prefillPeakBytes(hybrid, n) - prefillPeakBytes(plain, n)).toBe(TRANSFORMERS_BYTES);
    expect(decodeCacheBytes(hybrid, n) - steadyKvBytes(WITHOUT, n, 2)).toBe(TRANSFORMERS_BYTES);
    expect(firstStepBytes(hybrid, n)).toBeGreaterThanOrEqual(
      firstStepBytes(plain, n) + TRANSFORMERS_BYTES,
    );
  });

  test('a step renews them layer by layer', () => {
    // At one token the KV of a layer is smaller than its state.
    const more = decodeBytes(layoutOf(HYBRID), 1) - decodeBytes(layoutOf(WITHOUT), 1);
    expect(more).toBe(TRANSFORMERS_BYTES + (2_097_152 + 65_536) - 2 * 2 * 256 * 2);
  });

  test('they are part of the KV that a request is charged, once for each sequence', () => {
    const kvBytes = (spec: ModelSpec, sequences: number) =>
      chargeOf(layoutOf(spec), 500, 100, 1, sequences).kvBytes ?? Number.NaN;
    expect(kvBytes(HYBRID, 3) - kvBytes(WITHOUT, 3)).toBe(3 * TRANSFORMERS_BYTES);
  });

  test('a model in float32 convolves in float32', () => {
    const wide = { ...layoutOf(HYBRID), kvBytesPerElement: 4 };
    expect(decodeCacheBytes(wide, 0)).toBe(36 * (2_097_152 + 131_072));
  });

  test('keys of an indexer are held as computed, not as other engines pack them', () => {
    const keys = { layers: 61, kvHeads: 1, keyDim: 128, valueDim: 0, windowTokens: null };
    const indexed = { ...WITHOUT, groups: [{ ...keys, packedTokenBytes: 132 }] };
    expect(steadyKvBytes(indexed, 10, 2)).toBe(10 * 61 * 132);
    expect(decodeCacheBytes(layoutOf(indexed), 10)).toBe(10 * 61 * 256);
  });
});

describe('vLLM', () => {
  const layoutOf = (spec: ModelSpec, changes: Partial<PagedLayout> = {}): PagedLayout => ({
    model: 'paged',
    spec,
    kvBytesPerElement: 2,
    blockTokens: 1088,
    contextTokens: 131_072,
    inFlightTokens: 8192,
    tensorParallel: 1,
    drafting: null,
    ...changes,
  });

  test('12 full layers and 36 with states are 1 and 3 groups of 12', () => {
    const layout = layoutOf(HYBRID, { stateBlocks: 1 });
    // 1088 tokens of attention are 2,228,224 bytes, no less than the 2,146,304 of a state.
    expect(blockBytes(layout)).toBe(12 * 1088 * 2048);
    expect(pagedBlocks(layout, 10_880)).toBe(10 + 3);
    expect(pagedPrefillBlocks(layout, 10_880)).toBe(10 + 3);
    expect(pagedBlocks(layout, 10_880, 4)).toBe(13 + 3 * 4);
  });

  test('a mode that is not told is taken for the one that keeps most of a few', () => {
    expect(pagedBlocks(layoutOf(HYBRID), 10_880)).toBe(10 + 3 * 3);
    // A sequence that fits a block has no more states than that.
    expect(pagedBlocks(layoutOf(HYBRID), 100)).toBe(1 + 3);
    expect(pagedBlocks(layoutOf(HYBRID), 0)).toBe(0);
  });

  test('a state for each block grows with the tokens', () => {
    expect(pagedBlocks(layoutOf(HYBRID, { stateBlocks: 'each' }), 10_880)).toBe(4 * 10);
  });

  test('each guess ahead has a state of its own', () => {
    const drafting = { lookaheadTokens: 3, layers: 0 };
    const layout = layoutOf(HYBRID, { stateBlocks: 1, drafting });
    expect(pagedBlocks(layout, 5000)).toBe(5 + 3 * (1 + 3));
  });

  test('a page smaller than a state is padded to it', () => {
    expect(blockBytes(layoutOf(HYBRID, { blockTokens: 16 }))).toBe(12 * (2_097_152 + 49_152));
  });
});

describe('SGLang', () => {
  test('they lie in a pool of their own: no place is taken, the bytes are reported', () => {
    const layout: PagedLayout = {
      model: 'paged',
      spec: HYBRID,
      kvBytesPerElement: 2,
      blockTokens: 1,
      contextTokens: 131_072,
      inFlightTokens: 8192,
      tensorParallel: 1,
      drafting: null,
      tokenPool: { blocks: null, slidingShare: null, slidingSlackTokens: 0, outputChunkTokens: 1 },
    };
    const charge = chargeOf(layout, 900, 100, 1, 2);
    expect(charge.peakUnits).toBe(2000);
    expect(charge.kvBytes).toBe(2 * (1000 * 24_576 + PAGED_BYTES));
  });
});

test('channels and heads are split over the GPUs, the odd one rounded up', () => {
  expect(sequenceStateBytes(HYBRID, PAGED_STATES, 4)).toBe(PAGED_BYTES / 4);
  expect(sequenceStateBytes(WITHOUT, PAGED_STATES)).toBe(0);
  const odd = { layers: 1, convChannels: 3, convKernel: 2, recurrentElements: 5 };
  expect(layerStateBytes(odd, PAGED_STATES, 2)).toBe(2 * 2 + 3 * 4);
});
