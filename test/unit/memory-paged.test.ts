import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import {
  type LayerGroup,
  type ModelSpec,
  modelSpecFromConfig,
} from '../../proxy/memory/models/model-spec.ts';

const MIB = 2 ** 20;

function layoutOf(spec: ModelSpec | null, changes: Partial<PagedLayout> = {}): PagedLayout {
  return {
    model: 'paged',
    spec,
    kvBytesPerElement: 2,
    blockTokens: 16,
    contextTokens: 131_072,
    inFlightTokens: 2048,
    tensorParallel: 1,
    drafting: null,
    ...changes,
  };
}

/** MiB of the blocks of gpt-oss-20b, as the table of the engine's own arithmetic rounds it. */
const WORKED = [
  { tokens: 1024, steady: 27.4, c2048: 48, c8192: 48, c16384: 48 },
  { tokens: 8192, steady: 195.4, c2048: 243.4, c8192: 384, c16384: 384 },
  { tokens: 32_768, steady: 771.4, c2048: 819.4, c8192: 963.4, c16384: 1155.4 },
  { tokens: 131_072, steady: 3075.4, c2048: 3123.4, c8192: 3267.4, c16384: 3459.4 },
];

describe.each([
  { name: 'gpt-oss-20b', scale: 1 },
  { name: 'gpt-oss-120b', scale: 1.5 },
])('vLLM blocks of $name', ({ name, scale }) => {
  const spec = findModel(name);
  const mib = (blocks: number) => (blocks * (blockBytes(layoutOf(spec)) ?? Number.NaN)) / MIB;
  /** The table has one decimal of a MiB. */
  const near = (blocks: number, tableMib: number) =>
    expect(Math.abs(mib(blocks) - scale * tableMib)).toBeLessThanOrEqual(0.05 * scale);

  test.each(WORKED)('at $tokens tokens', ({ tokens, steady, c2048, c8192, c16384 }) => {
    near(pagedBlocks(layoutOf(spec), tokens), steady);
    near(pagedPrefillBlocks(layoutOf(spec), tokens), c2048);
    near(pagedPrefillBlocks(layoutOf(spec, { inFlightTokens: 8192 }), tokens), c8192);
    near(pagedPrefillBlocks(layoutOf(spec, { inFlightTokens: 16_384 }), tokens), c16384);
  });
});

test.each([
  [1, 393_216],
  [2, 196_608],
  [4, 98_304],
  [8, 49_152],
  [16, 49_152],
])('a block of gpt-oss-20b on %i GPUs has %i bytes on each', (tensorParallel, bytes) => {
  expect(blockBytes(layoutOf(findModel('gpt-oss-20b'), { tensorParallel }))).toBe(bytes);
});

test('a short context bounds what prefill can have in flight', () => {
  const spec = findModel('gpt-oss-20b');
  const layout = layoutOf(spec, { contextTokens: 1024, inFlightTokens: 8192 });
  // 64 blocks in the full group; the sliding one is bounded by 1024 / 16 + 1.
  expect(pagedPrefillBlocks(layout, 1024)).toBe(64 + 64);
});

test('without a spec a request takes the blocks of one group', () => {
  const layout = layoutOf(null);
  expect(blockBytes(layout)).toBeNull();
  expect([0, 1, 16, 17].map((tokens) => pagedBlocks(layout, tokens))).toEqual([0, 1, 1, 2]);
  expect(pagedPrefillBlocks(layout, 17)).toBe(2);
});

test('several sequences: the bound holds for the worst split', () => {
  const layout = layoutOf(null);
  // 17 + 15 tokens take 3 blocks where 16 + 16 take 2.
  expect(pagedBlocks(layout, 32, 2)).toBe(3);
});

