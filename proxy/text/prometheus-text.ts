/**
 * Reads the Prometheus text format, as far as gauges and counters need it.
 * Source: prometheus.io, "Exposition formats".
 */

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  /** NaN and infinities as they were written. */
  readonly value: number;
}

/** An exposition is some hundred kilobytes; what lies beyond is not read. */
const MAX_LINES = 20_000;

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Samples of the metrics named; lines that can't be read are left out. */
export function samplesNamed(text: string, names: readonly string[]): readonly Sample[] {
  const samples: Sample[] = [];
  for (const line of text.split('\n', MAX_LINES)) {
    // Most lines are of other metrics, and this runs at every poll.
    if (!names.some((name) => line.startsWith(name))) continue;
    const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? [];
    if (!names.includes(name)) continue;
    samples.push({ name, labels: labelsOf(labels), value: numberOf(value) });
  }
  return samples;
}

function labelsOf(text: string): ReadonlyMap<string, string> {
  return new Map(
    Array.from(text.matchAll(LABEL), ([, name = '', value = '']) => [name, unescaped(value)]),
  );
}

function unescaped(value: string): string {
  return value.replace(/\\(.)/g, (_, character: string) => (character === 'n' ? '\n' : character));
}

function numberOf(text: string): number {
  if (/^[+-]?Inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  return Number(text);
}
