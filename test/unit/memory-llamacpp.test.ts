import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { llamacppCells } from '../../proxy/memory/engines/llamacpp-cells.ts';
import {
  type LlamacppStart,
  llamacppAllocation,
  llamacppLiveBytes,
} from '../../proxy/memory/engines/llamacpp-memory.ts';
import {
  ollamaBatchTokens,
  ollamaContext,
  ollamaPredictedKvBytes,
} from '../../proxy/memory/engines/ollama-memory.ts';
import {
  allSlotsBytes,
  liveCellBytes,
  meanCellBytes,
  slotBytes,
} from '../../proxy/memory/engines/slots.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { GOLDEN_LLAMACPP_TABLE } from '../support/golden-llamacpp-table.ts';
import { knownModel } from '../support/known-model.ts';
import { tinySpec } from '../support/tiny-architectures.ts';

const MIB = 2 ** 20;
const Q8_0 = 34 / 32;
const F16 = { keyBytesPerElement: 2, valueBytesPerElement: 2 };

const GPT_OSS = knownModel('gpt-oss-20b');
const HYBRID = tinySpec('qwen35');

function started(changes: Partial<LlamacppStart> = {}): LlamacppStart {
  return { contextTokens: 32_768, sequences: 1, unified: false, ...F16, ...changes };
}

function ofWindow(spec: ModelSpec, start: LlamacppStart) {
  const { caches, streams } = llamacppAllocation(spec, start);
  const of = (slides: boolean) => {
    const cache = caches.find(({ group }) => (group.windowTokens !== null) === slides);
    if (cache === undefined) throw new Error('no such layers');
    const { cells, keyBytes, valueBytes } = cache;
    return { cells, mib: (keyBytes + valueBytes) / MIB };
  };
  return { streams, full: of(false), sliding: of(true) };
}

describe('one slot of gpt-oss', () => {
  test.each(GOLDEN_LLAMACPP_TABLE)('$model at $tokens: $layout', (row) => {
    const bytes = row.compute(knownModel(row.model));
    expect(bytes).toBe(row.expectedBytes);
    expect(((bytes ?? 0) / MIB).toFixed(1)).toBe(row.expectedMiB);
  });
});

/** What a llama-server of build 11669 printed for a model with the attention of gpt-oss-20b. */
const MEASURED: readonly (readonly [string, Partial<LlamacppStart>, object])[] = [
  [
    'one slot',
    { contextTokens: 131_072 },
    { streams: 1, full: { cells: 131_072, mib: 3072 }, sliding: { cells: 768, mib: 18 } },
  ],
  [
    'a pool of four',
    { sequences: 4, unified: true },
    { streams: 1, full: { cells: 32_768, mib: 768 }, sliding: { cells: 1024, mib: 24 } },
  ],
  [
    'a pool of eight in q8_0',
    { sequences: 8, unified: true, keyBytesPerElement: Q8_0, valueBytesPerElement: Q8_0 },
    { streams: 1, full: { cells: 32_768, mib: 408 }, sliding: { cells: 1536, mib: 19.125 } },
  ],
  [
    'eight apart',
    { sequences: 8 },
    { streams: 8, full: { cells: 4096, mib: 768 }, sliding: { cells: 768, mib: 144 } },
  ],
  [
    'a large batch',
    { ubatchTokens: 2048 },
    { streams: 1, full: { cells: 32_768, mib: 768 }, sliding: { cells: 2304, mib: 54 } },
  ],
  [
    'full windows',
    { swaFull: true },
    { streams: 1, full: { cells: 32_768, mib: 768 }, sliding: { cells: 32_768, mib: 768 } },
  ],
  [
    'an odd context, rounded up for each',
    { contextTokens: 30_001, sequences: 3 },
    { streams: 3, full: { cells: 10_240, mib: 720 }, sliding: { cells: 768, mib: 54 } },
  ],
  [
    'q4_0',
    { keyBytesPerElement: 18 / 32, valueBytesPerElement: 18 / 32 },
    { streams: 1, full: { cells: 32_768, mib: 216 }, sliding: { cells: 768, mib: 5.0625 } },
  ],
];

describe('llama.cpp allocates at its start', () => {
  test.each(MEASURED)('%s', (_, changes, expected) => {
    expect(ofWindow(GPT_OSS, started(changes))).toEqual(expected);
  });

  test('keys and values each in their own type', () => {
    const types = { keyBytesPerElement: Q8_0, valueBytesPerElement: 18 / 32 };
    const [cache] = llamacppAllocation(tinySpec('llama'), started(types)).caches;
    const elements = 4 * 32_768 * 64;
    expect(cache).toMatchObject({ keyBytes: elements * Q8_0, valueBytes: (elements * 18) / 32 });
  });

  test('a state for each sequence, in f32, without the position about to leave', () => {
    const { convStateBytes, recurrentStateBytes } = llamacppAllocation(
      HYBRID,
      started({ sequences: 2, unified: true }),
    );
    expect({ convStateBytes, recurrentStateBytes }).toEqual({
      convStateBytes: 2 * 3 * 512 * 3 * 4,
      recurrentStateBytes: 2 * 3 * 64 * 256 * 4,
    });
  });

  test('states that a draft may be taken back to', () => {
    const plain = llamacppAllocation(HYBRID, started());
    const kept = llamacppAllocation(HYBRID, started({ rollbackStates: 3 }));
    expect(kept.recurrentStateBytes).toBe(4 * plain.recurrentStateBytes);
    expect(kept.convStateBytes).toBe(4 * plain.convStateBytes);
    expect(kept.caches).toEqual(plain.caches);
  });

  test('without flash attention values are as wide as the widest layer has them', () => {
    const shape = { layers: 1, kvHeads: 2, keyDim: 64, windowTokens: null };
    const groups = [
      { ...shape, valueDim: 64 },
      { ...shape, valueDim: 128 },
    ];
    const spec = { ...GPT_OSS, groups };
    const widths = (flashAttention: boolean) =>
      llamacppAllocation(spec, started({ flashAttention })).caches.map(
        ({ valueBytes }) => valueBytes / (32_768 * 2 * 2),
      );
    expect(widths(true)).toEqual([64, 128]);
    expect(widths(false)).toEqual([128, 128]);
  });
});

