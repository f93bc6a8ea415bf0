/** A trace of requests: when each came, how long its prompt was and how long its output became. */

/** One request of a trace. Times are milliseconds on a clock of the trace's own. */
export interface TraceRow {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** Column by column: a million rows are 16 MB. The first row is at 0, none is before it. */
export interface Trace {
  readonly rows: number;
  readonly atMs: Float64Array;
  readonly promptTokens: Uint32Array;
  readonly outputTokens: Uint32Array;
}

/** A trace that can't be read; the message names the line and the field. */
export class TraceError extends Error {}

/** What one field of a row may be at most: no request of any model is longer. */
const MOST_TOKENS = 100_000_000;

/**
 * Tokens of a field; an output or a prompt of none counts as one token, since
 * an engine runs a step for it all the same.
 * @throws TraceError where it is no count
 */
export function tokensOf(value: unknown, field: string, line: number): number {
  const count = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > MOST_TOKENS) {
    const shown = JSON.stringify(value ?? null).slice(0, 60);
    const wanted = `a whole number from 0 to ${MOST_TOKENS.toLocaleString('en')}`;
    throw new TraceError(`line ${line}: ${field} is ${shown}, and must be ${wanted}`);
  }
  return Math.max(1, count);
}

/** Sorted by time: a log is not always written in the order of arrival. */
export function traceOf(rows: readonly TraceRow[]): Trace {
  const sorted = rows.every((row, index) => index === 0 || (rows[index - 1]?.atMs ?? 0) <= row.atMs)
    ? rows
    : [...rows].sort((a, b) => a.atMs - b.atMs);
  const startMs = sorted[0]?.atMs ?? 0;
  return {
    rows: sorted.length,
    atMs: Float64Array.from(sorted, (row) => row.atMs - startMs),
    promptTokens: Uint32Array.from(sorted, (row) => row.promptTokens),
    outputTokens: Uint32Array.from(sorted, (row) => row.outputTokens),
  };
}
