/** What `kvgate train` learned, as a table. */
import type { LengthSummary } from './state/lengths/length-forecasts.ts';
import type { FoundInLogs } from './train-log.ts';

/** Answers that ended by themselves and had a forecast, and how many were within its q95. */
export interface Checked {
  readonly answers: number;
  readonly covered: number;
}

export interface Trained {
  readonly folder: string;
  readonly found: FoundInLogs;
  /** By kind of request: see length-key.ts. */
  readonly checked: ReadonlyMap<string, Checked>;
  readonly summaries: readonly LengthSummary[];
}

const HEAD = ['model', 'route', 'effort', 'tools', 'samples', 'q50', 'q95', 'q99', 'covered'];
const NO_MODEL = '(none named)';
const MAX_CELL_CHARS = 48;

export function trainReport({ folder, found, checked, summaries }: Trained): string {
  const rows = summaries.map(({ kind, samples, q50Tokens, q95Tokens, q99Tokens }) => {
    const [model, route, effort, tools] = kind;
    const isEverything = kind.length === 0;
    const named = isEverything
      ? ['everything', '', '', '']
      : [model ?? NO_MODEL, route, effort ?? '-', tools ? 'yes' : 'no'];
    const check = isEverything ? sumOf(checked) : checked.get(JSON.stringify(kind));
    return [...named, samples, q50Tokens, q95Tokens, q99Tokens, coveredText(check)].map(cellText);
  });
  const { answers, badLines, firstBad } = found;
  const all = sumOf(checked);
  return [
    `${answers} answers learned from${badLines === 0 ? '' : `; ${badLines} bad lines left out, ${firstBad}`}`,
    ...(rows.length === 0
      ? ['Too few for a forecast of any kind.']
      : ['', ...aligned([HEAD, ...rows]), '']),
    `Of the second half, the 95 % forecast covered ${coveredText(all)} of ${all.answers} answers that ended by themselves.`,
    `Written to ${folder}.`,
  ].join('\n');
}

function sumOf(checked: Trained['checked']): Checked {
  let [answers, covered] = [0, 0];
  for (const check of checked.values()) {
    answers += check.answers;
    covered += check.covered;
  }
  return { answers, covered };
}

function coveredText(check: Checked | undefined): string {
  if (check === undefined || check.answers === 0) return '-';
  return `${((100 * check.covered) / check.answers).toFixed(1)} %`;
}

/** Names come out of a file, and go to a terminal. */
function cellText(value: unknown): string {
  const text = String(value).replace(/[^\x20-\x7e]/g, '?');
  return text.length <= MAX_CELL_CHARS ? text : `${text.slice(0, MAX_CELL_CHARS - 1)}~`;
}

function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < 4 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}
