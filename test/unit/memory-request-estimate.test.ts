/** What `kvgate estimate` adds up: parts against sums, and sums against what decisions are made by. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { KnownLayout } from '../../proxy/memory/estimate/layer-parts.ts';
import {
  estimateRequest,
  requestsThatFit,
  sharedPrefix,
} from '../../proxy/memory/estimate/request-estimate.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { knownWeightBytes } from '../../proxy/memory/models/weights.ts';
import { knownModel } from '../support/known-model.ts';

const MIB = 2 ** 20;

const SPEC = knownModel('gpt-oss-20b');
const HYBRID: ModelSpec = {
  ...SPEC,
  id: 'hybrid',
  groups: [
    { layers: 6, kvHeads: 2, keyDim: 256, valueDim: 256, windowTokens: null },
    { layers: 3, kvHeads: 2, keyDim: 256, valueDim: 256, windowTokens: 512, chunked: true },
  ],
  states: [{ layers: 9, convChannels: 8192, convKernel: 4, recurrentElements: 524_288 }],
};

/** Multi-head latent attention with an indexer, whose keys engines pack and transformers does not. */
const INDEXED = knownModel('deepseek-v3.2');

const POOL = { blocks: null, slidingSlackTokens: 128, outputChunkTokens: 1 };

function layouts(spec: ModelSpec, gpus: number): Readonly<Record<string, KnownLayout>> {
  const base = { spec, kvBytesPerElement: 2 };
  const slots = { ...base, model: 'slots', unified: false, slots: 1, contextTokens: 8192 } as const;
  const paged = {
    ...base,
    model: 'paged',
    contextTokens: 131_072,
    inFlightTokens: 2048,
    tensorParallel: gpus,
    drafting: null,
  } as const;
  return {
    eager: { ...base, model: 'dynamic', attention: 'eager' },
    flash: { ...base, model: 'dynamic', attention: 'flash' },
    allLogits: { ...base, model: 'dynamic', attention: 'flash', prefillLogits: 'all' },
    vllm: { ...paged, blockTokens: 16 },
    sglang: { ...paged, blockTokens: 1, tokenPool: { ...POOL, slidingShare: 0.8 } },
    tgi: { ...paged, blockTokens: 1, tokenPool: { ...POOL, slidingShare: null } },
    llamacpp: slots,
  };
}

const NAMES = Object.keys(layouts(SPEC, 1));

describe.each(NAMES)('%s', (name) => {
  const layoutOf = (spec: ModelSpec, gpus: number): KnownLayout => {
    const layout = layouts(spec, gpus)[name];
    if (layout === undefined) throw new Error(name);
    return layout;
  };

  test('parts add up to what each GPU holds, whatever the model, size and GPUs', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(SPEC, HYBRID, INDEXED),
        fc.constantFrom(1, 2, 3, 4, 8),
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 60_000 }),
        (spec, gpus, promptTokens, outputTokens) => {
          const layout = layoutOf(spec, gpus);
          const tokens = promptTokens + outputTokens;
          const { parts, perGpu } = estimateRequest(layout, promptTokens, tokens, gpus);
          const sumOf = (phase: 'decode' | 'prefill') =>
            parts.filter((part) => part.phase === phase).reduce((sum, { bytes }) => sum + bytes, 0);
          // Each part is rounded up by itself.
          expect(Math.abs(sumOf('decode') - perGpu.kvBytes)).toBeLessThanOrEqual(parts.length);
          if (layout.model === 'slots') return;
          expect(Math.abs(sumOf('prefill') - perGpu.prefillPeakBytes)).toBeLessThanOrEqual(3);
        },
      ),
    );
  });

  test('all GPUs together hold no less than one, and one no more than all', () => {
    for (const gpus of [1, 2, 4, 16]) {
      const { kvBytes, perGpu } = estimateRequest(layoutOf(SPEC, gpus), 8000, 10_000, gpus);
      expect(perGpu.kvBytes).toBeLessThanOrEqual(kvBytes);
      expect(perGpu.kvBytes * gpus).toBeGreaterThanOrEqual(kvBytes);
    }
  });

  test('as many fit as there is room for, and no more', () => {
    const layout = layoutOf(SPEC, 1);
    const fitting = (budgetBytes: number) => requestsThatFit(layout, 8000, 8192, 1, budgetBytes);
    expect(fitting(0)).toBe(0);
    const many = fitting(200_000 * MIB);
    expect(many).toBeGreaterThan(100);
    expect(fitting(400_000 * MIB)).toBeGreaterThan(1.9 * many);
    const { kvBytes } = estimateRequest(layout, 8000, 8192, 1);
    expect(many * kvBytes).toBeLessThanOrEqual(200_000 * MIB);
  });
});

