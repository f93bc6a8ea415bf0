/** How long outputs are, told from whole ones and from ones that were cut. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  bySampleLength,
  type LengthSample,
  lengthAt,
  lengthCurve,
  MAX_LENGTH_TOKENS,
  shareForNext,
  shareLonger,
} from '../../proxy/policy/length-curve.ts';

const curveOf = (samples: readonly LengthSample[]) =>
  lengthCurve([...samples].sort(bySampleLength));

/** 1 to 100, each once, all ended by themselves. */
const HUNDRED = curveOf(Array.from({ length: 100 }, (_, index) => index + 1));

test('without cuts it is the plain share of the sample', () => {
  expect([0, 1, 50, 99, 100, 101].map((tokens) => shareLonger(HUNDRED, tokens))).toEqual(
    [1, 0.99, 0.5, 0.01, 0, 0].map((share) => expect.closeTo(share, 9)),
  );
  expect([0, 0.5, 0.95, 0.99, 1].map((share) => lengthAt(HUNDRED, share))).toEqual([
    1, 50, 95, 99, 100,
  ]);
});

test('a cut output counts as running until its cut', () => {
  // Of 4, one ends at 10; of the 2 that are left after a cut at 10, one ends at 20.
  const curve = curveOf([10, -10, 20, 40]);
  expect(shareLonger(curve, 10)).toBeCloseTo(3 / 4, 12);
  expect(shareLonger(curve, 20)).toBeCloseTo(3 / 8, 12);
  expect(shareLonger(curve, 40)).toBe(0);
  expect([lengthAt(curve, 0.25), lengthAt(curve, 0.6), lengthAt(curve, 0.9)]).toEqual([10, 20, 40]);
});

describe('what the sample can not tell is twice the longest seen', () => {
  test.each<[string, readonly LengthSample[], number, number, number]>([
    ['nothing was seen', [], 0.5, 0, 2],
    ['all were cut', [-100, -100], 0.5, 0, 200],
    ['the longest were cut', [10, 20, -100, -100], 0.95, 0, 200],
    ['more than the sample holds', [10, 20, 30], 1.01, 0, 60],
    ['longer than any before', [10, 20, 30], 0.5, 50, 100],
    ['never beyond what can be', [-MAX_LENGTH_TOKENS], 0.5, 0, MAX_LENGTH_TOKENS],
  ])('%s', (_what, samples, share, generatedTokens, tokens) => {
    expect(lengthAt(curveOf(samples), share, generatedTokens)).toBe(tokens);
  });

  test('so a limit that was set from the curve grows again when it cuts', () => {
    const samples = [...HUNDRED.endsAt, ...HUNDRED.endsAt.map(() => -100)];
    expect(lengthAt(curveOf(samples), 0.95)).toBe(200);
  });
});

describe('of outputs that are longer than what is out', () => {
  test.each([
    [0, 0.5, 50],
    [50, 0.5, 75],
    [90, 0.5, 95],
    [90, 0.95, 100],
    [99, 0.5, 100],
  ])('%d out, share %d: %d', (generatedTokens, share, tokens) => {
    expect(lengthAt(HUNDRED, share, generatedTokens)).toBe(tokens);
  });
});

test('one more draw of the same kind is covered with the wanted share', () => {
  expect(lengthAt(HUNDRED, shareForNext(HUNDRED, 0.95))).toBe(96);
  expect(shareForNext(curveOf([]), 0.95)).toBe(1);
});

test('quantiles rise with their share, and with what is out', () => {
  const sample = fc
    .tuple(fc.integer({ min: 1, max: 5_000 }), fc.boolean())
    .map(([tokens, isCut]) => (isCut ? -tokens : tokens));
  const share = fc.double({ min: 0, max: 1.2, noNaN: true });
  const out = fc.nat({ max: 8_000 });
  fc.assert(
    fc.property(
      fc.array(sample, { maxLength: 60 }),
      fc.tuple(share, share),
      fc.tuple(out, out),
      (samples, shares, generated) => {
        const curve = curveOf(samples);
        const [low, high] = [Math.min(...shares), Math.max(...shares)];
        const [few, many] = [Math.min(...generated), Math.max(...generated)];
        expect(lengthAt(curve, low, few)).toBeLessThanOrEqual(lengthAt(curve, high, few));
        expect(lengthAt(curve, low, few)).toBeLessThanOrEqual(lengthAt(curve, low, many));
        expect(lengthAt(curve, low, few)).toBeGreaterThan(few);
        expect(shareLonger(curve, few)).toBeGreaterThanOrEqual(shareLonger(curve, many));
      },
    ),
  );
});
