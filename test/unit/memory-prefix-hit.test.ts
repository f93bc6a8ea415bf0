/** What a cached prefix saves: see test/property/vllm-blocks.test.ts for the bound it keeps. */
import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { prefixHit } from '../../proxy/memory/engines/prefix-hit.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';

const base = findModel('gpt-oss-20b');
if (base === null) throw new Error('the catalog is empty');

const GPT_OSS: PagedLayout = {
  model: 'paged',
  spec: base,
  kvBytesPerElement: 2,
  blockTokens: 16,
  contextTokens: 131_072,
  inFlightTokens: 2048,
  tensorParallel: 1,
  drafting: null,
};

describe('gpt-oss on vLLM', () => {
  test.each([
    // 6 whole blocks of 16; the window of 128 reaches behind all of them.
    ['a short prefix', 200, 100, { tokens: 96, cachedBlocks: 12, sharedBlocks: 6 }],
    // 512 blocks of the full group, and of the sliding one the last 8.
    ['a long prefix', 9000, 8200, { tokens: 8192, cachedBlocks: 520, sharedBlocks: 512 }],
    // The last token is computed in any case.
    ['the whole prompt', 160, 160, { tokens: 144, cachedBlocks: 17, sharedBlocks: 9 }],
    ['less than a block', 200, 15, { tokens: 0, cachedBlocks: 0, sharedBlocks: 0 }],
    ['nothing', 200, 0, { tokens: 0, cachedBlocks: 0, sharedBlocks: 0 }],
  ])('%s', (_, promptTokens, prefixTokens, hit) => {
    expect(prefixHit(GPT_OSS, promptTokens, prefixTokens)).toMatchObject(hit);
  });

  test('in prefill blocks of the window are shared too, where they are not replaced anyway', () => {
    // 563 blocks would be 137 of the sliding group, and the 51 after the hit are 51.
    expect(prefixHit(GPT_OSS, 9000, 8192).sharedInPrefillBlocks).toBe(512 + (137 - 51));
    // What follows the hit takes all that the group may have: nothing is saved there.
    expect(prefixHit(GPT_OSS, 9000, 1600).sharedInPrefillBlocks).toBe(100);
  });

  test('with the hybrid manager off a layer is like another: one group, every block', () => {
    const off: PagedLayout = { ...GPT_OSS, hybridManager: false };
    expect(prefixHit(off, 9000, 8200)).toEqual({
      tokens: 8192,
      cachedBlocks: 512,
      sharedBlocks: 512,
      sharedInPrefillBlocks: 512,
    });
  });

  test('a draft computes the last block of a hit again', () => {
    const drafting = { lookaheadTokens: 3, layers: 0 };
    expect(prefixHit({ ...GPT_OSS, drafting }, 200, 100).tokens).toBe(80);
  });
});

test('groups whose blocks differ in tokens agree on whole blocks of all of them', () => {
  const spec = {
    ...base,
    groups: [
      { layers: 10, kvHeads: 4, keyDim: 512, valueDim: 512, windowTokens: null },
      { layers: 50, kvHeads: 8, keyDim: 128, valueDim: 128, windowTokens: 1024 },
    ],
  };
  // Sliding pages are half as large: their blocks have 32 tokens.
  expect(prefixHit({ ...GPT_OSS, spec }, 1000, 500)).toMatchObject({
    tokens: 480,
    sharedBlocks: 30,
    cachedBlocks: 30 + 5 * 15,
  });
});

test('a chunk is cached from its beginning on, and a state is copied on', () => {
  const chunked = { layers: 6, kvHeads: 8, keyDim: 64, valueDim: 64, windowTokens: 64 };
  const spec = {
    ...base,
    groups: [
      { ...chunked, chunked: true as const },
      { ...chunked, windowTokens: null },
    ],
    states: [{ layers: 6, convChannels: 8, convKernel: 4, recurrentElements: 8 }],
  };
  // 160 tokens: 10 blocks, 2 since the chunk began at 128, and the state at its end.
  expect(prefixHit({ ...GPT_OSS, spec }, 1000, 160)).toMatchObject({
    cachedBlocks: 10 + 2 + 1,
    sharedBlocks: 10,
  });
});

test('a pool whose blocks serve all layers shares whole blocks, and an unknown model one group', () => {
  const pool = { blocks: null, slidingShare: 0.8, slidingSlackTokens: 128, outputChunkTokens: 1 };
  const shared = { tokens: 500, cachedBlocks: 500, sharedBlocks: 500, sharedInPrefillBlocks: 500 };
  expect(prefixHit({ ...GPT_OSS, blockTokens: 1, tokenPool: pool }, 1000, 500)).toEqual(shared);
  expect(prefixHit({ ...GPT_OSS, spec: null }, 1000, 500)).toMatchObject({ sharedBlocks: 31 });
});