describe('grouping of layers', () => {
  const base = findModel('gpt-oss-20b');
  const withGroups = (full: number, sliding: number): ModelSpec => {
    if (base === null) throw new Error('catalog is empty');
    const shape: Omit<LayerGroup, 'layers' | 'windowTokens'> = {
      kvHeads: 16,
      keyDim: 128,
      valueDim: 128,
    };
    const groups = [
      { ...shape, layers: full, windowTokens: null },
      { ...shape, layers: sliding, windowTokens: 1024 },
    ];
    return { ...base, groups };
  };

  test('the rarer kind gives the size: 10 full and 52 sliding layers are 1 and 6 groups', () => {
    const layout = layoutOf(withGroups(10, 52));
    expect(blockBytes(layout)).toBe(10 * 16 * 16 * 256 * 2);
    expect(pagedBlocks(layout, 16)).toBe(1 + 6);
    // ceil((1023 + 1) / 16) + 1 blocks for each sliding group.
    expect(pagedBlocks(layout, 16_000)).toBe(1000 + 6 * 65);
  });

  test('nearly equal kinds are padded to the larger: 20 and 25 layers are 2 groups of 25', () => {
    const layout = layoutOf(withGroups(20, 25));
    expect(blockBytes(layout)).toBe(25 * 16 * 16 * 256 * 2);
    expect(pagedBlocks(layout, 16)).toBe(2);
  });
});

test('with the hybrid manager off every layer holds every token', () => {
  const layout = layoutOf(findModel('gpt-oss-20b'), { hybridManager: false });
  expect(blockBytes(layout)).toBe(24 * 32_768);
  expect(pagedBlocks(layout, 16_000)).toBe(1000);
  expect(pagedPrefillBlocks(layout, 16_000)).toBe(1000);
});

test('where all layers slide alike they are one group, and nothing changes with the manager off', () => {
  const base = findModel('gpt-oss-20b');
  if (base === null) throw new Error('catalog is empty');
  const shape = { kvHeads: 8, keyDim: 128, valueDim: 128, windowTokens: 4096 };
  const layout = layoutOf({ ...base, groups: [{ ...shape, layers: 32 }] });
  expect(blockBytes(layout)).toBe(32 * 16 * 4096);
  expect(pagedBlocks(layout, 100_000)).toBe(257);
  expect(pagedBlocks({ ...layout, hybridManager: false }, 100_000)).toBe(257);
});

test('layers of a chunk hold up to a chunk, and a token of the next', () => {
  const base = findModel('gpt-oss-20b');
  if (base === null) throw new Error('catalog is empty');
  const shape = { kvHeads: 8, keyDim: 128, valueDim: 128 };
  const groups = [
    { ...shape, layers: 12, windowTokens: null },
    { ...shape, layers: 36, windowTokens: 8192, chunked: true as const },
  ];
  const layout = layoutOf({ ...base, groups });
  expect(pagedBlocks(layout, 100_000)).toBe(6250 + 3 * 513);
  expect(pagedPrefillBlocks(layout, 100_000)).toBe(6250 + 3 * ((8192 + 2048) / 16));
  // A chunk of 100 tokens begins inside a block of 16.
  const odd = groups.map((group, index) => (index === 0 ? group : { ...group, windowTokens: 100 }));
  expect(pagedBlocks(layoutOf({ ...base, groups: odd }), 16_000)).toBe(1000 + 3 * (7 + 1));
});

test('latent attention is one head on every GPU: 61 layers of 576 elements', () => {
  const base = findModel('gpt-oss-20b');
  if (base === null) throw new Error('catalog is empty');
  const latent = { layers: 61, kvHeads: 1, keyDim: 576, valueDim: 0, windowTokens: null };
  for (const tensorParallel of [1, 8]) {
    const layout = layoutOf({ ...base, groups: [latent] }, { blockTokens: 64, tensorParallel });
    expect(blockBytes(layout)).toBe(64 * 70_272);
  }
});

