/** The four figures of a step's time, by least squares over what was measured. */
import type { StepTime } from '../../proxy/simulate/engine-model.ts';

export interface StepSample {
  readonly sequences: number;
  readonly prefillTokens: number;
  readonly kvTokens: number;
  readonly ms: number;
}

export function predictedMs(time: StepTime, sample: StepSample): number {
  const { baseMs, perSequenceMs, perPrefillTokenMs, perKvTokenMs } = time;
  const { sequences, prefillTokens, kvTokens } = sample;
  return (
    baseMs + perSequenceMs * sequences + perPrefillTokenMs * prefillTokens + perKvTokenMs * kvTokens
  );
}

/** Least relative errors squared: each sample weighs alike, short or long. */
export function fitStepTime(samples: readonly StepSample[]): StepTime {
  const rows = samples.map(({ sequences, prefillTokens, kvTokens, ms }) =>
    [1, sequences, prefillTokens, kvTokens].map((value) => value / ms),
  );
  const sum = (value: (row: readonly number[]) => number) =>
    rows.reduce((total, row) => total + value(row), 0);
  const normal = [0, 1, 2, 3].map((i) => [
    ...[0, 1, 2, 3].map((j) => sum((row) => (row[i] ?? 0) * (row[j] ?? 0))),
    sum((row) => row[i] ?? 0),
  ]);
  const [baseMs = 0, perSequenceMs = 0, perPrefillTokenMs = 0, perKvTokenMs = 0] = solve(normal);
  return { baseMs, perSequenceMs, perPrefillTokenMs, perKvTokenMs };
}

/** Gauss-Jordan; the last column is the right side. */
function solve(matrix: readonly (readonly number[])[]): readonly number[] {
  const rows = matrix.map((row) => [...row]);
  for (const index of rows.keys()) {
    const rest = rows.slice(index);
    const pivot = rest.reduce((best, row) =>
      Math.abs(row[index] ?? 0) > Math.abs(best[index] ?? 0) ? row : best,
    );
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(index, 0, pivot);
    const lead = pivot[index] ?? 0;
    if (lead === 0) throw new RangeError('the samples do not tell the figures apart');
    for (const [column, value] of pivot.entries()) pivot[column] = value / lead;
    for (const row of rows) {
      const factor = row[index] ?? 0;
      if (row === pivot || factor === 0) continue;
      for (const [column, value] of pivot.entries()) {
        row[column] = (row[column] ?? 0) - factor * value;
      }
    }
  }
  return rows.map((row) => row.at(-1) ?? 0);
}
