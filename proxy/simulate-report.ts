/** What `kvgate simulate` prints for people, and what it writes into its folder. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from './config/problem.ts';
import { memoryPlot } from './simulate/memory-plot.ts';
import type { GroupResult } from './simulate/result.ts';
import type { Simulated, SimulateValues } from './simulate.ts';

const NOTHING = '-';

export function simulationReport(values: SimulateValues, { result, machine }: Simulated): string {
  const { fillingLoad } = result;
  const rows: [string, string][] = [
    ['policy', `${result.policy}, reserve ${values.reserve}, degrade ${values.degrade}`],
    [
      'machine',
      `${machine.model} on ${machine.engine}, room for ${count(machine.capacityTokens)} tokens`,
    ],
    ['load', loadWords(values, result.requestsPerSecond, fillingLoad?.requestsPerSecond ?? null)],
    ['requests', `${count(result.requests)}, completed ${count(result.completed)}`],
    ['rejected', rejectedWords(result.rejected, result.rejectedFor)],
    ['goodput', `${count(result.goodput)} tokens/s (${count(result.goodputTokens)} in all)`],
    ['out of memory', `${count(result.oom)}, pool overflows ${count(result.overflow)}`],
    ['preemptions', `${count(result.preemptions)} (${percent(result.preemptedShare)} of requests)`],
    [
      'memory in use',
      `${percent(result.utilisation)} mean, ${percent(result.heldMemory.peak)} peak`,
    ],
    ['queue wait', `${ms(result.queueWaitMs.p50)} p50, ${ms(result.queueWaitMs.p95)} p95`],
    ['first token', `${ms(result.ttftMs.p50)} p50, ${ms(result.ttftMs.p99)} p99`],
    ['by prompt length', result.promptQuartiles.map(completionWords).join(', ')],
    [
      'levels',
      `${result.levelChanges.total} changes, at most ${result.levelChanges.mostIn5s} in 5 s`,
    ],
    ['predicted wait', errorWords(result.waitPrediction)],
    ['Retry-After', errorWords(result.retryAfter)],
    ['brake', `${result.brake.takenBack} taken back, ${result.brake.ended} ended`],
    ['virtual time', `${count(result.virtualSeconds.arrivals)} s of arrivals`],
    ['event log', result.eventLogHash],
  ];
  const tenants = Object.entries(result.tenants);
  const shown = tenants.length === 1 ? [] : tenants.slice(0, 20);
  const all = [...rows, ...shown.map(([name, group]) => [name, tenantWords(group)] as const)];
  return all.map(([name, value]) => `${name.padEnd(18)}${value}`).join('\n');
}

/** @returns the paths that were written, or why they could not be */
export function writeSimulation(
  folder: string,
  title: string,
  { result, thresholds }: Simulated,
): readonly string[] | Problem {
  const paths = [join(folder, 'result.json'), join(folder, 'memory.svg')] as const;
  const { pointMs, points } = result.series;
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(paths[0], `${JSON.stringify(result, null, 2)}\n`);
    writeFileSync(paths[1], memoryPlot({ title, pointMs, points, thresholds }));
    return paths;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { field: 'out', source: '--out', message: `${folder} can't be written: ${why}` };
  }
}

function loadWords({ load }: SimulateValues, rate: number, filling: number | null): string {
  const of = filling === null ? '' : `; ${filling.toFixed(2)} fill the memory`;
  return `${load} times: ${rate.toFixed(2)} requests/s${of}`;
}

function rejectedWords(rejected: number, reasons: Readonly<Record<string, number>>): string {
  const each = Object.entries(reasons).map(([reason, times]) => `${reason} ${count(times)}`);
  return each.length === 0 ? count(rejected) : `${count(rejected)} (${each.join(', ')})`;
}

function completionWords({ completionRate }: GroupResult): string {
  return completionRate === null ? NOTHING : percent(completionRate);
}

function tenantWords(group: GroupResult): string {
  return `${count(group.goodput)} tokens/s, ${completionWords(group)} completed`;
}

function errorWords(error: { readonly requests: number; readonly medianError: number | null }) {
  if (error.medianError === null) return NOTHING;
  return `${percent(error.medianError)} median error of ${count(error.requests)}`;
}

function ms(value: number | null): string {
  return value === null ? NOTHING : `${count(value)} ms`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}
