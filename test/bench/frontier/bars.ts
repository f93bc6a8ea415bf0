/** What kvgate is held to. */
import {
  type Comparison,
  type Degrade,
  leastQuartile,
  ratio,
  staticChoices,
} from './comparisons.ts';
import type { Extra, Fairness, Recovery } from './extras.ts';
import { type EngineKind, slotsOf } from './settings.ts';
import { type Point, pointsOf, settingWords, type Verdict, verdict } from './verdict.ts';

export interface Figures {
  readonly comparisons: readonly Comparison[];
  /** The same on GPUs whose steps are slow. */
  readonly slow: readonly Comparison[];
  readonly extras: readonly Extra[];
  readonly fairness: readonly Fairness[];
  readonly recovery: readonly Recovery[];
}

export function verdicts(figures: Figures): readonly Verdict[] {
  return [...deaths(figures), ...goodput(figures), ...service(figures)];
}

const any = () => true;
const guard = (row: Comparison, degrade: Degrade = 'seed') => row.kvgate[degrade];
const isPaged = ({ setting }: Comparison) => setting.engine === 'paged';
const isOverloaded = ({ load }: Comparison) => load >= 2;

function deaths({ comparisons, extras }: Figures): readonly Verdict[] {
  const most = (of: (result: Extra['result']) => number): readonly Point[] => [
    ...pointsOf(comparisons, any, ({ kvgate }) => Math.max(...Object.values(kvgate).map(of))),
    ...extras.map(({ what, setting, result }) => ({
      where: `${settingWords(setting)}, ${what}`,
      value: of(result),
    })),
  ];
  return [
    verdict(
      'out of memory and overflow',
      ['at most', 0],
      most(({ oom, overflow }) => oom + overflow),
    ),
    verdict(
      'streams cut by the emergency brake',
      ['at most', 0],
      most(({ brake }) => brake.ended),
    ),
  ];
}

function goodput({ comparisons }: Figures): readonly Verdict[] {
  const toOracle = (load: number) =>
    pointsOf(
      comparisons,
      (row) => row.load === load,
      (row) => ratio(guard(row, 'off').goodput, row.oracle.goodput),
    );
  const toStatic = (choice: 'any' | 'safe', ...engines: readonly EngineKind[]) =>
    pointsOf(
      comparisons,
      (row) => isOverloaded(row) && engines.includes(row.setting.engine),
      (row) => ratio(guard(row).goodput, staticChoices(row)[choice]?.goodput ?? 0),
    );
  const toAllSlots = pointsOf(
    comparisons,
    (row) => isOverloaded(row) && row.setting.engine === 'split',
    (row) => {
      const slots = row.best.staticRuns?.find(({ limit }) => limit === slotsOf(row.setting));
      return ratio(guard(row).goodput, slots?.goodput ?? 0);
    },
  );
  const toNaive = pointsOf(comparisons, isOverloaded, (row) =>
    ratio(guard(row).goodput, row.naive.goodput),
  );
  return [
    verdict('against the oracle, degrade off, load 2', ['at least', 0.95], toOracle(2)),
    verdict('against the oracle, degrade off, load 10', ['at least', 0.9], toOracle(10)),
    verdict('against the best static, paged', ['at least', 1.2], toStatic('any', 'paged')),
    verdict(
      'against the best static, dynamic and unified',
      ['at least', 1.45],
      toStatic('any', 'dynamic', 'unified'),
    ),
    verdict(
      'against the best static under which none dies, dynamic and unified',
      ['at least', 1.45],
      toStatic('safe', 'dynamic', 'unified'),
    ),
    verdict('against static with all split slots', ['at least', 0.98], toAllSlots),
    verdict('against naive', ['at least', 3], toNaive),
  ];
}

function service({ comparisons, fairness, recovery }: Figures): readonly Verdict[] {
  const ofAll = (value: (row: Comparison) => number | null) => pointsOf(comparisons, any, value);
  const after = recovery
    .filter(({ policy }) => policy === 'kvgate')
    .map(({ setting, next20s }) => ({ where: settingWords(setting), value: next20s }));
  const others = fairness.map(({ setting, equalLoad, othersKeep }) => ({
    where: `${settingWords(setting)}, load ${equalLoad}`,
    value: othersKeep,
  }));
  const cost = pointsOf(comparisons, isPaged, (row) =>
    ratio(guard(row).goodput, guard(row, 'off').goodput),
  );
  const preempted = pointsOf(comparisons, isPaged, ({ kvgate }) =>
    Math.max(...Object.values(kvgate).map(({ preemptedShare }) => preemptedShare)),
  );
  return [
    verdict(
      "completion by prompt quartile over the oracle's",
      ['at least', 0.8],
      ofAll((row) => leastQuartile(guard(row), row.oracle)),
    ),
    verdict('default degradation over off, paged', ['at least', 0.9], cost),
    verdict('goodput from 10 s after a burst on, over normal', ['at least', 0.99], after),
    verdict('preempted share, paged', ['at most', 0.01], preempted),
    verdict('goodput that others keep beside a greedy tenant', ['at least', 0.9], others),
    verdict(
      'level changes in 5 s',
      ['at most', 1],
      ofAll((row) => guard(row).levelChanges.mostIn5s),
    ),
    verdict(
      'median error of Retry-After',
      ['at most', 0.25],
      ofAll((row) => guard(row).retryAfter.medianError),
    ),
  ];
}
