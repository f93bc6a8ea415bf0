/**
 * How well output lengths of a trace are forecast: learned on its first half,
 * checked on its second. A trace is CSV with the columns TIMESTAMP,
 * ContextTokens and GeneratedTokens, as of the Azure LLM inference traces
 * (AzurePublicDataset); it is not part of the repository.
 */
import { existsSync, readFileSync } from 'node:fs';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import { LengthForecasts } from '../../proxy/state/lengths/length-forecasts.ts';

export interface TraceRow {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface TraceCoverage {
  readonly learnedRows: number;
  readonly checkedRows: number;
  /** Share of the second half within q95, while each answer is learned from once it is there. */
  readonly coverage: number;
  /** The lowest and the highest coverage of 1,000 in a row. */
  readonly leastCoverage: number;
  readonly mostCoverage: number;
  /** Share of the second half within q95, with nothing learned after the first. */
  readonly frozenCoverage: number;
  /** Share of the second half within q50 and within q99, learning on. */
  readonly medianCoverage: number;
  readonly q99Coverage: number;
  /** Means over the second half, learning on. */
  readonly meanQ95Tokens: number;
  readonly meanOutputTokens: number;
  /** What one plain q95 of the whole first half would cover, and reserve. */
  readonly plainCoverage: number;
  readonly plainQ95Tokens: number;
}

const IN_A_ROW = 1_000;

/** The file that KVGATE_TRACE names; null where it names none, or one that is not there. */
export function givenTrace(): string | null {
  const path = process.env.KVGATE_TRACE;
  return path !== undefined && existsSync(path) ? path : null;
}

/** @throws Error for a file without these columns, or with a line that has no numbers in them */
export function readTrace(path: string): readonly TraceRow[] {
  const [head = '', ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/);
  const columns = head.split(',');
  const [prompt, output] = ['ContextTokens', 'GeneratedTokens'].map((name) =>
    columns.indexOf(name),
  );
  if (prompt === undefined || output === undefined || prompt < 0 || output < 0) {
    throw new Error(`${path} has no columns ContextTokens and GeneratedTokens`);
  }
  return lines.map((line, index) => {
    const cells = line.split(',');
    const row = { promptTokens: Number(cells[prompt]), outputTokens: Number(cells[output]) };
    if (!Object.values(row).every(Number.isFinite))
      throw new Error(`${path}:${index + 2}: ${line}`);
    return row;
  });
}

export function coverageOn(rows: readonly TraceRow[]): TraceCoverage {
  const half = Math.floor(rows.length / 2);
  const [first, second] = [rows.slice(0, half), rows.slice(half)];
  const lengths = new LengthForecasts();
  for (const row of first) learn(lengths, row);
  const frozen = second.map((row) => row.outputTokens <= q95(lengths, row));
  const seen = second.map((row) => learn(lengths, row));
  const covered = seen.map(({ forecast }, index) => within(second[index], forecast?.q95Tokens));
  const windows = covered
    .map((_, index) => shareOf(covered.slice(index - IN_A_ROW, index)))
    .slice(IN_A_ROW);
  const sorted = first.map(({ outputTokens }) => outputTokens).sort((a, b) => a - b);
  const plain = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? 0;
  return {
    learnedRows: first.length,
    checkedRows: second.length,
    coverage: shareOf(covered),
    leastCoverage: Math.min(...windows),
    mostCoverage: Math.max(...windows),
    frozenCoverage: shareOf(frozen),
    medianCoverage: shareOf(
      seen.map(({ forecast }, index) => within(second[index], forecast?.q50Tokens)),
    ),
    q99Coverage: shareOf(
      seen.map(({ forecast }, index) => within(second[index], forecast?.q99Tokens)),
    ),
    meanQ95Tokens: meanOf(seen.map(({ forecast }) => forecast?.q95Tokens ?? 0)),
    meanOutputTokens: meanOf(second.map(({ outputTokens }) => outputTokens)),
    plainCoverage: shareOf(second.map(({ outputTokens }) => outputTokens <= plain)),
    plainQ95Tokens: plain,
  };
}

function keyOf({ promptTokens }: TraceRow) {
  const shape = { model: 'traced', reasoningEffort: null, hasTools: false, prompts: 1 };
  return lengthKey(shape, '/v1/chat/completions', promptTokens);
}

/** Forecasts a row, then learns from it; gives the forecast. */
function learn(lengths: LengthForecasts, row: TraceRow) {
  const key = keyOf(row);
  const forecast = lengths.forecast(key);
  lengths.learn(key, {
    outputTokens: row.outputTokens,
    endedBy: 'itself',
    forecastQ95Tokens: forecast?.q95Tokens ?? null,
  });
  return { forecast };
}

function q95(lengths: LengthForecasts, row: TraceRow): number {
  return lengths.forecast(keyOf(row))?.q95Tokens ?? 0;
}

function within(row: TraceRow | undefined, limit: number | undefined): boolean {
  return row !== undefined && limit !== undefined && row.outputTokens <= limit;
}

function shareOf(flags: readonly boolean[]): number {
  return flags.filter(Boolean).length / flags.length;
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
