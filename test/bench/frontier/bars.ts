/** What kvgate is held to, and in how many rows it holds. */
import {
  type Comparison,
  type Degrade,
  leastQuartile,
  ratio,
  staticChoices,
} from './comparisons.ts';
import type { Extra, Fairness, Recovery } from './extras.ts';
import { type EngineKind, type Setting, slotsOf } from './settings.ts';

export interface Figures {
  readonly comparisons: readonly Comparison[];
  /** The same with a short `--queue-timeout`. */
  readonly shortQueue: readonly Comparison[];
  readonly extras: readonly Extra[];
  readonly fairness: readonly Fairness[];
  readonly recovery: readonly Recovery[];
}

export interface Verdict {
  readonly measure: string;
  readonly bar: string;
  readonly rows: number;
  readonly met: number;
  /** The figure furthest from the bar, and where. */
  readonly worst: string;
}

interface Point {
  readonly where: string;
  /** null: there was nothing to measure; the row is not counted. */
  readonly value: number | null;
}

type Side = 'at least' | 'at most';

export function verdicts(figures: Figures): readonly Verdict[] {
  const { comparisons, extras, fairness, recovery } = figures;
  const rows = (wanted: (row: Comparison) => boolean, of: (row: Comparison) => number | null) =>
    comparisons.filter(wanted).map((row) => ({ where: whereOf(row), value: of(row) }));
  const any = () => true;
  const guard = (row: Comparison, degrade: Degrade = 'seed') => row.kvgate[degrade];
  const against = (load: (load: number) => boolean) =>
    rows(
      ({ load: at }) => load(at),
      (row) => ratio(guard(row, 'off').goodput, row.oracle.goodput),
    );
  const fixed = (...engines: readonly EngineKind[]) =>
    rows(
      ({ load, setting }) => load >= 2 && engines.includes(setting.engine),
      (row) => ratio(guard(row).goodput, staticChoices(row).any.goodput),
    );
  const safe = (...engines: readonly EngineKind[]) =>
    rows(
      ({ load, setting }) => load >= 2 && engines.includes(setting.engine),
      (row) => ratio(guard(row).goodput, staticChoices(row).safe?.goodput ?? 0),
    );
  const died = extras.map(({ what, setting, result }) => ({
    where: `${settingWords(setting)}, ${what}`,
    value: result.oom + result.overflow,
  }));
  const costs = (row: Comparison) => ratio(guard(row).goodput, guard(row, 'off').goodput);
  const isPaged = ({ setting }: Comparison) => setting.engine === 'paged';
  const slots = rows(
    ({ load, setting }) => load >= 2 && setting.engine === 'split',
    (row) => {
      const all = row.best.staticRuns?.find(({ limit }) => limit === slotsOf(row.setting));
      return ratio(guard(row).goodput, all?.goodput ?? 0);
    },
  );
  return [
    verdict('out of memory and overflow', 'at most', 0, [
      ...rows(any, (row) =>
        Math.max(...Object.values(row.kvgate).map(({ oom, overflow }) => oom + overflow)),
      ),
      ...died,
    ]),
    verdict('goodput against the oracle, degrade off, load 2', 'at least', 0.95, against(is(2))),
    verdict('goodput against the oracle, degrade off, load 10', 'at least', 0.9, against(is(10))),
    verdict('against the best static, paged', 'at least', 1.2, fixed('paged')),
    verdict('against the best static, dynamic and unified', 'at least', 1.45, [
      ...fixed('dynamic', 'unified'),
    ]),
    verdict('the same, against the best static under which no request dies', 'at least', 1.45, [
      ...safe('dynamic', 'unified'),
    ]),
    verdict('against static with all split slots', 'at least', 0.98, slots),
    verdict(
      'against naive, load 2 and more',
      'at least',
      3,
      rows(
        ({ load }) => load >= 2,
        (row) => ratio(guard(row).goodput, row.naive.goodput),
      ),
    ),
    verdict(
      "completion by prompt quartile over the oracle's",
      'at least',
      0.8,
      rows(any, (row) => leastQuartile(guard(row), row.oracle)),
    ),
    verdict('default degradation over off, paged', 'at least', 0.9, rows(isPaged, costs)),
    verdict(
      'goodput after a burst, from its 10th second on',
      'at least',
      0.99,
      recovery.map(({ setting, next20s }) => ({ where: settingWords(setting), value: next20s })),
    ),
    verdict(
      'preempted share, paged',
      'at most',
      0.01,
      rows(isPaged, (row) =>
        Math.max(...Object.values(row.kvgate).map(({ preemptedShare }) => preemptedShare)),
      ),
    ),
    verdict(
      'what others keep beside a tenant at ten times its share',
      'at least',
      0.9,
      fairness.map(({ setting, equalLoad, othersKeep }) => ({
        where: `${settingWords(setting)}, load ${equalLoad}`,
        value: othersKeep,
      })),
    ),
    verdict(
      'level changes in 5 s',
      'at most',
      1,
      rows(any, (row) => guard(row).levelChanges.mostIn5s),
    ),
    verdict(
      'median error of Retry-After',
      'at most',
      0.25,
      rows(any, (row) => guard(row).retryAfter.medianError),
    ),
  ];
}

export function settingWords({ engine, machine, promptScale }: Setting): string {
  return `${engine}, ${machine.name}${promptScale === 1 ? '' : `, prompts x ${promptScale}`}`;
}

function whereOf({ setting, load }: Comparison): string {
  return `${settingWords(setting)}, load ${load}`;
}

function is(wanted: number): (load: number) => boolean {
  return (load) => load === wanted;
}

function verdict(measure: string, side: Side, limit: number, points: readonly Point[]): Verdict {
  const known = points.filter((point): point is Point & { value: number } => point.value !== null);
  const sorted = known.toSorted((one, other) =>
    side === 'at least' ? one.value - other.value : other.value - one.value,
  );
  const isMet = ({ value }: { value: number }) =>
    side === 'at least' ? value >= limit : value <= limit;
  const [worst] = sorted;
  return {
    ...{ measure, bar: `${side} ${limit}`, rows: known.length, met: known.filter(isMet).length },
    worst: worst === undefined ? '-' : `${Number(worst.value.toPrecision(3))} (${worst.where})`,
  };
}
