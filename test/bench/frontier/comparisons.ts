/** Every policy on one machine at one load. */
import type { SimulationResult } from '../../../proxy/simulate/result.ts';
import type { Runner } from './runs.ts';
import { flagsOf, machineFor, type Setting } from './settings.ts';
import type { PreparedTrace } from './traces.ts';

export const LOADS = [1, 2, 5, 10] as const;
/** The default of `--queue-timeout`; those without a guard have the same. */
const QUEUE_TIMEOUT_S = 30;
export const DEGRADES = ['seed', 'memory-only', 'off'] as const;
export type Degrade = (typeof DEGRADES)[number];

export interface Comparison {
  readonly setting: Setting;
  readonly load: number;
  /** `--queue-timeout`, for every policy alike. */
  readonly leftOutShare: number;
  /** Sequences that the engine takes at a time; null: no limit of its own. */
  readonly limit: number | null;
  readonly kvgate: Readonly<Record<Degrade, SimulationResult>>;
  readonly oracle: SimulationResult;
  readonly naive: SimulationResult;
  readonly none: SimulationResult;
  readonly best: SimulationResult;
}

/** A limit that a user could set, and what it came to. */
export interface StaticChoice {
  readonly limit: number;
  readonly goodput: number;
  readonly died: number;
}

export interface Cell {
  readonly setting: Setting;
  readonly load: number;
  /** null: all of the trace, once. */
  readonly requests: number | null;
}

export async function compared(
  runner: Runner,
  trace: PreparedTrace,
  { setting, load, requests }: Cell,
): Promise<Comparison> {
  const flags = [...flagsOf(setting), ...loadFlags(load, requests)];
  const of = (policy: string, ...more: readonly string[]) => {
    const timeout = policy === 'none' ? [] : ['--queue-timeout', String(QUEUE_TIMEOUT_S)];
    return runner.run({
      trace: trace.path,
      flags: [...flags, '--policy', policy, ...timeout, ...more],
    });
  };
  const [seed, memoryOnly, off, oracle, naive, none, best] = await Promise.all([
    of('kvgate'),
    of('kvgate', '--degrade', 'memory-only'),
    of('kvgate', '--degrade', 'off'),
    of('oracle'),
    of('naive'),
    of('none'),
    of('static:best'),
  ]);
  return {
    ...{
      setting,
      load,
      leftOutShare: trace.leftOutShare,
      limit: machineFor(setting).maxSequences,
    },
    ...{ oracle, naive, none, best },
    kvgate: { seed, 'memory-only': memoryOnly, off },
  };
}

export function loadFlags(load: number, requests: number | null): readonly string[] {
  const count = requests === null ? [] : ['--requests', String(requests)];
  return ['--load', String(load), ...count];
}

/** The limit with the most goodput, and the one among those under which no request died. */
export function staticChoices({ best }: Comparison): {
  readonly any: StaticChoice;
  readonly safe: StaticChoice | null;
} {
  const runs = best.staticRuns ?? [];
  const most = (among: readonly StaticChoice[]) =>
    among.reduce<StaticChoice | null>(
      (found, run) => (found === null || run.goodput > found.goodput ? run : found),
      null,
    );
  const any = most(runs);
  if (any === null) throw new Error('the search for the best limit tried none');
  return { any, safe: most(runs.filter(({ died }) => died === 0)) };
}

/** How many times as much; null where there is nothing to compare with. */
export function ratio(one: number, other: number): number | null {
  return other > 0 ? one / other : null;
}

/** The least, over quartiles of prompt length, of the completion rate over the oracle's. */
export function leastQuartile(guard: SimulationResult, oracle: SimulationResult): number | null {
  const shares = guard.promptQuartiles.map(({ completionRate }, index) =>
    ratio(completionRate ?? 0, oracle.promptQuartiles[index]?.completionRate ?? 0),
  );
  const known = shares.filter((share) => share !== null);
  return known.length === 0 ? null : Math.min(...known);
}
