/** The figures as tables of Markdown. */

import {
  type Comparison,
  DEGRADES,
  type Degrade,
  leastQuartile,
  ratio,
  staticChoices,
} from './comparisons.ts';
import type { Extra, Fairness, Recovery } from './extras.ts';
import { settingWords, type Verdict } from './verdict.ts';

const NOTHING = '-';

type Row = readonly (string | number)[];

export function summary(verdicts: readonly Verdict[]): string {
  return table(
    ['measure', 'bar', 'rows', 'that meet it', 'the furthest from it', ''],
    verdicts
      .filter(({ rows }) => rows > 0)
      .map(({ measure, bar, rows, met, worst }) => {
        return [measure, bar, rows, met, worst, met === rows ? 'met' : 'not met'];
      }),
  );
}

export function headline(comparisons: readonly Comparison[]): string {
  return table(
    [
      ...['engine, machine', 'reserve', 'degrade', 'load', 'OOM', 'overflow', 'goodput, tokens/s'],
      ...[
        'oracle',
        'best static (N, died)',
        'best static, none dies (N)',
        'naive (died)',
        'none (died)',
      ],
      ...['preempted', 'least quartile', 'Retry-After error', 'wait error', 'levels in 5 s'],
      ...['taken back, cut'],
    ],
    comparisons.map((row) => headlineRow(row)),
  );
}

function headlineRow(row: Comparison): Row {
  const { kvgate, oracle, naive, none, setting, load } = row;
  const guard = kvgate.seed;
  const { any, safe } = staticChoices(row);
  const over = (other: number) => times(ratio(guard.goodput, other));
  const safeCell = safe === null ? NOTHING : `${over(safe.goodput)} (${safe.limit})`;
  return [
    ...[settingWords(setting), 'chance', 'seed', load, guard.oom, guard.overflow],
    ...[count(guard.goodput), over(oracle.goodput)],
    ...[`${over(any.goodput)} (${any.limit}, ${any.died})`, safeCell],
    `${over(naive.goodput)} (${naive.oom + naive.overflow})`,
    `${over(none.goodput)} (${none.oom + none.overflow})`,
    ...[percent(guard.preemptedShare), times(leastQuartile(guard, oracle))],
    ...[percent(guard.retryAfter.medianError), percent(guard.waitPrediction.medianError)],
    ...[guard.levelChanges.mostIn5s, `${guard.brake.takenBack}, ${guard.brake.ended}`],
  ];
}

export function degradation(comparisons: readonly Comparison[]): string {
  const others = DEGRADES.filter((degrade) => degrade !== 'seed');
  return table(
    [
      ...['engine, machine', 'reserve', 'degrade', 'load', 'OOM', 'overflow', 'goodput, tokens/s'],
      ...['oracle', 'best static', 'naive', 'preempted', 'least quartile', 'seed over it'],
    ],
    comparisons.flatMap((row) => others.map((degrade) => degradationRow(row, degrade))),
  );
}

function degradationRow(row: Comparison, degrade: Degrade): Row {
  const guard = row.kvgate[degrade];
  const over = (other: number) => times(ratio(guard.goodput, other));
  return [
    ...[settingWords(row.setting), 'chance', degrade, row.load, guard.oom, guard.overflow],
    ...[count(guard.goodput), over(row.oracle.goodput), over(staticChoices(row).any.goodput)],
    ...[over(row.naive.goodput), percent(guard.preemptedShare)],
    ...[times(leastQuartile(guard, row.oracle))],
    times(ratio(row.kvgate.seed.goodput, guard.goodput)),
  ];
}

export function extraTable(extras: readonly Extra[]): string {
  return table(
    [
      ...['what', 'engine, machine', 'reserve', 'degrade', 'load', 'requests', 'OOM', 'overflow'],
      ...['goodput, tokens/s', 'preempted', 'taken back, cut'],
    ],
    extras.map(({ what, setting, reserve, degrade, load, result }) => [
      ...[what, settingWords(setting), reserve, degrade, load, count(result.requests)],
      ...[result.oom, result.overflow, count(result.goodput), percent(result.preemptedShare)],
      `${result.brake.takenBack}, ${result.brake.ended}`,
    ]),
  );
}

export function fairnessTable(rows: readonly Fairness[]): string {
  return table(
    ['engine, machine', 'reserve', 'degrade', 'load', 'with the greedy one', 'others', 'worst off'],
    rows.map(({ setting, equalLoad, greedyLoad, othersKeep, worstKeeps }) => [
      ...[settingWords(setting), 'chance', 'seed', equalLoad, greedyLoad.toFixed(1)],
      ...[times(othersKeep), times(worstKeeps)],
    ]),
  );
}

export function recoveryTable(rows: readonly Recovery[]): string {
  return table(
    [...['engine, machine', 'policy', 'reserve', 'degrade', 'load', 'first 10 s', 'the next 20 s']],
    rows.map(({ setting, policy, first10s, next20s }) => [
      ...[settingWords(setting), policy, 'chance', policy === 'oracle' ? 'off' : 'seed'],
      '0.8, 5, 0.8',
      ...[times(first10s), times(next20s)],
    ]),
  );
}

/** What was left out of the trace, and what fills each machine. */
export function machineTable(comparisons: readonly Comparison[]): string {
  const first = new Map(comparisons.map((row) => [settingWords(row.setting), row]));
  return table(
    [
      ...['engine, machine', 'KV tokens', 'slots or sequences', 'requests left out'],
      ...['load 1, requests/s', 'sequences', 'a step, ms'],
    ],
    [...first].map(([words, { setting, leftOutShare, kvgate, limit }]) => {
      const filling = kvgate.seed.fillingLoad;
      return [
        ...[words, count(setting.machine.kvTokens), limit ?? NOTHING, percent(leftOutShare)],
        ...[filling?.requestsPerSecond.toFixed(2) ?? NOTHING, count(filling?.sequences ?? 0)],
        filling?.stepMs.toFixed(1) ?? NOTHING,
      ];
    }),
  );
}

function table(heads: readonly string[], rows: readonly Row[]): string {
  const line = (cells: Row) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}

function times(value: number | null): string {
  return value === null || !Number.isFinite(value) ? NOTHING : value.toFixed(2);
}

function percent(value: number | null): string {
  return value === null ? NOTHING : `${(100 * value).toFixed(value < 0.01 ? 2 : 1)} %`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}
