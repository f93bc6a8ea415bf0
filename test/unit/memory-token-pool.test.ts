/** Pools whose blocks serve all layers at once: SGLang's two, TGI's one. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { chargeOf, heldUnits } from '../../proxy/memory/charge.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import { type TokenPool, tokenPoolBytes } from '../../proxy/memory/engines/token-pool.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';

const ONE_POOL: TokenPool = {
  blocks: null,
  slidingShare: null,
  slidingSlackTokens: 0,
  outputChunkTokens: 1,
};

function layout(pool: Partial<TokenPool>, more: Partial<PagedLayout> = {}): PagedLayout {
  return {
    model: 'paged',
    spec: findModel('gpt-oss-20b'),
    kvBytesPerElement: 2,
    blockTokens: 1,
    contextTokens: 131_072,
    inFlightTokens: 8192,
    tensorParallel: 1,
    drafting: null,
    ...more,
    tokenPool: { ...ONE_POOL, ...pool },
  };
}

describe('one pool', () => {
  test('a token takes one place, however many kinds of layers there are', () => {
    expect(pagedBlocks(layout({}), 5000)).toBe(5000);
    expect(pagedPrefillBlocks(layout({}), 5000)).toBe(5000);
    expect(pagedBlocks(layout({}, { blockTokens: 16 }), 33)).toBe(3);
  });

  test('a place has the bytes of every layer: 24 layers of 2,048 for gpt-oss-20b', () => {
    expect(blockBytes(layout({}))).toBe(49_152);
    expect(blockBytes(layout({}, { spec: null }))).toBeNull();
  });
});

describe('a second pool for sliding layers', () => {
  const two = layout({ slidingShare: 0.8, slidingSlackTokens: 128 });

  // Up to 128 - 1 + 128 + 1 tokens and a page are in the second pool; 257 / 0.8 = 322 (321.25).
  test.each([
    [100, 125],
    [200, 250],
    [256, 320],
    [300, 322],
    [322, 322],
    [5000, 5000],
  ])('%i tokens take %i places', (tokens, blocks) => {
    expect(pagedBlocks(two, tokens)).toBe(blocks);
  });

  test('its share of the bytes comes with each place: 44,236.8', () => {
    expect(blockBytes(two)).toBe(44_237);
  });

  test('a window that is not known may be as long as the context', () => {
    expect(pagedBlocks({ ...two, spec: null }, 1000)).toBe(1250);
  });

  test('requests that fit by their places fit both pools', () => {
    const pool = 10_000;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 60 }), (requests) => {
        const charged = requests.reduce((sum, tokens) => sum + pagedBlocks(two, tokens), 0);
        fc.pre(charged <= pool);
        const full = requests.reduce((sum, tokens) => sum + tokens, 0);
        const sliding = requests.reduce((sum, tokens) => sum + Math.min(tokens, 256), 0);
        expect(full).toBeLessThanOrEqual(pool);
        expect(sliding).toBeLessThanOrEqual(0.8 * pool);
      }),
    );
  });
});

describe('bytes of a request in the pools', () => {
  const pool = { ...ONE_POOL, slidingShare: 0.8 };
  const two = layout(pool);

  test('its places are what the pools were sized by, and hold less than that', () => {
    expect(tokenPoolBytes(two, pool, 1000)).toEqual({
      placedBytes: 44_236_800,
      liveBytes: 24_576 * 1128,
      stateBytes: 0,
    });
    expect(tokenPoolBytes({ ...two, tensorParallel: 8 }, pool, 1000)).toMatchObject({
      placedBytes: 44_236_800 / 8,
    });
    expect(tokenPoolBytes({ ...two, spec: null }, pool, 1000)).toBeNull();
  });

  test('where every layer slides there is one pool, whatever the share', () => {
    const { spec } = two;
    if (spec === null) throw new Error('the catalog is empty');
    const groups = spec.groups.filter(({ windowTokens }) => windowTokens !== null);
    const sliding = { ...two, spec: { ...spec, groups } };
    expect(tokenPoolBytes(sliding, pool, 1000)).toMatchObject({ placedBytes: 24_576_000 });
    expect(blockBytes(sliding)).toBe(24_576);
    expect(pagedBlocks(sliding, 1000)).toBe(1000);
  });
});

describe('places taken ahead', () => {
  const ahead = layout({ outputChunkTokens: 1024 });

  test("are the lease's from its first moment on", () => {
    const charge = chargeOf(ahead, 100, 3000, 1, 1);
    expect(charge).toMatchObject({ prefillUnits: 1124, peakUnits: 3100, finalUnits: 3100 });
    expect(heldUnits(ahead, charge, 'decode', 1)).toBe(1124);
    expect(heldUnits(ahead, charge, 'decode', 1023)).toBe(1124);
    expect(heldUnits(ahead, charge, 'decode', 1024)).toBe(2148);
    expect(heldUnits(ahead, charge, 'decode', 3000)).toBe(3100);
  });

  test('are no more than the request may ever generate', () => {
    const charge = chargeOf(ahead, 100, 20, 1, 1);
    expect(charge).toMatchObject({ prefillUnits: 120, peakUnits: 120 });
    expect(heldUnits(ahead, charge, 'decode', 3)).toBe(120);
  });

  test('what a lease holds never falls and never exceeds its peak', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 5000 }),
        fc.nat(5000),
        (prompt, output, generated) => {
          const done = Math.min(generated, output);
          const charge = chargeOf(ahead, prompt, output, 1, 1);
          const held = heldUnits(ahead, charge, 'decode', done);
          expect(held).toBeGreaterThanOrEqual(prompt + done);
          expect(held).toBeLessThanOrEqual(charge.peakUnits);
          expect(
            heldUnits(ahead, charge, 'decode', Math.min(output, done + 1)),
          ).toBeGreaterThanOrEqual(held);
        },
      ),
    );
  });
});