describe('the bytes that decisions are made by', () => {
  test.each(['flash', 'vllm', 'tgi'])('%s: KV as in a charge', (name) => {
    const layout = layouts(SPEC, 1)[name];
    if (layout === undefined) throw new Error(name);
    const charge = chargeOf(layout, 8000, 2000, 1, 1);
    const { kvBytes, naiveBytes } = estimateRequest(layout, 8000, 10_000, 1);
    expect(kvBytes).toBe(charge.kvBytes);
    expect(naiveBytes).toBe(charge.naiveBytes);
  });

  test('the peak of prefill on transformers', () => {
    const { flash } = layouts(SPEC, 1);
    if (flash === undefined) throw new Error('flash');
    const charge = chargeOf(flash, 8000, 2000, 1, 1);
    expect(estimateRequest(flash, 8000, 10_000, 1).prefillPeakBytes).toBe(charge.prefillUnits);
  });
});

test.each(['flash', 'llamacpp', 'vllm'])('the plain formula is no less, on %s', (name) => {
  const layout = layouts(INDEXED, 1)[name];
  if (layout === undefined) throw new Error(name);
  const { kvBytes, naiveBytes } = estimateRequest(layout, 8000, 8192, 1);
  expect(naiveBytes).toBeGreaterThanOrEqual(kvBytes);
});

test('a chunk of prefill beside the window is what SGLang holds of sliding layers', () => {
  const { sglang } = layouts(SPEC, 1);
  if (sglang === undefined) throw new Error('sglang');
  const { prefillPeakBytes } = estimateRequest(sglang, 8000, 8192, 1);
  expect(prefillPeakBytes).toBe(24_576 * 8000 + 24_576 * (128 + 2048));
});

test('states beside a pool of tokens take of its room', () => {
  const { sglang } = layouts(HYBRID, 1);
  if (sglang === undefined) throw new Error('sglang');
  const { kvBytes } = estimateRequest(sglang, 100, 200, 1);
  const many = requestsThatFit(sglang, 100, 200, 1, 20_000 * MIB);
  expect(many).toBeGreaterThan(0);
  expect(many * kvBytes).toBeLessThanOrEqual(20_000 * MIB);
});

test.each([1, 4])('each formula comes to its bytes, on %i GPUs', (gpus) => {
  for (const layout of Object.values(layouts(HYBRID, gpus))) {
    const { parts } = estimateRequest(layout, 8000, 10_000, gpus);
    for (const { part, formula, bytes } of parts.filter(({ part }) =>
      part.startsWith('States of'),
    )) {
      if (layout.model === 'slots') continue;
      const [layers = 0, channels = 0, positions = 0, conv = 0, elements = 0, each = 0] = (
        formula.replaceAll(',', '').match(/\d+/g) ?? []
      ).map(Number);
      expect([part, layers * (channels * positions * conv + elements * each)]).toEqual([
        part,
        bytes,
      ]);
    }
  }
});

test('a prefix that all have in common is held once: more of them fit', () => {
  const { vllm } = layouts(SPEC, 1);
  if (vllm?.model !== 'paged') throw new Error('vllm');
  const budgetBytes = 20_000 * MIB;
  // Of 4,000 tokens 250 whole blocks in the layers that keep them; a window moves on.
  expect(sharedPrefix(vllm, 8000, 4000)).toEqual({ tokens: 4000, bytes: 250 * 393_216 });
  const blocks = Math.floor(budgetBytes / 393_216) - 1;
  const [full, window] = [625, 9];
  const peak = 500 + Math.ceil((127 + 2048) / 16) + 1;
  const alone = 1 + Math.floor((blocks - peak) / (full + window));
  const together = 1 + Math.floor((blocks - 250 - (peak - 250)) / (full + window - 250));
  expect(requestsThatFit(vllm, 8000, 10_000, 1, budgetBytes)).toBe(alone);
  expect(requestsThatFit(vllm, 8000, 10_000, 1, budgetBytes, 4000)).toBe(together);
});

test('weights of the published checkpoints, from their shapes', () => {
  for (const [name, layers, experts] of [
    ['gpt-oss-20b', 24, 32],
    ['gpt-oss-120b', 36, 128],
  ] as const) {
    const [hidden, heads, kvHeads, head, vocabulary] = [2880, 64, 8, 64, 201_088];
    const packed = experts * (2 * hidden * (hidden / 32) + hidden * (hidden / 32)) * 17;
    const attention =
      hidden * heads * head +
      heads * head +
      2 * (hidden * kvHeads * head + kvHeads * head) +
      heads * head * hidden +
      hidden +
      heads;
    const rest = attention + 2 * hidden + hidden * experts + experts + experts * 3 * hidden;
    const bytes = layers * (packed + 2 * rest) + 2 * (2 * vocabulary * hidden + hidden);
    expect(knownWeightBytes(knownModel(name))).toBe(bytes);
  }
  expect(knownWeightBytes(HYBRID)).toBeNull();
  expect(knownWeightBytes({ ...HYBRID, id: 'constructor' })).toBeNull();
});
