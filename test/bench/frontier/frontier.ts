/**
 * `npm run bench:frontier`: how near kvgate comes to somebody who knows every
 * output's length, and how far it is from what people do without it. Plays the
 * trace of KVGATE_TRACE and writes the tables of docs/frontier.md.
 *
 *   --quick         4,000 requests, two machines, two loads, no million
 *   --requests N    so many requests in each run in place of the whole trace, and no million
 *   --loads 2,10    only these loads
 *   --only TEXT     settings whose words contain it, nothing else and no extras
 *   --print         to stdout, not into the document
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readTrace } from '../../../proxy/simulate/traces/read-trace.ts';
import { type Figures, verdicts } from './bars.ts';
import { type Comparison, compared, LOADS } from './comparisons.ts';
import { fairnessRuns, limitRuns, millionRuns, recoveryRuns } from './extras.ts';
import { Runner } from './runs.ts';
import { allSettings, type Setting, slowSettings } from './settings.ts';
import {
  degradation,
  extraTable,
  fairnessTable,
  headline,
  machineTable,
  recoveryTable,
  summary,
} from './tables.ts';
import { type PreparedTrace, prepared } from './traces.ts';
import { settingWords } from './verdict.ts';

const DOCUMENT = 'docs/frontier.md';
const QUICK_REQUESTS = 4_000;
/** The loads that most bars are about. */
const FEW_LOADS = [2, 10];
const FOLDER = '.cache/frontier';

const NOTHING: Figures = {
  ...{ comparisons: [], slow: [], extras: [], fairness: [], recovery: [] },
};

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    requests: { type: 'string' },
    loads: { type: 'string' },
    only: { type: 'string' },
    print: { type: 'boolean', default: false },
  },
});

const path = process.env.KVGATE_TRACE;
if (path === undefined) {
  console.error('KVGATE_TRACE names no trace; docs/frontier.md says where to get one');
  process.exit(2);
}
const figures = await measured(path);
const tables = tablesOf(figures);
if (values.print) console.log(Object.values(tables).join('\n\n'));
else writeTables(tables);

async function measured(tracePath: string): Promise<Figures> {
  const trace = await readTrace(tracePath);
  const requests = requestsOfRun();
  const runner = new Runner({
    dist: process.env.KVGATE_DIST ?? 'dist',
    cacheFolder: join(FOLDER, 'results'),
    onResult: (done, total, seconds) => {
      process.stderr.write(`${done} of ${total} runs, the last took ${seconds.toFixed(1)} s\n`);
    },
  });
  const known = new Map<Setting, PreparedTrace>();
  const traceFor = (setting: Setting) => {
    const found = known.get(setting) ?? prepared(join(FOLDER, 'traces'), trace, setting);
    known.set(setting, found);
    return found;
  };
  const all = (
    settings: readonly Setting[],
    loads: readonly number[],
  ): Promise<readonly Comparison[]> => {
    const cells = chosen(settings).flatMap((setting) => loads.map((load) => ({ setting, load })));
    return Promise.all(
      cells.map(({ setting, load }) =>
        compared(runner, traceFor(setting), { setting, load, requests }),
      ),
    );
  };
  const [comparisons, slow] = await Promise.all([
    all(allSettings(), loadsOfRun()),
    all(slowSettings(), FEW_LOADS),
  ]);
  if (values.only !== undefined) return { ...NOTHING, comparisons, slow };
  const parts = { runner, traceFor, trace, folder: join(FOLDER, 'traces'), requests };
  const [limits, millions, fairness, recovery] = await Promise.all([
    limitRuns(parts),
    requests === null ? millionRuns(parts) : [],
    fairnessRuns(parts),
    recoveryRuns(parts),
  ]);
  return { comparisons, slow, extras: [...limits, ...millions], fairness, recovery };
}

function chosen(settings: readonly Setting[]): readonly Setting[] {
  const { quick, only } = values;
  return settings
    .filter(({ machine, promptScale }) => !quick || (machine.kvTokens < 100_000 && promptScale < 2))
    .filter((setting) => only === undefined || settingWords(setting).includes(only));
}

function tablesOf(all: Figures): Readonly<Record<string, string>> {
  const { comparisons, slow, extras, fairness, recovery } = all;
  return {
    scope: scopeOfRun(),
    summary: summary(verdicts(all)),
    'slow summary': summary(verdicts({ ...NOTHING, comparisons: slow })),
    headline: headline(comparisons),
    degradation: degradation(comparisons),
    slow: headline(slow),
    extras: extraTable(extras),
    fairness: fairnessTable(fairness),
    recovery: recoveryTable(recovery),
    machines: machineTable([...comparisons, ...slow]),
  };
}

function loadsOfRun(): readonly number[] {
  if (values.loads !== undefined) return values.loads.split(',').map(Number);
  return values.quick ? FEW_LOADS : LOADS;
}

/** null: the whole trace. */
function requestsOfRun(): number | null {
  if (values.quick) return QUICK_REQUESTS;
  return values.requests === undefined ? null : Number(values.requests);
}

function scopeOfRun(): string {
  const requests = requestsOfRun();
  if (requests === null) return 'Measured in full: every request of the trace in each run.';
  const machines = values.quick ? ' with the smallest machine' : '';
  return `Measured${machines} with the first ${requests.toLocaleString('en')} requests of the trace in each run.`;
}

/** Each table goes between its own pair of marks. */
function writeTables(all: Readonly<Record<string, string>>): void {
  let text = readFileSync(DOCUMENT, 'utf8');
  for (const [name, content] of Object.entries(all)) {
    const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
    const [from, until] = [text.indexOf(begin), text.indexOf(end)];
    if (from === -1 || until < from) throw new Error(`${DOCUMENT} has no place for ${name}`);
    text = `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(until)}`;
  }
  writeFileSync(DOCUMENT, text);
  process.stderr.write(`written: ${DOCUMENT}\n`);
}