const anyStart = fc.record({
  contextTokens: fc.integer({ min: 1, max: 300_000 }),
  sequences: fc.integer({ min: 1, max: 64 }),
  unified: fc.boolean(),
  ubatchTokens: fc.integer({ min: 1, max: 4096 }),
  swaFull: fc.boolean(),
});

describe('for every start', () => {
  test('the context is rounded up, by less than 256 and 256 for each sequence', () => {
    fc.assert(
      fc.property(anyStart, (start) => {
        const { contextTokens, streams, fullCells } = llamacppCells(start);
        expect(contextTokens).toBeGreaterThanOrEqual(start.contextTokens);
        expect(contextTokens - start.contextTokens).toBeLessThan(256 * (1 + streams));
        expect([contextTokens, fullCells % 256]).toEqual([streams * fullCells, 0]);
      }),
    );
  });

  test('a sliding layer has no more cells than a full one, and room for the windows', () => {
    fc.assert(
      fc.property(anyStart, (start) => {
        const { full, sliding } = ofWindow(GPT_OSS, started(start));
        expect(sliding.cells).toBeLessThanOrEqual(full.cells);
        const windows = 128 * (start.unified ? start.sequences : 1);
        expect(sliding.cells).toBeGreaterThanOrEqual(Math.min(full.cells, windows));
      }),
    );
  });

  test.each([GPT_OSS, HYBRID])('what is live fits into what is allocated: $id', (spec) => {
    fc.assert(
      fc.property(anyStart, fc.double({ min: 0, max: 1, noNaN: true }), (changes, part) => {
        const start = started(changes);
        const { contextTokens, bytes } = llamacppAllocation(spec, start);
        const tokens = Math.floor(part * contextTokens);
        expect(llamacppLiveBytes(spec, F16, tokens, start.sequences)).toBeLessThanOrEqual(bytes);
      }),
    );
  });
});

describe('a layout of slots', () => {
  const layout: SlotsLayout = {
    model: 'slots',
    spec: GPT_OSS,
    kvBytesPerElement: 2,
    unified: false,
    slots: 4,
    contextTokens: 8192,
  };

  test('apart, all slots are as large as one, each', () => {
    expect(slotBytes(layout)).toBe(210 * MIB);
    expect(allSlotsBytes(layout)).toBe(4 * 210 * MIB);
  });

  test('in a pool they share the cells of full layers', () => {
    expect(allSlotsBytes({ ...layout, unified: true })).toBe((192 + 24) * MIB);
  });

  test('a slot of another context', () => {
    expect(slotBytes(layout, 1024)).toBe(42 * MIB);
  });

  test('a batch that was seen makes room in sliding layers', () => {
    expect(slotBytes({ ...layout, ubatchTokens: 2048 })).toBe((192 + 54) * MIB);
    expect(slotBytes({ ...layout, ubatchTokens: 4096 })).toBe((192 + 24 * (4352 / 1024)) * MIB);
  });

  test('keys and values of types that differ', () => {
    const kvTypes = { keyBytesPerElement: Q8_0, valueBytesPerElement: 18 / 32 };
    const mixed = { ...layout, kvTypes };
    const share = (Q8_0 + 18 / 32) / 4;
    expect(slotBytes(mixed)).toBe(210 * MIB * share);
    expect(liveCellBytes(mixed, 8192)).toBe(195 * MIB * share);
    expect(meanCellBytes(mixed)).toBe(Math.ceil((195 * MIB * share) / 8192));
  });

  test('of an unknown model tells nothing', () => {
    const unknown = { ...layout, spec: null };
    const told = [slotBytes, allSlotsBytes, meanCellBytes].map((of) => of(unknown));
    expect([...told, liveCellBytes(unknown, 10)]).toEqual([null, null, null, null]);
  });
});

describe('Ollama', () => {
  test.each([
    [4096, 512],
    [4097, 1024],
    [32_768, 1024],
    [32_769, 2048],
    [131_072, 2048],
  ])('with %i tokens of context takes batches of %i', (contextTokens, batchTokens) => {
    expect(ollamaBatchTokens(contextTokens)).toBe(batchTokens);
  });

  test.each([
    [4096, 1, 768],
    [4096, 2, 1280],
    [8192, 1, 1280],
    [65_536, 1, 2304],
    [131_072, 4, 2304],
    [512, 1, 512],
  ])(
    'num_ctx %i, %i at a time: %i cells of a sliding layer in each slot',
    (slot, parallel, cells) => {
      const start = started(ollamaContext(slot, parallel));
      expect(ofWindow(GPT_OSS, start)).toMatchObject({
        ...{ streams: parallel, full: { cells: slot }, sliding: { cells } },
      });
    },
  );

  test('predicts with the fewest heads of any layer, and all layers', () => {
    const shape = { keyDim: 64, valueDim: 64, windowTokens: null };
    const groups = [
      { ...shape, layers: 3, kvHeads: 8 },
      { ...shape, layers: 1, kvHeads: 2 },
    ];
    expect(ollamaPredictedKvBytes({ ...GPT_OSS, groups }, 100)).toBe(2 * 4 * 2 * 45 * 100 * 2);
  });
});
