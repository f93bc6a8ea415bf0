/**
 * A jest reporter: the accuracy table, a row for each bar that a suite asserts
 * (accuracy.ts). Plain JavaScript, as jest loads reporters untransformed.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COLUMNS = ['part', 'bar', 'seen', 'against', 'holds'];

export default class AccuracyReporter {
  #folder = mkdtempSync(join(tmpdir(), 'kvgate-accuracy-'));
  #rowsPath = join(this.#folder, 'rows.ndjson');

  onRunStart() {
    writeFileSync(this.#rowsPath, '');
    process.env.KVGATE_ACCURACY_ROWS = this.#rowsPath;
  }

  onRunComplete() {
    const rows = readFileSync(this.#rowsPath, 'utf8').split('\n').filter(Boolean).map(rowOf);
    rmSync(this.#folder, { recursive: true });
    rows.sort((a, b) => a[0].localeCompare(b[0]));
    const lines = [COLUMNS, COLUMNS.map(() => '---'), ...rows];
    const widths = COLUMNS.map((_, column) =>
      Math.max(...lines.map((line) => line[column].length)),
    );
    const text = lines.map(
      (line) => `| ${line.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`,
    );
    process.stdout.write(`\n${text.join('\n')}\n`);
  }
}

function rowOf(line) {
  const row = JSON.parse(line);
  return COLUMNS.map((column) => (column === 'holds' ? (row.holds ? 'yes' : 'NO') : row[column]));
}
