/** Single experiments beside the table: outputs at their limit, many requests, one greedy tenant, a burst. */
import type { SimulationResult } from '../../../proxy/simulate/result.ts';
import type { Trace } from '../../../proxy/simulate/traces/trace.ts';
import { loadFlags } from './comparisons.ts';
import type { Runner } from './runs.ts';
import { ENGINES, flagsOf, type Setting, SMALLEST } from './settings.ts';
import { fitting, inPhases, type PreparedTrace } from './traces.ts';

export interface Extra {
  readonly what: string;
  readonly setting: Setting;
  readonly load: number;
  readonly reserve: string;
  readonly degrade: string;
  readonly result: SimulationResult;
}

export interface Fairness {
  readonly setting: Setting;
  readonly equalLoad: number;
  readonly greedyLoad: number;
  /** Goodput of those who keep to their share, over what they have when all do: all, and the worst off. */
  readonly othersKeep: number;
  readonly worstKeeps: number;
}

export interface Recovery {
  readonly setting: Setting;
  readonly policy: 'kvgate' | 'oracle';
  /** Goodput after the burst, over the same seconds of a run without it. */
  readonly first10s: number;
  readonly next20s: number;
}

export interface ExtraParts {
  readonly runner: Runner;
  readonly traceFor: (setting: Setting) => PreparedTrace;
  readonly trace: Trace;
  readonly folder: string;
  readonly requests: number | null;
}

const MILLION = 1_000_000;
const TENANTS = 10;
const GREED = 10;
/** Seconds and load: learn, burst, and long enough after it. */
const BEFORE = { seconds: 120, load: 0.8 };
const BURST = { seconds: 20, load: 5 };
const AFTER = { seconds: 60, load: 0.8 };

const SETTINGS: readonly Setting[] = ENGINES.map((engine) => ({
  ...{ engine, machine: SMALLEST, promptScale: 1 },
}));

/** Outputs that all run to their limit, and every request charged with all it may come to. */
export function limitRuns(parts: ExtraParts): Promise<readonly Extra[]> {
  const cases = SETTINGS.flatMap((setting) => [
    { setting, what: 'outputs at their limit', reserve: 'chance', flags: ['--outputs', 'limit'] },
    { setting, what: 'worst case reserved', reserve: 'worst-case', flags: [] },
  ]);
  return Promise.all(cases.map((each) => extra(parts, each, 2, parts.requests)));
}

export function millionRuns(parts: ExtraParts): Promise<readonly Extra[]> {
  return Promise.all(
    SETTINGS.map((setting) =>
      extra(parts, { setting, what: 'a million', reserve: 'chance', flags: [] }, 2, MILLION),
    ),
  );
}

async function extra(
  { runner, traceFor }: ExtraParts,
  of: { setting: Setting; what: string; reserve: string; flags: readonly string[] },
  load: number,
  requests: number | null,
): Promise<Extra> {
  const { setting, what, reserve } = of;
  const flags = [...flagsOf(setting), ...loadFlags(load, requests), ...of.flags];
  const result = await runner.run({
    trace: traceFor(setting).path,
    flags: [...flags, '--reserve', reserve],
  });
  return { what, setting, load, reserve, degrade: 'seed', result };
}

/** The others send as much in both runs; only the first tenant sends more. */
export function fairnessRuns(parts: ExtraParts): Promise<readonly Fairness[]> {
  const loads = [1, 2];
  const cases = SETTINGS.flatMap((setting) => loads.map((load) => ({ setting, load })));
  return Promise.all(
    cases.map(async ({ setting, load: equalLoad }) => {
      const greedyLoad = (equalLoad * (TENANTS - 1 + GREED)) / TENANTS;
      const of = (share: number, load: number) =>
        parts.runner.run({
          trace: parts.traceFor(setting).path,
          flags: [
            ...[...flagsOf(setting), ...loadFlags(load, parts.requests)],
            ...['--tenants', String(TENANTS), '--first-tenant-share', String(share)],
          ],
        });
      const [equal, greedy] = await Promise.all([of(1, equalLoad), of(GREED, greedyLoad)]);
      const before = others(equal);
      const after = others(greedy);
      // Whose requests are drawn differs between the runs: each is held against the mean.
      const each = sum(before) / (TENANTS - 1);
      return {
        ...{ setting, equalLoad, greedyLoad },
        othersKeep: sum(after) / sum(before),
        worstKeeps: Math.min(...after) / each,
      };
    }),
  );
}

function others({ tenants }: SimulationResult): readonly number[] {
  const names = Array.from({ length: TENANTS - 1 }, (_, index) => `tenant-${index + 2}`);
  return names.map((name) => tenants[name]?.goodput ?? 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

export function recoveryRuns(parts: ExtraParts): Promise<readonly Recovery[]> {
  const policies = ['kvgate', 'oracle'] as const;
  return Promise.all(
    SETTINGS.flatMap((setting) => policies.map((policy) => recovery(parts, setting, policy))),
  );
}

async function recovery(
  { runner, trace, folder }: ExtraParts,
  setting: Setting,
  policy: Recovery['policy'],
): Promise<Recovery> {
  const kept = fitting(trace, setting);
  const of = (name: string, middle: typeof BURST) => {
    const phases = [BEFORE, middle, AFTER];
    const file = `${name}-${setting.engine}.csv`;
    const { path, load } = inPhases(folder, file, kept, setting, phases);
    const flags = [...flagsOf(setting), ...loadFlags(load, null), '--policy', policy];
    return runner.run({ trace: path, flags, withSeries: true });
  };
  const calm = { ...BURST, load: BEFORE.load };
  const [burst, without] = await Promise.all([of('burst', BURST), of('calm', calm)]);
  const endS = BEFORE.seconds + BURST.seconds;
  const share = (fromS: number, untilS: number) =>
    goodBetween(burst, fromS, untilS) / goodBetween(without, fromS, untilS);
  return {
    setting,
    policy,
    first10s: share(endS, endS + 10),
    next20s: share(endS + 10, endS + 30),
  };
}

/** Tokens of requests that were finished in time, and in these seconds. */
function goodBetween({ series }: SimulationResult, fromS: number, untilS: number): number {
  return series.points
    .filter(({ atMs }) => atMs >= fromS * 1000 && atMs < untilS * 1000)
    .reduce((total, { goodTokens }) => total + goodTokens, 0);
}
