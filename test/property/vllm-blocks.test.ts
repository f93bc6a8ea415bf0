/**
 * Charges for vLLM against its block tables, simulated step by step (see
 * test/support/vllm-block-manager.ts, which equals recordings of vLLM's own).
 *
 * For one sequence, any prompt, answer, chunk, block, windows,
 * grouping of layers, and one or two batches in the works:
 *  1. The prefill charge is what vLLM asks for at admission, block for block (one
 *     more for each group whose chunks do not begin at a block's start).
 *  2. No step holds more than the peak of the charge.
 *  3. Once the batches of prefill are settled, no step holds more than is charged
 *     for its tokens, and each full group exactly that, each sliding group at most
 *     one block less.
 *  4. The same with guesses, which take slots before they are known to be right.
 *  5. With a prefix from the cache, its own blocks never exceed the charge less
 *     what is shared.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import { prefixHit } from '../../proxy/memory/engines/prefix-hit.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import type { LayerGroup, ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import {
  admissionBlocks,
  type Keeps,
  type SimulatedRequest,
  simulateRequest,
} from '../support/vllm-block-manager.ts';
import { groupLayers, type Layer } from '../support/vllm-layer-groups.ts';

const base = findModel('gpt-oss-20b');
if (base === null) throw new Error('the catalog is empty');
const ANY_MODEL: ModelSpec = base;

const KEY_DIM = 8;
const BYTES_PER_ELEMENT = 2;

interface Shape {
  readonly layers: number;
  readonly kvHeads: number;
}

interface World {
  readonly layout: PagedLayout;
  readonly request: SimulatedRequest;
  readonly poolBlockBytes: number;
}

const keeps: fc.Arbitrary<Keeps> = fc.oneof(
  fc.record({ kind: fc.constant('window' as const), tokens: fc.integer({ min: 1, max: 300 }) }),
  fc.record({ kind: fc.constant('chunk' as const), tokens: fc.integer({ min: 1, max: 300 }) }),
);
const shape: fc.Arbitrary<Shape> = fc.record({
  layers: fc.integer({ min: 1, max: 12 }),
  kvHeads: fc.constantFrom(1, 2, 3),
});

const world: fc.Arbitrary<World> = fc
  .record({
    full: fc.option(shape, { freq: 5 }),
    local: fc.uniqueArray(fc.tuple(shape, keeps), {
      minLength: 1,
      maxLength: 3,
      selector: ([, kept]) => JSON.stringify(kept),
    }),
    hybridManager: fc.constantFrom(true, true, false),
    blockTokens: fc.constantFrom(1, 4, 16, 16, 32),
    promptTokens: fc.integer({ min: 1, max: 400 }),
    outputTokens: fc.integer({ min: 1, max: 150 }),
    chunkTokens: fc.integer({ min: 1, max: 400 }),
    batches: fc.constantFrom(1, 2),
    spareTokens: fc.constantFrom(0, 0, 1, 1000),
    wholeBlocks: fc.boolean(),
  })
  .map(({ full, local, hybridManager, blockTokens, spareTokens, wholeBlocks, ...drawn }) => {
    // Where a prompt ends with a block, the first token of the answer begins one.
    const promptTokens = wholeBlocks
      ? Math.ceil(drawn.promptTokens / blockTokens) * blockTokens
      : drawn.promptTokens;
    const asked = { ...drawn, promptTokens };
    const kinds: readonly (readonly [Shape, Keeps])[] =
      full === null ? local : [[full, { kind: 'full' }], ...local];
    const contextTokens = asked.promptTokens + asked.outputTokens + spareTokens;
    const layers = kinds.flatMap(([{ layers: count, kvHeads }, kept]) =>
      Array.from(
        { length: count },
        (): Layer => ({ tokenBytes: kvHeads * KEY_DIM * BYTES_PER_ELEMENT, keeps: kept }),
      ),
    );
    const pool = groupLayers(layers, blockTokens, hybridManager);
    const layout: PagedLayout = {
      model: 'paged',
      spec: { ...ANY_MODEL, groups: kinds.map(([shape, kept]) => layerGroup(shape, kept)) },
      kvBytesPerElement: BYTES_PER_ELEMENT,
      blockTokens,
      contextTokens,
      inFlightTokens: asked.batches * asked.chunkTokens,
      tensorParallel: 1,
      drafting: null,
      ...(hybridManager ? {} : { hybridManager: false }),
    };
    const request = { ...asked, contextTokens, lookaheadTokens: 0, groups: pool.groups };
    return { layout, request, poolBlockBytes: pool.blockBytes };
  });

function layerGroup(shape: Shape, kept: Keeps): LayerGroup {
  const group = { ...shape, keyDim: KEY_DIM, valueDim: 0, windowTokens: null };
  if (kept.kind === 'window') return { ...group, windowTokens: kept.tokens };
  return kept.kind === 'chunk' ? { ...group, windowTokens: kept.tokens, chunked: true } : group;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Groups whose chunks end inside a block. */
function misalignedChunks({ groups }: SimulatedRequest): number {
  return groups.filter(
    ({ keeps: kept, blockTokens }) => kept.kind === 'chunk' && kept.tokens % blockTokens !== 0,
  ).length;
}

