/** Whether a bar is met: in how many rows, and by how much at worst. */
import type { Comparison } from './comparisons.ts';
import type { Setting } from './settings.ts';

export interface Verdict {
  readonly measure: string;
  readonly bar: string;
  readonly rows: number;
  readonly met: number;
  /** The figure furthest from the bar, and where. */
  readonly worst: string;
}

export interface Point {
  readonly where: string;
  /** null: there was nothing to measure; the row is not counted. */
  readonly value: number | null;
}

export type Bar = readonly ['at least' | 'at most', number];

export function verdict(
  measure: string,
  [side, limit]: Bar,
  ...points: readonly (readonly Point[])[]
): Verdict {
  const known = points
    .flat()
    .filter((point): point is Point & { value: number } => point.value !== null);
  const isMet = ({ value }: { value: number }) =>
    side === 'at least' ? value >= limit : value <= limit;
  const [worst] = known.toSorted((one, other) =>
    side === 'at least' ? one.value - other.value : other.value - one.value,
  );
  return {
    ...{ measure, bar: `${side} ${limit}`, rows: known.length, met: known.filter(isMet).length },
    worst: worst === undefined ? '-' : `${Number(worst.value.toPrecision(3))} (${worst.where})`,
  };
}

/** A figure of every comparison that is wanted. */
export function pointsOf(
  comparisons: readonly Comparison[],
  isWanted: (row: Comparison) => boolean,
  value: (row: Comparison) => number | null,
): readonly Point[] {
  return comparisons.filter(isWanted).map((row) => ({
    where: `${settingWords(row.setting)}, load ${row.load}`,
    value: value(row),
  }));
}

export function settingWords({ engine, machine, promptScale }: Setting): string {
  return `${engine}, ${machine.name}${promptScale === 1 ? '' : `, prompts x ${promptScale}`}`;
}
