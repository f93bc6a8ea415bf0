/** Hands measured figures of a test to whoever prints them. */
import { appendFileSync } from 'node:fs';

/** Set by the summary reporter; without one the figures go to the console. */
const FIGURES_FILE = 'KVGATE_TEST_FIGURES';

export function reportFigures(text: string): void {
  const path = process.env[FIGURES_FILE];
  if (path === undefined) console.info(text);
  else appendFileSync(path, `${text}\n`);
}

/** The p-th percentile (nearest rank) of at least one value. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** Columns aligned: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return rows.map((row) => `  ${row.map(cell).join('  ')}`).join('\n');
}
