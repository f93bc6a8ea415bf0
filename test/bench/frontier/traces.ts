/** Traces made of the one that was given: without what can never fit, and with a burst in it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chargeOf } from '../../../proxy/memory/charge.ts';
import { contextTokensOf } from '../../../proxy/memory/units.ts';
import { loadThatFills } from '../../../proxy/simulate/load.ts';
import { type Trace, type TraceRow, traceOf } from '../../../proxy/simulate/traces/trace.ts';
import { Workload } from '../../../proxy/simulate/workload.ts';
import { asAzureCsv } from '../../support/synthetic-trace.ts';
import { MAX_TOKENS, machineFor, type Setting } from './settings.ts';

export interface PreparedTrace {
  readonly path: string;
  readonly rows: number;
  /** Of the requests of the whole trace: those that can never fit, taken out for every policy alike. */
  readonly leftOutShare: number;
}

export interface Phase {
  readonly seconds: number;
  readonly load: number;
}

/** Rows whose prompt fits the empty engine with all of the output that is asked for. */
export function fitting(trace: Trace, setting: Setting): Trace {
  const machine = machineFor(setting);
  const { layout, capacityUnits } = machine;
  const contextTokens = Math.min(contextTokensOf(layout), layout.spec?.contextTokens ?? Infinity);
  return traceOf(
    rowsOf(trace).filter(({ promptTokens }) => {
      const scaled = Math.round(promptTokens * setting.promptScale);
      if (scaled + MAX_TOKENS > contextTokens) return false;
      return chargeOf(layout, scaled, MAX_TOKENS, 1, 1).peakUnits <= capacityUnits;
    }),
  );
}

export function prepared(folder: string, trace: Trace, setting: Setting): PreparedTrace {
  const kept = fitting(trace, setting);
  const { engine, machine, promptScale } = setting;
  const name = `${engine}-${machine.name}-${promptScale}x.csv`.replaceAll(/[ ,]+/g, '-');
  const leftOutShare = 1 - kept.rows / trace.rows;
  return { path: written(folder, name, kept), rows: kept.rows, leftOutShare };
}

/**
 * The requests of the trace in their order, with its gaps, in phases of a given load each.
 * @returns also the mean load of the whole, which is what `--load` has to be
 */
export function inPhases(
  folder: string,
  name: string,
  trace: Trace,
  setting: Setting,
  phases: readonly Phase[],
): { readonly path: string; readonly load: number; readonly rows: number } {
  const filling = fillingRate(trace, setting);
  const rows: TraceRow[] = [];
  const source = rowsOf(trace);
  let fromMs = 0;
  for (const [index, { seconds, load }] of phases.entries()) {
    const wanted = Math.max(1, Math.round(load * filling * seconds));
    // By its place alone: the requests of one phase do not depend on how many another has.
    const own = Math.floor((index * source.length) / phases.length);
    const from = Math.min(own, Math.max(0, source.length - wanted));
    const part = source.slice(from, from + wanted);
    // Its own gaps, brought to the length of the phase.
    const gaps = part.map(({ atMs }, index) => Math.max(0, atMs - (part[index - 1]?.atMs ?? atMs)));
    const sumMs = gaps.reduce((sum, gap) => sum + gap, 0) || 1;
    let passedMs = 0;
    for (const [index, row] of part.entries()) {
      passedMs += gaps[index] ?? 0;
      rows.push({ ...row, atMs: fromMs + (passedMs / sumMs) * seconds * 1000 });
    }
    fromMs += seconds * 1000;
  }
  const phased = traceOf(rows);
  const load = rows.length / (fromMs / 1000) / fillingRate(phased, setting);
  return { path: written(folder, name, phased), load, rows: rows.length };
}

function fillingRate(trace: Trace, setting: Setting): number {
  const machine = machineFor(setting);
  const contextTokens = machine.layout.spec?.contextTokens ?? Infinity;
  const workload = new Workload(trace, {
    ...{ requests: trace.rows, promptScale: setting.promptScale, maxTokens: MAX_TOKENS },
    ...{ outputs: 'trace', contextTokens, tenants: 1, firstTenantShare: 1, seed: 1 },
  });
  const filling = loadThatFills(machine, workload);
  if (filling === null) throw new Error('not one request fits');
  return filling.requestsPerSecond;
}

function rowsOf(trace: Trace): readonly TraceRow[] {
  return Array.from(trace.atMs, (atMs, row) => ({
    atMs,
    promptTokens: trace.promptTokens[row] ?? 1,
    outputTokens: trace.outputTokens[row] ?? 1,
  }));
}

/** Only where it is not there as it should be: a run may be reading it. */
function written(folder: string, name: string, trace: Trace): string {
  const path = join(folder, name);
  const text = asAzureCsv(trace);
  mkdirSync(folder, { recursive: true });
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text);
  return path;
}
