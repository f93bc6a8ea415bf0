/** Noise is no trend, and a ramp in noise is one. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { risingTrend } from '../../proxy/policy/forecast.ts';

const COUNT = 12;
/** Jitter of each sample, none of it more than one hundredth. */
const noise = fc.array(fc.double({ min: -0.01, max: 0.01, noNaN: true }), {
  minLength: COUNT,
  maxLength: COUNT,
});
const withSlope = (jitter: readonly number[], perSample: number) =>
  risingTrend(
    jitter.map((value, index) => ({
      atMs: 500 * index,
      pressure: 0.8 + perSample * index + value,
    })),
    500 * (COUNT - 1),
  );

test('a ramp that outgrows its noise is seen, with a slope near the true one', () => {
  fc.assert(
    fc.property(noise, fc.double({ min: 0.021, max: 0.2, noNaN: true }), (jitter, perSample) => {
      const trend = withSlope(jitter, perSample);
      expect(trend).not.toBeNull();
      expect(Math.abs((trend?.perMs ?? 0) * 500 - perSample)).toBeLessThan(0.02);
    }),
    { numRuns: 200 },
  );
});

test('of a trend and its mirror image at most one rises', () => {
  fc.assert(
    fc.property(noise, fc.double({ min: -0.1, max: 0.1, noNaN: true }), (jitter, perSample) => {
      const mirrored = jitter.map((value) => -value);
      expect([withSlope(jitter, perSample), withSlope(mirrored, -perSample)]).toContain(null);
    }),
    { numRuns: 200 },
  );
});
