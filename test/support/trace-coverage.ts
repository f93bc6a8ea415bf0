/**
 * How well output lengths of a trace are forecast: learned on its first half,
 * checked on its second. A trace is CSV with the columns TIMESTAMP,
 * ContextTokens and GeneratedTokens, as of the Azure LLM inference traces
 * (AzurePublicDataset); it is not part of the repository.
 */
import { existsSync, readFileSync } from 'node:fs';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import { LengthForecasts } from '../../proxy/state/lengths/length-forecasts.ts';
import { groupsFrom, snapshotOf } from '../../proxy/state/lengths/length-snapshot.ts';

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
  /** Share of the second half within q95, by what is kept of the first, with nothing learned any more. */
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
  const kept = restored(lengths);
  const frozen = second.map((row) => within(row, kept.forecast(keyOf(row))?.q95Tokens));
  const seen = second.map((row) => learn(lengths, row));
  const covered = seen.map(({ forecast }, index) => within(second[index], forecast?.q95Tokens));
  const sorted = first.map(({ outputTokens }) => outputTokens).sort((a, b) => a - b);
  const plain = sorted[Math.ceil(0.95 * sorted.length) - 1] ?? 0;
  return {
    learnedRows: first.length,
    checkedRows: second.length,
    coverage: shareOf(covered),
    ...extremesOf(covered),
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

/** Of the second half, were so many always answered together, each as fast as the others: short answers end first. */
export function coverageInFlight(
  rows: readonly TraceRow[],
  inFlight: number,
): Pick<TraceCoverage, 'coverage' | 'leastCoverage' | 'mostCoverage'> {
  const lengths = new LengthForecasts();
  const covered: boolean[] = [];
  let running: { row: TraceRow; q95Tokens: number | null; endsAt: number }[] = [];
  let atTokens = 0;
  for (const row of rows) {
    if (running.length >= inFlight) {
      atTokens = Math.min(...running.map(({ endsAt }) => endsAt));
      for (const ended of running.filter(({ endsAt }) => endsAt === atTokens))
        learnFrom(lengths, ended.row, ended.q95Tokens);
      running = running.filter(({ endsAt }) => endsAt > atTokens);
    }
    const q95Tokens = lengths.forecast(keyOf(row))?.q95Tokens ?? null;
    covered.push(within(row, q95Tokens ?? undefined));
    running.push({ row, q95Tokens, endsAt: atTokens + row.outputTokens });
  }
  const second = covered.slice(rows.length / 2);
  return { coverage: shareOf(second), ...extremesOf(second) };
}

/** The lowest and the highest share of true ones of 1,000 in a row. */
function extremesOf(covered: readonly boolean[]) {
  const windows = covered
    .map((_, index) => shareOf(covered.slice(index - IN_A_ROW, index)))
    .slice(IN_A_ROW);
  return { leastCoverage: Math.min(...windows), mostCoverage: Math.max(...windows) };
}

function keyOf({ promptTokens }: TraceRow) {
  const shape = { model: 'traced', reasoningEffort: null, hasTools: false, prompts: 1 };
  return lengthKey(shape, '/v1/chat/completions', promptTokens);
}

/** Forecasts a row, then learns from it; gives the forecast. */
function learn(lengths: LengthForecasts, row: TraceRow) {
  const key = keyOf(row);
  const forecast = lengths.forecast(key);
  learnFrom(lengths, row, forecast?.q95Tokens ?? null);
  return { forecast };
}

function learnFrom(lengths: LengthForecasts, row: TraceRow, forecastQ95Tokens: number | null) {
  const { outputTokens } = row;
  lengths.learn(keyOf(row), { outputTokens, endedBy: 'itself', forecastQ95Tokens });
}

/** As the next process has it. */
function restored(lengths: LengthForecasts): LengthForecasts {
  const next = new LengthForecasts();
  const read = groupsFrom(structuredClone(snapshotOf(lengths.groups)));
  if (!read.ok) throw new Error(read.why);
  for (const [name, group] of read.groups) next.groups.put(name, group);
  return next;
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
