/**
 * The Mooncake traces: a JSON object a line with `timestamp` in milliseconds,
 * `input_length` and `output_length` (kvcache-ai/Mooncake, FAST25-release/traces).
 * `hash_ids`, the blocks of prompts that requests have in common, are not used:
 * every prompt is charged as if nobody else had it.
 */
import { TraceError, type TraceRow, tokensOf } from './trace.ts';

export function isMooncakeLine(line: string): boolean {
  return line.startsWith('{');
}

/** @throws TraceError that names the field */
export function mooncakeRow(line: string, number: number): TraceRow {
  const fields = objectOf(line, number);
  const { timestamp, input_length, output_length } = fields;
  if (typeof timestamp !== 'number' || !Number.isFinite(timestamp) || timestamp < 0) {
    const shown = JSON.stringify(timestamp ?? null).slice(0, 60);
    throw new TraceError(`line ${number}: timestamp is ${shown}, and must be milliseconds`);
  }
  return {
    atMs: timestamp,
    promptTokens: tokensOf(input_length, 'input_length', number),
    outputTokens: tokensOf(output_length, 'output_length', number),
  };
}

function objectOf(line: string, number: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
  } catch {
    // Told below, as what is JSON and no object.
  }
  throw new TraceError(`line ${number}: is no JSON object`);
}
