/**
 * The Azure LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, in
 * any order of columns, others ignored (Azure/AzurePublicDataset,
 * AzureLLMInferenceDataset2023.md and 2024.md).
 */
import { TraceError, type TraceRow, tokensOf } from './trace.ts';

const COLUMNS = ['TIMESTAMP', 'ContextTokens', 'GeneratedTokens'] as const;

export function isAzureHeader(line: string): boolean {
  return line.split(',').some((cell) => cell.trim() === COLUMNS[0]);
}

/**
 * Makes the reader of the rows below a header.
 * @throws TraceError where the header lacks a column
 */
export function azureRows(header: string): (line: string, number: number) => TraceRow {
  const names = header.split(',').map((cell) => cell.trim());
  const [time, prompt, output] = COLUMNS.map((name) => {
    const at = names.indexOf(name);
    if (at < 0) throw new TraceError(`line 1: the header has no column ${name}`);
    return at;
  });
  return (line, number) => {
    const cells = line.split(',');
    const cell = (at = 0) => cells[at]?.trim() ?? '';
    return {
      atMs: timeOf(cell(time), number),
      promptTokens: tokensOf(cell(prompt), COLUMNS[1], number),
      outputTokens: tokensOf(cell(output), COLUMNS[2], number),
    };
  };
}

/** `2023-11-16 18:15:46.6805900`, with up to nine digits of a second and perhaps an offset of UTC. */
const TIME = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?$/;

/** The offset is left out: it is the same in every row, and only differences matter. */
function timeOf(text: string, line: number): number {
  const found = TIME.exec(text);
  if (found === null) {
    const wanted = 'a time such as 2023-11-16 18:15:46.6805900';
    const shown = JSON.stringify(text.slice(0, 60));
    throw new TraceError(`line ${line}: ${COLUMNS[0]} is ${shown}, and must be ${wanted}`);
  }
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = found
    .slice(1, 7)
    .map(Number);
  const wholeMs = Date.UTC(year, month - 1, day, hour, minute, second);
  return wholeMs + Number(found[7] ?? 0) * 1000;
}
