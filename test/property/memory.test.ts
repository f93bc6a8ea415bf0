import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Charge, chargeOf, contextTokensOf, heldUnits } from '../../proxy/memory/charge.ts';
import { pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import { type KvLayout, naiveKvBytes, steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import { NO_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { boundsFromBytes } from '../../proxy/memory/token-bounds.ts';

const dimension = fc.integer({ min: 1, max: 512 });
const tokenCount = fc.oneof(fc.nat({ max: 5000 }), fc.nat({ max: 2 ** 27 }));
const elementBytes = fc.constantFrom(0.5625, 1, 1.0625, 2, 4);

const group = fc.record({
  layers: fc.integer({ min: 1, max: 80 }),
  kvHeads: fc.integer({ min: 1, max: 64 }),
  keyDim: dimension,
  valueDim: dimension,
});

const local = fc.record({
  shape: group,
  windowTokens: fc.integer({ min: 1, max: 8192 }),
  isChunked: fc.boolean(),
});

const state = fc.record({
  layers: fc.integer({ min: 1, max: 80 }),
  convChannels: fc.nat({ max: 16_384 }),
  convKernel: fc.integer({ min: 2, max: 8 }),
  recurrentElements: fc.nat({ max: 2 ** 21 }),
});

const modelSpec: fc.Arbitrary<ModelSpec> = fc.record({
  id: fc.constant('model'),
  groups: fc
    .tuple(group, fc.array(local, { maxLength: 2 }), fc.option(group))
    .map(([full, locals, packed]) => [
      { ...full, windowTokens: null },
      ...locals.map(({ shape, windowTokens, isChunked }) =>
        isChunked ? { ...shape, windowTokens, chunked: true as const } : { ...shape, windowTokens },
      ),
      ...(packed === null ? [] : [{ ...packed, windowTokens: null, packedTokenBytes: 132 }]),
    ]),
  hiddenSize: fc.integer({ min: 1, max: 16_384 }),
  queryHeads: fc.integer({ min: 1, max: 128 }),
  headDim: dimension,
  vocabSize: fc.integer({ min: 1, max: 300_000 }),
  contextTokens: fc.integer({ min: 1, max: 2 ** 20 }),
  experts: fc.option(
    fc.record({
      total: fc.integer({ min: 8, max: 512 }),
      activePerToken: fc.integer({ min: 1, max: 8 }),
      intermediateSize: fc.integer({ min: 1, max: 16_384 }),
    }),
  ),
  intermediateSize: fc.integer({ min: 1, max: 32_768 }),
  media: fc.constant(NO_MEDIA),
  states: fc.array(state, { maxLength: 2 }),
  tokenizer: fc.constant(null),
  source: fc.constant('generated'),
});

const layout: fc.Arbitrary<KvLayout> = fc.oneof(
  fc.record({
    model: fc.constant('dynamic' as const),
    spec: modelSpec,
    kvBytesPerElement: elementBytes,
    attention: fc.constantFrom('eager' as const, 'flash' as const),
  }),
  fc.record({
    model: fc.constant('paged' as const),
    spec: fc.option(modelSpec),
    kvBytesPerElement: elementBytes,
    blockTokens: fc.constantFrom(1, 16, 32, 256),
    contextTokens: fc.integer({ min: 1, max: 2 ** 20 }),
    inFlightTokens: fc.integer({ min: 1, max: 32_768 }),
    tensorParallel: fc.constantFrom(1, 2, 3, 4, 8, 16),
    drafting: fc.option(
      fc.record({ lookaheadTokens: fc.integer({ min: 1, max: 64 }), layers: fc.nat({ max: 4 }) }),
    ),
    stateBlocks: fc.constantFrom<number | 'each'>(1, 3, 'each'),
  }),
  fc.record({
    model: fc.constant('paged' as const),
    spec: fc.option(modelSpec),
    kvBytesPerElement: elementBytes,
    blockTokens: fc.constantFrom(1, 16),
    contextTokens: fc.integer({ min: 1, max: 2 ** 20 }),
    inFlightTokens: fc.integer({ min: 1, max: 32_768 }),
    tensorParallel: fc.constantFrom(1, 4),
    drafting: fc.constant(null),
    hybridManager: fc.constant(false as const),
  }),
  fc.record({
    model: fc.constant('paged' as const),
    spec: fc.option(modelSpec),
    kvBytesPerElement: elementBytes,
    blockTokens: fc.constantFrom(1, 64),
    contextTokens: fc.integer({ min: 1, max: 2 ** 20 }),
    inFlightTokens: fc.integer({ min: 1, max: 32_768 }),
    tensorParallel: fc.constantFrom(1, 4),
    drafting: fc.constant(null),
    tokenPool: fc.record({
      blocks: fc.constant(null),
      slidingShare: fc.constantFrom(null, 0.5, 0.8, 1),
      slidingSlackTokens: fc.nat({ max: 4096 }),
      outputChunkTokens: fc.constantFrom(1, 1024),
    }),
  }),
  fc.record({
    model: fc.constant('slots' as const),
    spec: fc.option(modelSpec),
    kvBytesPerElement: elementBytes,
    unified: fc.boolean(),
    slots: fc.integer({ min: 1, max: 16 }),
    contextTokens: fc.integer({ min: 1, max: 2 ** 20 }),
  }),
);

type Request = [promptTokens: number, outputTokens: number, prompts: number, samples: number];
const request: fc.Arbitrary<Request> = fc.tuple(
  tokenCount,
  tokenCount,
  fc.integer({ min: 1, max: 64 }),
  fc.integer({ min: 1, max: 16 }),
);

function figures(charge: Charge): number[] {
  const { prefillUnits, finalUnits, peakUnits, kvBytes, naiveBytes } = charge;
  return [prefillUnits, finalUnits, peakUnits, kvBytes ?? 0, naiveBytes ?? 0];
}

describe('a charge', () => {
  test('is whole, finite and never negative; its peak covers its end', () => {
    fc.assert(
      fc.property(layout, request, (on, asked) => {
        const charge = chargeOf(on, ...asked);
        for (const figure of figures(charge)) {
          expect(Number.isInteger(figure)).toBe(true);
          expect(figure).toBeGreaterThanOrEqual(0);
        }
        expect(charge.peakUnits).toBeGreaterThanOrEqual(charge.finalUnits);
        expect(charge.peakUnits).toBeGreaterThanOrEqual(charge.prefillUnits);
      }),
    );
  });

  test('grows with every count of the request', () => {
    fc.assert(
      fc.property(layout, request, request, (on, asked, more) => {
        const smaller = figures(chargeOf(on, ...asked));
        for (const [index, extra] of more.entries()) {
          const larger: Request = [...asked];
          larger[index] = (larger[index] ?? 0) + extra;
          for (const [at, figure] of figures(chargeOf(on, ...larger)).entries()) {
            expect(figure).toBeGreaterThanOrEqual(smaller[at] ?? Number.NaN);
          }
        }
      }),
    );
  });

  test('covers the prompts charged one by one, however the tokens are split', () => {
    const split = fc.array(fc.nat({ max: 5000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(layout, split, fc.nat({ max: 5000 }), (on, promptTokens, outputTokens) => {
        // Of two pools a prompt is charged the worse one: apart they may differ in which that is.
        fc.pre(on.model !== 'paged' || typeof on.tokenPool?.slidingShare !== 'number');
        // A prompt beyond the context is refused by the engine and never charged.
        fc.pre(promptTokens.every((tokens) => tokens <= contextTokensOf(on)));
        const total = promptTokens.reduce((sum, tokens) => sum + tokens, 0);
        const together = chargeOf(on, total, outputTokens, promptTokens.length, 1);
        const apart = promptTokens.map((tokens) => chargeOf(on, tokens, outputTokens, 1, 1));
        for (const [at, figure] of figures(together).entries()) {
          const sum = apart.reduce((units, charge) => units + (figures(charge)[at] ?? 0), 0);
          // Each prompt's bytes are rounded up on their own, in two terms.
          expect(figure + promptTokens.length * 2).toBeGreaterThanOrEqual(sum);
        }
      }),
    );
  });

  test('is never exceeded by what the lease holds while it generates what was granted', () => {
    fc.assert(
      fc.property(
        layout,
        request,
        fc.double({ min: 0, max: 1, noNaN: true }),
        (on, asked, done) => {
          const charge = chargeOf(on, ...asked);
          const generated = Math.floor(done * charge.outputTokens);
          expect(heldUnits(on, charge, 'prefill', 0)).toBeLessThanOrEqual(charge.peakUnits);
          expect(heldUnits(on, charge, 'decode', generated)).toBeLessThanOrEqual(charge.peakUnits);
        },
      ),
    );
  });
});

test('steady KV never exceeds the plain formula, and more GPUs never hold more each', () => {
  fc.assert(
    fc.property(modelSpec, tokenCount, elementBytes, (spec, tokens, bytes) => {
      const steady = steadyKvBytes(spec, tokens, bytes);
      expect(steady).toBeLessThanOrEqual(naiveKvBytes(spec, tokens, bytes));
      expect(steadyKvBytes(spec, tokens, bytes, 4)).toBeLessThanOrEqual(steady);
    }),
  );
});

/**
 * A sliding group step by step, by vLLM's rule: blocks of the tokens up to the
 * end of the step, less those freed at its start (max(0, computed - W + 1) // block).
 */
function mostBlocksHeld(blockTokens: number, window: number, tokens: number, step: number): number {
  let most = 0;
  for (let computed = 0; computed < tokens; computed += step) {
    const end = Math.min(tokens, computed + step);
    const freed = Math.floor(Math.max(0, computed - window + 1) / blockTokens);
    most = Math.max(most, Math.ceil(end / blockTokens) - freed);
  }
  return most;
}

test('a sliding group never holds more blocks than it is charged', () => {
  fc.assert(
    fc.property(
      modelSpec,
      fc.constantFrom(1, 16, 32),
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: 1, max: 500 }),
      (base, blockTokens, windowTokens, tokens, inFlightTokens) => {
        const shape = { layers: 1, kvHeads: 1, keyDim: 1, valueDim: 1, windowTokens };
        const on = {
          model: 'paged' as const,
          spec: { ...base, groups: [shape], states: [] },
          kvBytesPerElement: 2,
          blockTokens,
          contextTokens: 4096,
          inFlightTokens,
          tensorParallel: 1,
          drafting: null,
        };
        const prefill = mostBlocksHeld(blockTokens, windowTokens, tokens, inFlightTokens);
        expect(pagedPrefillBlocks(on, tokens)).toBeGreaterThanOrEqual(prefill);
        const decode = mostBlocksHeld(blockTokens, windowTokens, tokens, 1);
        expect(pagedBlocks(on, tokens)).toBeGreaterThanOrEqual(decode);
        // Tight: at most one block above the simulated maximum.
        expect(pagedBlocks(on, tokens)).toBeLessThanOrEqual(decode + 1);
      },
    ),
  );
});

test('token bounds are whole and in order', () => {
  fc.assert(
    fc.property(
      fc.record({
        textBytes: fc.nat(),
        otherBytes: fc.nat(),
        messages: fc.nat({ max: 10_000 }),
        framing: fc.record({ baseTokens: fc.nat(500), perMessageTokens: fc.nat(50) }),
      }),
      (prompt) => {
        const { lo, expected, hi } = boundsFromBytes(prompt);
        expect([lo, expected, hi].every(Number.isSafeInteger)).toBe(true);
        expect(lo).toBeGreaterThanOrEqual(1);
        expect(expected).toBeGreaterThanOrEqual(lo);
        expect(hi).toBeGreaterThanOrEqual(expected);
      },
    ),
  );
});
