import { describe, expect, test } from '@jest/globals';
import {
  decodeBytes,
  decodeCacheBytes,
  firstStepBytes,
  prefillCacheBytes,
  prefillPeakBytes,
} from '../../proxy/memory/engines/dynamic.ts';
import { type DynamicLayout, naiveKvBytes, steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { knownModel } from '../support/known-model.ts';

const GIB = 2 ** 30;

function layoutOf(
  name: string,
  attention: 'eager' | 'flash',
  changes: Partial<ModelSpec> = {},
): DynamicLayout {
  const spec = knownModel(name);
  return { model: 'dynamic', spec: { ...spec, ...changes }, kvBytesPerElement: 2, attention };
}

describe('prefill of gpt-oss against an allocation trace of transformers 5.18', () => {
  /** Peak without weights, gpt-oss-20b, eager attention; the trace has three decimals. */
  test.each([
    [1024, 0.466],
    [2048, 1.69],
    [4096, 6.412],
    [8192, 24.948],
  ])('eager, %i tokens: %d GiB, never less and at most 3 %% more', (promptTokens, tracedGib) => {
    const peak = prefillPeakBytes(layoutOf('gpt-oss-20b', 'eager'), promptTokens) / GIB;
    expect(peak).toBeGreaterThanOrEqual(tracedGib - 0.0005);
    expect(peak).toBeLessThanOrEqual(tracedGib * 1.03);
  });

  /** Bytes of a token beyond the KV, attention in linear memory, bf16 experts by grouped_mm. */
  test.each([
    ['gpt-oss-20b', 253_768],
    ['gpt-oss-120b', 253_960],
  ])('flash, %s: %i bytes a token, never less and at most 2 %% more', (name, tracedBytes) => {
    const layout = layoutOf(name, 'flash');
    for (const promptTokens of [1024, 8192, 32_768]) {
      const transient =
        prefillPeakBytes(layout, promptTokens) - naiveKvBytes(layout.spec, promptTokens, 2);
      expect(transient).toBeGreaterThanOrEqual(tracedBytes * promptTokens);
      expect(transient).toBeLessThanOrEqual(tracedBytes * promptTokens * 1.02);
    }
  });

  test('a short eager prompt peaks in its experts, not in its scores', () => {
    expect(prefillPeakBytes(layoutOf('gpt-oss-20b', 'eager'), 100)).toBe(
      prefillPeakBytes(layoutOf('gpt-oss-20b', 'flash'), 100),
    );
  });

  test('a dense model has a transient of its own, more than its wide layer alone', () => {
    const dense = layoutOf('gpt-oss-20b', 'flash', { experts: null, intermediateSize: 14_336 });
    const transient = prefillPeakBytes(dense, 1000) - naiveKvBytes(dense.spec, 1000, 2);
    expect(transient).toBeGreaterThan(1000 * 3 * 14_336 * 2);
  });

  test('float32 doubles the activations with the KV', () => {
    const half = layoutOf('gpt-oss-20b', 'eager');
    const full: DynamicLayout = { ...half, kvBytesPerElement: 4 };
    expect(prefillPeakBytes(full, 8192) / prefillPeakBytes(half, 8192)).toBeCloseTo(2, 2);
  });
});

describe('the cache of gpt-oss-20b against the storage of its tensors in transformers 5.18', () => {
  test.each([
    [1000, 49_152_000, 27_746_304],
    [2048, 100_663_296, 53_501_952],
  ])('%i tokens: %i bytes after prefill, %i after one more', (promptTokens, prefill, decode) => {
    const layout = layoutOf('gpt-oss-20b', 'eager');
    expect(prefillCacheBytes(layout, promptTokens)).toBe(prefill);
    expect(decodeCacheBytes(layout, promptTokens + 1)).toBe(decode);
  });

  test('layers of a chunk keep no more than a chunk', () => {
    const { spec, ...layout } = layoutOf('gpt-oss-20b', 'eager');
    const shape = { kvHeads: 8, keyDim: 128, valueDim: 128 };
    const groups = [
      { ...shape, layers: 12, windowTokens: null },
      { ...shape, layers: 36, windowTokens: 8192, chunked: true as const },
    ];
    // 49,152 bytes a token of full layers, 147,456 of chunked ones.
    const scout = { ...layout, spec: { ...spec, groups } };
    expect(decodeCacheBytes(scout, 100_000)).toBe(49_152 * 100_000 + 147_456 * 8192);
    expect(prefillCacheBytes(scout, 100_000)).toBe((49_152 + 147_456) * 100_000);
  });
});

describe('decoding', () => {
  test('holds the steady KV and a copy of the largest layer', () => {
    const layout = layoutOf('gpt-oss-20b', 'flash');
    const transient = decodeBytes(layout, 32_768) - steadyKvBytes(layout.spec, 32_768, 2);
    const layerCopy = 2048 * 32_768;
    expect(transient).toBeGreaterThanOrEqual(layerCopy);
    // Beside it the activations of one token and its logits: under 2 MiB.
    expect(transient).toBeLessThan(layerCopy + 2 * 2 ** 20);
  });

  test('eager attention repeats the KV of a layer to all query heads', () => {
    const layout = layoutOf('gpt-oss-20b', 'eager');
    const transient = decodeBytes(layout, 32_768) - steadyKvBytes(layout.spec, 32_768, 2);
    expect(transient).toBeGreaterThanOrEqual(2 * 64 * 64 * 2 * 32_768);
  });

  test('the first step still holds the whole prompt in sliding layers', () => {
    const layout = layoutOf('gpt-oss-20b', 'flash');
    const dropped = firstStepBytes(layout, 8192) - decodeBytes(layout, 8192);
    expect(dropped).toBe((384 - 195) * 2 ** 20);
  });
});
