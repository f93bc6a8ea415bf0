/** Reads a trace line by line; which of the formats it is follows from its first line. */
import { createReadStream } from 'node:fs';
import { azureRows, isAzureHeader } from './azure-csv.ts';
import { isMooncakeLine, mooncakeRow } from './mooncake-jsonl.ts';
import { type Trace, TraceError, type TraceRow, traceOf } from './trace.ts';

/** A row of Mooncake names a block for each 512 tokens of its prompt. */
const MAX_LINE_CHARS = 1024 ** 2;
const MAX_ROWS = 10_000_000;

/**
 * @param most rows that are wanted; the rest of the file is not read
 * @throws TraceError where the file can't be read, or a line of it
 */
export async function readTrace(path: string, most: number = MAX_ROWS): Promise<Trace> {
  const rows: TraceRow[] = [];
  let read: ((line: string, number: number) => TraceRow) | null = null;
  let number = 0;
  for await (const line of linesOf(path)) {
    number += 1;
    if (line === '') continue;
    if (line.length > MAX_LINE_CHARS) throw new TraceError(`line ${number}: is too long`);
    if (read === null && isAzureHeader(line)) {
      read = azureRows(line);
      continue;
    }
    read ??= isMooncakeLine(line) ? mooncakeRow : null;
    if (read === null) {
      const known = 'TIMESTAMP,ContextTokens,GeneratedTokens (Azure) nor an object (Mooncake)';
      throw new TraceError(`line ${number}: is neither the header ${known}`);
    }
    rows.push(read(line, number));
    if (rows.length >= Math.min(most, MAX_ROWS)) break;
  }
  if (rows.length === 0) throw new TraceError('has no requests');
  return traceOf(rows);
}

/** Lines without their ends; one that is too long is cut just beyond the most it may be. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = '';
  try {
    for await (const chunk of createReadStream(path, 'utf8')) {
      const [first = '', ...others] = String(chunk).split('\n');
      rest = bounded(rest + first);
      for (const next of others) {
        yield rest.trim();
        rest = bounded(next);
      }
    }
  } catch (error) {
    if (error instanceof TraceError) throw error;
    throw new TraceError(`can't be read: ${error instanceof Error ? error.message : error}`);
  }
  if (rest !== '') yield rest.trim();
}

function bounded(text: string): string {
  return text.slice(0, MAX_LINE_CHARS + 1);
}
