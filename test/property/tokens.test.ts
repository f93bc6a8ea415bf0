/** What must hold of token counts and bounds for every text. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_harmony';
import {
  boundsFromBytes,
  boundsFromCounts,
  calibrated,
  type TokenBounds,
  type TokenRange,
} from '../../proxy/memory/token-bounds.ts';
import { o200k } from '../../proxy/tokens/o200k.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { TEXT_KINDS } from '../support/text-kinds.ts';

const NEVER = Number.POSITIVE_INFINITY;
const NO_FRAMING = { baseTokens: 0, perMessageTokens: 0 };
/** A long text is cut into so many: to make each of them for itself would take a minute. */
const CUTS = 100;

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({
    unit: fc.constantFrom(' ', '\n', '\t', 'a', 'é', '中', '。', '1', '<|end|>'),
    maxLength: 60,
  }),
  fc
    .tuple(fc.constantFrom(...TEXT_KINDS), fc.nat(5_900), fc.integer({ min: 1, max: 100 }))
    .map(([{ text }, from, length]) => text.slice(from, from + length)),
);

describe('100,000 texts', () => {
  const worker = new Worker(new URL('../support/count-texts.mjs', import.meta.url));
  afterAll(() => worker.terminate());

  async function counted(texts: readonly string[]): Promise<readonly number[]> {
    const answer = once(worker, 'message');
    worker.postMessage(texts);
    const [counts] = await answer;
    return counts;
  }

  test('are within the bounds of their bytes', async () => {
    const longText = fc
      .tuple(fc.array(anyText, { minLength: 30, maxLength: 60 }), fc.integer({ min: 1, max: 31 }))
      .map(([texts, step]) => cutsOf(texts.join(''), step));
    let texts = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(longText, { minLength: 10, maxLength: 10 }), async (batches) => {
        const batch = batches.flat();
        texts += batch.length;
        const counts = await counted(batch);
        const outside = batch.filter((text, index) => !isWithinBounds(text, counts[index]));
        expect(outside).toEqual([]);
      }),
      { numRuns: 100 },
    );
    expectAccuracy({
      part: 'prompt tokens, bounds by bytes',
      bar: '0 violations',
      seen: `0 of ${texts.toLocaleString('en')}`,
      against: 'o200k_harmony on texts of every kind',
      holds: texts >= 100_000,
    });
  });
});

function cutsOf(whole: string, step: number): readonly string[] {
  return Array.from({ length: CUTS }, (_, cut) => {
    const from = (cut * 37) % Math.max(1, whole.length);
    return whole.slice(from, from + 1 + ((cut * step) % 64));
  });
}

function isWithinBounds(text: string, exact = Number.NaN): boolean {
  const prompt = { textBytes: Buffer.byteLength(text), otherBytes: 0, messages: 0 };
  const { lo, hi } = boundsFromBytes({ ...prompt, framing: NO_FRAMING });
  // No prompt is empty; a text in it may be.
  return exact <= hi && (exact >= lo || exact === 0);
}

test('a text with long runs is counted between bounds that hold', () => {
  const run = fc
    .tuple(
      fc.constantFrom(' ', '\n', 'a', 'A', '中', '.', '😀', 'é'),
      fc.integer({ min: 1, max: 2_500 }),
    )
    .map(([unit, times]) => unit.repeat(times));
  fc.assert(
    fc.property(fc.array(fc.oneof(anyText, run), { maxLength: 6 }), (pieces) => {
      const text = pieces.join('');
      const { lo, expected, hi } = o200k.count(text, NEVER);
      const exact = countTokens(text, { disallowedSpecial: new Set() });
      expect([lo <= exact, exact <= hi, lo <= expected, expected <= hi]).toEqual([
        true,
        true,
        true,
        true,
      ]);
    }),
    { numRuns: 40 },
  );
});

const ranges: fc.Arbitrary<TokenRange> = fc
  .tuple(fc.nat(5_000), fc.nat(5_000), fc.nat(5_000))
  .map((numbers) => {
    const [lo = 0, expected = 0, hi = 0] = numbers.toSorted((a, b) => a - b);
    return { lo, expected, hi };
  });
const bounds = ranges.map((range): TokenBounds => ({ ...range, source: 'bytes' }));

test('calibration moves what is expected, and never out of the bounds', () => {
  fc.assert(
    fc.property(bounds, fc.double({ min: 0.01, max: 100, noNaN: true }), (given, ratio) => {
      const { lo, expected, hi, source } = calibrated(given, ratio);
      expect([lo, hi, source]).toEqual([given.lo, given.hi, 'bytes']);
      expect(lo <= expected && expected <= hi).toBe(true);
    }),
  );
});

test('counts only ever narrow the proven bounds, and hold every way of printing', () => {
  fc.assert(
    fc.property(
      bounds,
      fc.array(ranges, { maxLength: 4 }),
      fc.nat(5_000),
      (given, counts, exact) => {
        const narrowed = boundsFromCounts(given, counts);
        const isPossible =
          given.lo <= exact &&
          exact <= given.hi &&
          counts.some(({ lo, hi }) => lo <= exact && exact <= hi);
        if (narrowed === null) {
          expect(isPossible).toBe(false);
          return;
        }
        expect(narrowed.lo).toBeGreaterThanOrEqual(given.lo);
        expect(narrowed.hi).toBeLessThanOrEqual(given.hi);
        expect(narrowed.lo <= narrowed.expected && narrowed.expected <= narrowed.hi).toBe(true);
        if (isPossible) expect(narrowed.lo <= exact && exact <= narrowed.hi).toBe(true);
      },
    ),
  );
});
