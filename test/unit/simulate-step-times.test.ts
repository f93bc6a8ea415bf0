import { describe, expect, test } from '@jest/globals';
import { derivedStepTime, gpuOfSize } from '../../proxy/simulate/step-times.ts';
import { fitStepTime, predictedMs } from '../support/fit-step-time.ts';

const GB = 1e9;

describe('a step on a GPU', () => {
  test.each([
    ['gpt-oss-20b', 16, 'RTX 4080', 45, 57_000, 20, 30],
    ['gpt-oss-20b', 24, 'RTX 4090', 45, 57_000, 13, 22],
    ['gpt-oss-120b', 80, 'H100 SXM', 180, 220_000, 25, 40],
  ] as const)(
    '%s on %i GB (%s): %i sequences with %i tokens of KV take %i to %i ms',
    (model, gb, name, sequences, kvTokens, atLeastMs, atMostMs) => {
      expect(gpuOfSize(gb * GB).name).toBe(name);
      const time = derivedStepTime(model, gb * GB, 1);
      const ms = predictedMs(time, { sequences, kvTokens, prefillTokens: 0, ms: 0 });
      expect(ms).toBeGreaterThan(atLeastMs);
      expect(ms).toBeLessThan(atMostMs);
    },
  );

  test('four GPUs read four times as fast, and launch a step no faster', () => {
    const [one, four] = [1, 4].map((gpus) => derivedStepTime('gpt-oss-120b', 80 * GB, gpus));
    expect((one?.baseMs ?? 0) - 1).toBeCloseTo(4 * ((four?.baseMs ?? 0) - 1));
    expect(one?.perPrefillTokenMs).toBeCloseTo(4 * (four?.perPrefillTokenMs ?? 0));
  });
});

test('the fit finds the figures that samples were made from', () => {
  const time = { baseMs: 3, perSequenceMs: 0.5, perPrefillTokenMs: 0.02, perKvTokenMs: 0.001 };
  const samples = [1, 2, 5, 8].flatMap((sequences) =>
    [0, 10, 700].flatMap((prefillTokens) =>
      [100, 4_000].map((kvTokens) => {
        const sample = { sequences, prefillTokens, kvTokens, ms: 0 };
        return { ...sample, ms: predictedMs(time, sample) };
      }),
    ),
  );
  const fitted = fitStepTime(samples);
  expect(fitted.baseMs).toBeCloseTo(3, 6);
  expect(fitted.perSequenceMs).toBeCloseTo(0.5, 6);
  expect(fitted.perPrefillTokenMs).toBeCloseTo(0.02, 8);
  expect(fitted.perKvTokenMs).toBeCloseTo(0.001, 8);
});
