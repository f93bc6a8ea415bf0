/** What `kvgate replay` prints for people. */
import type { Replayed } from './replay.ts';
import type { ReplayFigures } from './simulate/replay/replay-score.ts';

const NOTHING = '-';
const MARK = 'as set less control';

/** A figure, and how its values and their differences are written. */
interface Row {
  readonly name: string;
  readonly of: (figures: ReplayFigures) => number | null;
  readonly as: (value: number) => string;
}

export function replayReport(replayed: Replayed): string {
  const { log, control, changed } = replayed;
  const rows = rowsFor([log, control, changed]).map(({ name, of, as }) => {
    const [before, after] = [of(control), of(changed)];
    const moved = before === null || after === null ? null : after - before;
    return [name, ...[of(log), before, after].map((value) => shown(value, as)), signed(moved, as)];
  });
  const table = [['', 'log', 'control', 'as set', MARK], ...rows];
  return [...about(replayed), '', ...aligned(table)].join('\n');
}

function about({ requests, guessed, cut, reproduced, set, notes }: Replayed): readonly string[] {
  const changes = Object.entries(set).map(([name, value]) => `${name}=${String(value)}`);
  const guesses = guessed.neverRan + guessed.noEnd;
  return [
    `set: ${changes.join(' ')}`,
    `${requests} requests; the output of ${guesses} is guessed (${guessed.neverRan} never ran, ` +
      `${guessed.noEnd} have no end in the log), ${cut} were cut at a limit that kvgate set`,
    `the control, with the settings of the log, decides ${percent(reproduced.action)} of the requests ` +
      `as the log has it, and ${percent(reproduced.outcome)} end alike: a difference that is smaller than what is missing tells nothing`,
    ...notes,
  ];
}

function rowsFor(all: readonly ReplayFigures[]): readonly Row[] {
  const keysOf = (of: (figures: ReplayFigures) => Readonly<Record<string, number>>) =>
    [...new Set(all.flatMap((figures) => Object.keys(of(figures))))].sort();
  const plain = String;
  return [
    ...keysOf(({ decisions }) => decisions).map((key) => ({
      name: key,
      of: ({ decisions }: ReplayFigures) => decisions[key] ?? 0,
      as: plain,
    })),
    { name: 'admitted', of: ({ admitted }) => admitted, as: plain },
    { name: 'refused', of: ({ refused }) => refused, as: plain },
    ...keysOf(({ refusedFor }) => refusedFor).map((key) => ({
      name: `  ${key}`,
      of: ({ refusedFor }: ReplayFigures) => refusedFor[key] ?? 0,
      as: plain,
    })),
    { name: 'queue wait p50', of: ({ queueWaitMs }) => queueWaitMs.p50, as: ms },
    { name: 'queue wait p95', of: ({ queueWaitMs }) => queueWaitMs.p95, as: ms },
    { name: 'level changes', of: ({ levelChanges }) => levelChanges, as: plain },
    { name: 'memory held, mean', of: ({ heldMemory }) => heldMemory.mean, as: percent },
    { name: 'memory held, peak', of: ({ heldMemory }) => heldMemory.peak, as: percent },
    { name: 'would have overrun', of: ({ overran }) => overran, as: plain },
    { name: 'output tokens', of: ({ outputTokens }) => outputTokens, as: plain },
  ];
}

function aligned(table: readonly (readonly string[])[]): readonly string[] {
  const widths = [0, 1, 2, 3, 4].map((column) =>
    Math.max(...table.map((row) => (row[column] ?? '').length)),
  );
  return table.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart((widths[column] ?? 0) + 2),
      )
      .join(''),
  );
}

function shown(value: number | null, as: Row['as']): string {
  return value === null ? NOTHING : as(value);
}

function signed(value: number | null, as: Row['as']): string {
  if (value === null) return NOTHING;
  return value > 0 ? `+${as(value)}` : as(value);
}

function ms(value: number): string {
  return `${Math.round(value)} ms`;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}
