/** What is left between measured and modelled units, and when it is too much. */
import { expect, test } from '@jest/globals';
import { type Observation, ratioOf } from '../../proxy/memory/calibration/observation.ts';
import { isOutOfBounds, residualOf } from '../../proxy/memory/calibration/residual.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';

/** Cells are tokens, so a sample's modelled units are its tokens. */
const SLOTS: SlotsLayout = {
  model: 'slots',
  spec: null,
  kvBytesPerElement: 2,
  unified: true,
  slots: 4,
  contextTokens: 100_000,
};

function sample(measured: number, lo = 1000, hi = lo): Observation {
  return {
    kind: 'held_units',
    measured: { lo: measured, hi: measured },
    sequences: [{ tokens: { lo, hi }, sharedTokens: null }],
  };
}

const times = (count: number, measured: number) =>
  Array.from({ length: count }, () => ratioOf(SLOTS, sample(measured)) ?? Number.NaN);

test.each([
  [1000, 1000, 1000, 1],
  [1040, 1000, 1050, 1],
  [1100, 900, 1000, 1.1],
  [950, 1000, 1200, 0.95],
])('%i measured where %i to %i are modelled are %f times as much', (measured, lo, hi, ratio) => {
  expect(ratioOf(SLOTS, sample(measured, lo, hi))).toBeCloseTo(ratio, 12);
});

test('few samples correct nothing', () => {
  expect(residualOf(times(7, 1050))).toEqual({
    slope: 1,
    rawSlope: null,
  });
});

test.each([
  [1050, 1.05],
  [1000, 1],
  [960, 0.96],
  [1500, 1.1],
  [500, 0.95],
])('%i cells of 1,000 are corrected by %f', (measured, slope) => {
  expect(residualOf(times(9, measured)).slope).toBeCloseTo(slope, 12);
});

test('samples that are far off are outvoted', () => {
  const { slope } = residualOf([...times(9, 1020), ...times(8, 9000)]);
  expect(slope).toBeCloseTo(1.02, 12);
});

test.each([
  [1.09, false, false],
  [1.09, true, true],
  [1.06, true, false],
  [1.11, false, true],
  [0.96, false, false],
  [0.96, true, true],
  [0.98, true, false],
  [0.94, false, true],
  [null, false, false],
  [null, true, true],
])('a slope of %p, alarmed before: %p, alarms: %p', (rawSlope, before, alarms) => {
  expect(isOutOfBounds({ slope: 1, rawSlope }, before)).toBe(alarms);
});