/** Steps that begin when no batch of prefill is unsettled any more. */
function settledSteps(request: SimulatedRequest) {
  const steps = simulateRequest(request);
  return steps
    .map((step, index) => ({ ...step, before: steps[index - 1]?.tokens ?? 0 }))
    .filter((step, index) => {
      const unsettled = steps[index - request.batches + 1];
      return step.phase === 'decode' && unsettled?.phase === 'decode';
    });
}

/** Beside those that the properties draw. */
const REQUESTS = 300;

describe('one sequence on vLLM', () => {
  test('needs no block more than it is charged, of all that are tried', () => {
    const worlds = fc.sample(world, REQUESTS);
    const under = worlds.filter(({ layout, request }) => {
      const { promptTokens, outputTokens } = request;
      const { peakUnits } = chargeOf(layout, promptTokens, outputTokens, 1, 1);
      const peak = Math.max(...simulateRequest(request).map(({ held }) => sum(held)));
      const asked = sum(admissionBlocks(request));
      const charged = pagedPrefillBlocks(layout, promptTokens);
      return peak > peakUnits || charged < asked || charged > asked + misalignedChunks(request);
    });
    expectAccuracy({
      part: 'KV blocks of vLLM',
      bar: '0 %',
      seen: `${under.length} of ${worlds.length} random (P, G, C) differ`,
      against: "a port of vLLM's block bookkeeping that shares no code with kvgate",
      holds: under.length === 0,
    });
  });

  test('blocks are of the size that the pool is cut into', () => {
    fc.assert(
      fc.property(world, ({ layout, poolBlockBytes }) => {
        expect(blockBytes(layout)).toBe(poolBlockBytes);
      }),
    );
  });

  test('is charged at prefill what admission asks for', () => {
    fc.assert(
      fc.property(world, ({ layout, request }) => {
        const charged = pagedPrefillBlocks(layout, request.promptTokens);
        const asked = sum(admissionBlocks(request));
        expect(charged).toBeGreaterThanOrEqual(asked);
        expect(charged).toBeLessThanOrEqual(asked + misalignedChunks(request));
      }),
    );
  });

  test('never holds more than its peak, nor than its prefill charge in prefill', () => {
    fc.assert(
      fc.property(world, ({ layout, request }) => {
        const { promptTokens, outputTokens } = request;
        const { peakUnits, prefillUnits } = chargeOf(layout, promptTokens, outputTokens, 1, 1);
        const beyond = simulateRequest(request).filter(
          ({ phase, held }) => sum(held) > (phase === 'prefill' ? prefillUnits : peakUnits),
        );
        expect(beyond).toEqual([]);
        expect(prefillUnits).toBeLessThanOrEqual(peakUnits);
      }),
    );
  });

  test('holds while decoding what is charged for its tokens, or a block less a window', () => {
    fc.assert(
      fc.property(world, ({ layout, request }) => {
        const windows = request.groups.filter(({ keeps: kept }) => kept.kind === 'window').length;
        const hasChunks = request.groups.some(({ keeps: kept }) => kept.kind === 'chunk');
        const beyond = settledSteps(request).filter(({ tokens, held }) => {
          const spare = pagedBlocks(layout, tokens) - sum(held);
          // A chunk that has just begun holds anything down to a single block.
          return spare < 0 || (!hasChunks && spare > windows);
        });
        expect(beyond).toEqual([]);
      }),
    );
  });

  test('never holds more than is charged where it guesses ahead', () => {
    fc.assert(
      fc.property(
        world,
        fc.integer({ min: 1, max: 8 }),
        fc.boolean(),
        ({ layout, request }, guessTokens, draftHasKv) => {
          const { promptTokens, outputTokens } = request;
          const lookaheadTokens = draftHasKv ? guessTokens : 0;
          const drafting = { lookaheadTokens: guessTokens + lookaheadTokens, layers: 0 };
          const on = { ...layout, drafting };
          const guessing = { ...request, guessTokens, lookaheadTokens };
          const { peakUnits } = chargeOf(on, promptTokens, outputTokens, 1, 1);
          expect(simulateRequest(guessing).filter(({ held }) => sum(held) > peakUnits)).toEqual([]);
          const beyond = settledSteps(guessing).filter(
            ({ before, held }) => sum(held) > pagedBlocks(on, before + 1),
          );
          expect(beyond).toEqual([]);
        },
      ),
    );
  });

  test('has of its own, after a hit, no more than the charge less what is shared', () => {
    fc.assert(
      fc.property(world, fc.nat({ max: 400 }), ({ layout, request }, prefixTokens) => {
        const { promptTokens } = request;
        const hit = prefixHit(layout, promptTokens, prefixTokens);
        const afterHit = { ...request, hitTokens: hit.tokens };
        const [first] = simulateRequest(afterHit);
        const found = first === undefined ? 0 : sum(first.held) - sum(first.own);
        expect(found).toBeLessThanOrEqual(hit.cachedBlocks);
        const inPrefill = pagedPrefillBlocks(layout, promptTokens) - hit.sharedInPrefillBlocks;
        const beyond = [
          ...simulateRequest(afterHit).filter(
            ({ phase, own }) => phase === 'prefill' && sum(own) > inPrefill,
          ),
          ...settledSteps(afterHit).filter(
            ({ tokens, own }) => sum(own) > pagedBlocks(layout, tokens) - hit.sharedBlocks,
          ),
        ];
        expect(beyond).toEqual([]);
      }),
    );
  });
});
