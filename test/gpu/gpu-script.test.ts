/** The script for a GPU, tried where there is none: against the simulated server. */
import { expect, test } from '@jest/globals';
import { knownModel } from '../support/known-model.ts';
import { compare } from './compare.ts';
import { gpuReport } from './report.ts';
import { simulatedSubject } from './simulated-subject.ts';
import type { Subject } from './subject.ts';

const spec = knownModel('gpt-oss-20b');

test.each([
  ['eager', [1024, 4096, 8192]],
  ['flash', [1024, 8192, 32_768]],
] as const)(
  '%s: the estimate of the prefill peak is within 5 %, calibrated within 2 %',
  async (attention, sizes) => {
    const { prefill, failed } = await compare(simulatedSubject(attention), spec, sizes, 8);
    expect(failed).toEqual([]);
    expect(prefill.map(({ promptTokens }) => promptTokens)).toEqual(sizes);
    for (const { error, calibratedError } of prefill) {
      expect(Math.abs(error)).toBeLessThan(0.05);
      expect(Math.abs(calibratedError)).toBeLessThan(0.02);
    }
  },
);

test('a wrong estimate shows, also after calibration where it is not wrong by a factor', async () => {
  const twice: Subject = {
    ...simulatedSubject('flash'),
    measure: async (promptTokens, outputTokens) => {
      const prefillPeakBytes = promptTokens ** 2 * 1_000;
      const unknown = { heldBytes: null, decodePeakBytes: null, reservedBytes: null };
      return { promptTokens, outputTokens, prefillPeakBytes, ...unknown };
    },
  };
  const { prefill } = await compare(twice, spec, [1024, 4096], 8);
  for (const { calibratedError } of prefill) expect(Math.abs(calibratedError)).toBeGreaterThan(0.5);
});

test('the page names what failed and what was not told', async () => {
  const subject: Subject = {
    ...simulatedSubject('eager'),
    measure: async (promptTokens) => ({ promptTokens, error: 'CUDA out of memory.' }),
  };
  const comparison = await compare(subject, spec, [1024], 8);
  const page = gpuReport({
    date: '2026-01-01',
    commit: 'abc',
    driver: '1',
    comparisons: [comparison],
    readers: [{ source: 'NVML', gpus: [], error: 'impossible: no library' }],
  });
  expect(page).toContain('- 1024 tokens: CUDA out of memory.');
  expect(page).toContain('Peak of prefill: not told here.');
  expect(page).toContain('- NVML: impossible: no library');
});
