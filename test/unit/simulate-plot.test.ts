/** The course of a run: points merge beyond their bound, and the plot escapes what it shows. */
import { expect, test } from '@jest/globals';
import { memoryPlot } from '../../proxy/simulate/memory-plot.ts';
import { Quantiles } from '../../proxy/simulate/quantiles.ts';
import { Series } from '../../proxy/simulate/series.ts';

test('a course of any length is told in few points, and no count is lost', () => {
  const series = new Series();
  for (let second = 0; second < 5_000; second += 1) {
    series.count(second * 1_000, 'admitted');
    series.sample(second * 1_000, second === 3_000 ? 0.9 : 0.1, second % 7, 'low');
  }
  const points = series.points();
  expect(points.length).toBeLessThanOrEqual(800);
  expect(points.length * series.pointMs).toBeGreaterThanOrEqual(5_000_000);
  expect(points.reduce((sum, { admitted }) => sum + admitted, 0)).toBe(5_000);
  expect(Math.max(...points.map(({ peakShare }) => peakShare))).toBe(0.9);
  expect(Math.max(...points.map(({ waiting }) => waiting))).toBe(6);
});

test('the plot names its axes with units, shows levels, and holds no markup of a title', () => {
  const series = new Series();
  series.sample(0, 0.5, 3, 'low');
  series.sample(600, 0.95, 3, 'emergency');
  const thresholds = { medium: 0.7, high: 0.8, critical: 0.85, emergency: 0.9 };
  const title = 'a < b & "c"';
  const svg = memoryPlot({ title, pointMs: 500, points: series.points(), thresholds });
  expect(svg).toContain('<title>a &lt; b &amp; &quot;c&quot;</title>');
  for (const words of ['(% of capacity)', 'requests / s', 'virtual time (min)', 'from 70 %']) {
    expect(svg).toContain(words);
  }
  expect(svg).toContain('prefers-color-scheme: dark');
  expect(svg).toMatch(/<rect x="[\d.]+" width="[\d.]+"[^>]*fill="var\(--emergency\)"/);
  expect(svg).not.toMatch(/NaN|Infinity|undefined/);
  expect(memoryPlot({ title, pointMs: 500, points: [], thresholds })).not.toMatch(/NaN|Infinity/);
});

test('quantiles are of the samples, and of none there are none', () => {
  const quantiles = new Quantiles();
  expect(quantiles.at(0.5)).toBeNull();
  for (let sample = 5_000; sample > 0; sample -= 1) quantiles.add(sample);
  expect([quantiles.at(0.5), quantiles.at(0.95), quantiles.at(1)]).toEqual([2_500, 4_750, 5_000]);
});
