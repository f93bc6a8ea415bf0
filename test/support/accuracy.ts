/** Rows of the accuracy table, each asserted where it is measured. */
import { appendFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/** Set by the accuracy reporter; without one a row is asserted and not printed. */
const ROWS_FILE = 'KVGATE_ACCURACY_ROWS';

export interface AccuracyRow {
  /** What is estimated. */
  readonly part: string;
  readonly bar: string;
  /** What was measured, in words. */
  readonly seen: string;
  /** What it was compared with. */
  readonly against: string;
  readonly holds: boolean;
}

/** Hands the row to whoever prints the table, and fails the test where the bar is not met. */
export function expectAccuracy(row: AccuracyRow): void {
  const path = process.env[ROWS_FILE];
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(row)}\n`);
  expect(row).toMatchObject({ holds: true });
}