describe('published start-up logs of vLLM', () => {
  test('Llama-3.1-8B: 19.28 GiB of KV cache are 157,936 tokens', () => {
    const llama = modelSpecFromConfig(
      {
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        hidden_size: 4096,
        intermediate_size: 14_336,
        vocab_size: 128_256,
        max_position_embeddings: 131_072,
      },
      'config.json',
    );
    const bytes = llama.ok ? blockBytes(layoutOf(llama.spec)) : null;
    expect(Math.floor((19.28 * 2 ** 30) / (bytes ?? Number.NaN)) * 16).toBe(157_936);
  });

  test('gpt-oss-120b: concurrency 6.51 at 98,304 tokens and 7.77 at 81,920', () => {
    const layout = (contextTokens: number) =>
      layoutOf(findModel('gpt-oss-120b'), { contextTokens });
    const ratio =
      pagedPrefillBlocks(layout(98_304), 98_304) / pagedPrefillBlocks(layout(81_920), 81_920);
    // Both figures are printed with two decimals.
    expect(ratio).toBeGreaterThan(7.765 / 6.515);
    expect(ratio).toBeLessThan(7.775 / 6.505);
  });
});

/**
 * vLLM: num_lookahead_tokens in config/vllm.py, allocate_slots in
 * v1/core/kv_cache_manager.py.
 */
describe('speculative decoding', () => {
  const drafting = { lookaheadTokens: 6, layers: 1 };
  const llama = modelSpecFromConfig(
    {
      num_hidden_layers: 32,
      num_attention_heads: 32,
      num_key_value_heads: 8,
      hidden_size: 4096,
      intermediate_size: 14_336,
      vocab_size: 128_256,
      max_position_embeddings: 131_072,
    },
    'config.json',
  );
  const spec = llama.ok ? llama.spec : null;

  test('a sequence keeps slots for its guesses: 12 tokens and 6 are 2 blocks', () => {
    const layout = layoutOf(spec, { drafting });
    const plain = layoutOf(spec);
    for (const [tokens, more, less] of [
      [0, 0, 0],
      [10, 1, 1],
      [11, 2, 1],
      [16, 2, 1],
      [1000, 63, 63],
      [1008, 64, 63],
    ] as const) {
      expect(pagedBlocks(layout, tokens)).toBe(more);
      expect(pagedBlocks(plain, tokens)).toBe(less);
      expect(pagedPrefillBlocks(layout, tokens)).toBe(more);
    }
  });

  test('each of several sequences has its own', () => {
    const layout = layoutOf(spec, { drafting });
    // 4 x 12 tokens, 6 guesses each: 72 in at most floor((72 + 4 x 15) / 16) blocks.
    expect(pagedBlocks(layout, 48, 4)).toBe(8);
  });

  test('no slot lies beyond the context', () => {
    const layout = layoutOf(spec, { drafting, contextTokens: 160 });
    expect(pagedBlocks(layout, 160)).toBe(10);
    expect(pagedBlocks(layout, 156)).toBe(10);
  });

  test('a layer of the draft makes blocks wider, not more of them', () => {
    const layerBytes = 16 * 8 * 256 * 2;
    expect(blockBytes(layoutOf(spec))).toBe(32 * layerBytes);
    expect(blockBytes(layoutOf(spec, { drafting }))).toBe(33 * layerBytes);
  });

  test('gpt-oss-20b: 13 full and 12 sliding layers are 2 groups of 13', () => {
    const gptOss = findModel('gpt-oss-20b');
    const layout = layoutOf(gptOss, { drafting });
    expect(blockBytes(layout)).toBe(13 * 32_768);
    // The window of the sliding group spans 127 + 1 + 6 tokens: 9 blocks and one more.
    expect(pagedBlocks(layout, 16_000)).toBe(1001 + 10);
  });

  test('a draft as deep as the full layers brings a group of its own', () => {
    const gptOss = findModel('gpt-oss-20b');
    const deep = layoutOf(gptOss, { drafting: { lookaheadTokens: 0, layers: 12 } });
    expect(blockBytes(deep)).toBe(12 * 32_768);
    expect(pagedBlocks(deep, 16_000)).toBe(2 * 1000 + 9);
  });
});
