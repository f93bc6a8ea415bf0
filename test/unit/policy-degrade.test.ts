/** What each level does to a request, and to the number of those in flight. */
import { describe, expect, test } from '@jest/globals';
import { concurrencyCap, degrade } from '../../proxy/policy/degrade.ts';
import { LEVELS } from '../../proxy/policy/pressure.ts';
import type { Level, PolicyConfig, RequestShape, Sampling } from '../../proxy/policy/types.ts';
import { requestShape } from '../support/decision.ts';

const SEED = { degrade: 'seed', minOutputTokens: 256 } as const;

function at(level: Level, shape: Partial<RequestShape>, mode: PolicyConfig['degrade'] = 'seed') {
  return degrade(requestShape(shape), level, { ...SEED, degrade: mode }, false);
}

describe('output tokens', () => {
  test.each<[Level, number | null, number | null]>([
    ['low', 10_000, 10_000],
    ['medium', 10_000, 9_000],
    ['high', 10_000, 7_000],
    ['critical', 10_000, 5_000],
    ['emergency', 10_000, 3_000],
    ['medium', 1_001, 900],
    // By whole percent: in floating point 0.7 x 650 is 454.99999999999994.
    ['high', 650, 455],
    // The floor is the least useful output, or what was asked for.
    ['emergency', 853, 256],
    ['emergency', 300, 256],
    ['emergency', 256, 256],
    ['emergency', 100, 100],
    ['emergency', 0, 0],
    ['emergency', null, null],
  ])('%s grants of %s: %s', (level, asked, granted) => {
    expect(at(level, { requestedOutputTokens: asked }).outputTokens).toBe(granted);
  });
});

describe('sampling', () => {
  test.each<[Level, number | null, number | null, Sampling]>([
    ['low', 2, 1, {}],
    // A request that names none has the engine's default, taken as 1.
    ['medium', null, null, { topP: 0.9 }],
    ['medium', 2, 0.95, { topP: 0.9 }],
    ['medium', 2, 0.9, {}],
    ['medium', 2, 0.1, {}],
    ['high', null, null, { temperature: 0.5 }],
    ['high', 0.7, 1, { temperature: 0.5 }],
    ['high', 0.5, 1, {}],
    ['high', 0, 1, {}],
    ['critical', null, null, { temperature: 0 }],
    ['critical', 0.1, null, { temperature: 0 }],
    ['critical', 0, null, {}],
    ['emergency', null, null, { temperature: 0 }],
  ])('%s with temperature %s and top_p %s', (level, temperature, topP, sampling) => {
    expect(at(level, { temperature, topP }).sampling).toEqual(sampling);
  });
});

test.each(LEVELS)('memory-only changes no sampling at %s', (level) => {
  const seed = at(level, { requestedOutputTokens: 4_000 });
  const memoryOnly = at(level, { requestedOutputTokens: 4_000 }, 'memory-only');
  expect(memoryOnly).toEqual({ outputTokens: seed.outputTokens, sampling: {} });
});

test.each(LEVELS)('off and never change nothing at %s', (level) => {
  const shape = { requestedOutputTokens: 4_000, temperature: 2, topP: 1 };
  const untouched = { outputTokens: 4_000, sampling: {} };
  expect(at(level, shape, 'off')).toEqual(untouched);
  expect(degrade(requestShape(shape), level, SEED, true)).toEqual(untouched);
});

describe('sequences in flight', () => {
  test.each<[Level, number | null, number | null, number | null]>([
    // level, --max-concurrency, usual, cap
    ['low', null, 8, null],
    ['low', 16, 8, 16],
    ['medium', null, 8, 8],
    ['high', null, 8, 4],
    ['high', null, 7, 3],
    ['critical', null, 8, 2],
    ['critical', null, 3, 1],
    ['high', null, 1, 1],
    ['emergency', null, 8, 1],
    ['medium', 16, 8, 16],
    ['high', 16, 8, 8],
    ['critical', 16, 8, 4],
    ['emergency', 16, 8, 1],
    // Nothing known of the usual number: only an emergency limits.
    ['medium', null, null, null],
    ['critical', null, null, null],
    ['emergency', null, null, 1],
  ])('%s, at most %s, usually %s: %s', (level, maxConcurrency, usual, cap) => {
    expect(concurrencyCap(level, maxConcurrency, usual, 'seed')).toBe(cap);
    expect(concurrencyCap(level, maxConcurrency, usual, 'memory-only')).toBe(cap);
  });

  test.each(LEVELS)('off leaves what the operator set at %s', (level) => {
    expect(concurrencyCap(level, null, 8, 'off')).toBeNull();
    expect(concurrencyCap(level, 16, 8, 'off')).toBe(16);
  });
});
