/** What a layout predicts of an engine's figures, against figures that vLLM's own code gave. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fullLengthBlocks, predicted } from '../../proxy/memory/calibration/observation.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { simulateRequest, type TableGroup } from '../support/vllm-block-manager.ts';

interface Executed {
  readonly name: string;
  readonly full: number;
  readonly window: number;
  readonly windowTokens: number;
  readonly blockTokens: number;
  readonly contextTokens: number;
  readonly inFlightTokens: number;
  readonly hybridManager: boolean;
  readonly requests: number;
}

const { blocks: POOL_BLOCKS, cases }: { blocks: number; cases: readonly Executed[] } = JSON.parse(
  readFileSync(
    new URL('../fixtures/engines/vllm/full-length-requests.json', import.meta.url),
    'utf8',
  ),
);

interface Shape {
  readonly full: number;
  readonly window: number;
  readonly windowTokens: number;
  readonly blockTokens: number;
  readonly contextTokens: number;
  readonly inFlightTokens: number;
}

function layoutOf({ full, window, windowTokens, ...sizes }: Shape): PagedLayout {
  const model = findModel('gpt-oss-20b');
  if (model === null) throw new Error('not in the catalog');
  const shape = { kvHeads: 8, keyDim: 64, valueDim: 64 };
  const spec: ModelSpec = {
    ...model,
    groups: [
      { ...shape, layers: full, windowTokens: null },
      { ...shape, layers: window, windowTokens },
    ].filter(({ layers }) => layers > 0),
  };
  return {
    ...sizes,
    model: 'paged',
    spec,
    kvBytesPerElement: 2,
    tensorParallel: 1,
    drafting: null,
  };
}

test.each(cases.map((executed, index) => [index, executed] as const))(
  'case %i: the requests of full length that vLLM 0.32 counts',
  (_, { name: _name, requests, hybridManager, ...shape }) => {
    const layout = { ...layoutOf(shape), ...(hybridManager ? {} : ({ hybridManager } as const)) };
    const blocks = fullLengthBlocks(layout, shape.contextTokens);
    expect(POOL_BLOCKS / (blocks ?? Number.NaN)).toBeCloseTo(requests, 9);
  },
);

describe('what a request in decode holds', () => {
  /** By then the blocks of the last chunk of its prompt are given back. */
  const INTO_OUTPUT = 8;
  const request = fc.record({
    promptTokens: fc.integer({ min: 1, max: 1500 }),
    outputTokens: fc.integer({ min: 10, max: 200 }),
    chunkTokens: fc.constantFrom(64, 512, 2048),
    batches: fc.constantFrom(1, 2),
    windowTokens: fc.integer({ min: 1, max: 400 }),
    blockTokens: fc.constantFrom(16, 32, 64),
    window: fc.constantFrom(0, 1, 2, 5),
  });

  test('is in the range that is predicted, at every step', () => {
    fc.assert(
      fc.property(request, ({ windowTokens, blockTokens, window, ...sizes }) => {
        const contextTokens = 2048;
        const inFlightTokens = sizes.chunkTokens * sizes.batches;
        const shape = { full: 1, window, windowTokens, blockTokens, contextTokens, inFlightTokens };
        const layout = layoutOf(shape);
        const groups: TableGroup[] = [
          { blockTokens, keeps: { kind: 'full' } },
          ...Array.from({ length: window }, (): TableGroup => {
            return { blockTokens, keeps: { kind: 'window', tokens: windowTokens } };
          }),
        ];
        // One layer of each kind makes a group of each: of window layers there are as many groups.
        const steps = simulateRequest({ ...sizes, contextTokens, lookaheadTokens: 0, groups });
        for (const { tokens, held } of steps) {
          if (tokens < sizes.promptTokens + INTO_OUTPUT) continue;
          const range = predicted(layout, {
            kind: 'held_units',
            measured: { lo: 0, hi: 0 },
            sequences: [{ tokens: { lo: tokens, hi: tokens }, sharedTokens: null }],
          });
          const blocks = held.reduce((sum, count) => sum + count, 0);
          expect(range?.lo).toBeLessThanOrEqual(blocks);
          expect(range?.hi).toBeGreaterThanOrEqual(blocks);
        }
      }),
      { numRuns: 60 },
    );
  });
});
