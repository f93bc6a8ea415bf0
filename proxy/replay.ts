/** `kvgate replay`: a decision log in, and what other settings would have done with its requests out. */
import type { ValuesOf } from './config/command-options.ts';
import type { OptionValues } from './config/options.ts';
import type { Problem } from './config/problem.ts';
import type { REPLAY_OPTIONS } from './config/replay-options.ts';
import { replaySettings } from './config/replay-settings.ts';
import { resolveConfig } from './config/resolve.ts';
import { UnreadableLog } from './log-lines.ts';
import { type ReadLogs, readLogs } from './replay-log.ts';
import { MAX_REQUESTS } from './simulate/replay/logged-traffic.ts';
import { type Played, playLog } from './simulate/replay/play-log.ts';

export { replayReport } from './replay-report.ts';

export type ReplayValues = ValuesOf<typeof REPLAY_OPTIONS>;

/** The first version whose logs have lines of type `settings` and `instance`. */
const SINCE = 'kvgate 0.1.0 on, but not from builds before its release';

export interface Replayed extends Played {
  readonly set: Readonly<Record<string, unknown>>;
  readonly lines: number;
  readonly badLines: number;
  readonly firstBad: string | null;
  /** Sentences on what bounds the result. */
  readonly notes: readonly string[];
}

/** The result, or every problem with what was asked. Reads the logs. */
export async function replay(values: ReplayValues): Promise<Replayed | readonly Problem[]> {
  const missing = [
    ...(values.log.length === 0 ? [problem('log', 'is needed: pass --log with a file')] : []),
    ...(values.set.length === 0 ? [problem('set', 'is needed: pass --set with NAME=VALUE')] : []),
  ];
  const read = values.log.length === 0 ? null : await readable(values.log);
  if (read === null || 'field' in read) {
    const { problems } = replaySettings({}, values.set);
    return [...missing, ...(read === null ? [] : [read]), ...problems];
  }
  const unusable = whyUnusable(read);
  const told = read.traffic.settings ?? {};
  const { logged, changed, set, problems } = replaySettings(told, values.set);
  const all = [...missing, ...unusable.map((why) => problem('log', why)), ...problems];
  if (all.length > 0) return all;
  const { traffic, ...counts } = read;
  const played = await playLog({
    traffic,
    control: rulesFrom(logged),
    changed: rulesFrom(changed),
    pollIntervalMs: logged['poll-interval-ms'],
  });
  return { ...played, ...counts, set, notes: notesOn(read) };
}

async function readable(logs: readonly string[]): Promise<ReadLogs | Problem> {
  try {
    return await readLogs(logs);
  } catch (error) {
    if (!(error instanceof UnreadableLog)) throw error;
    return problem('log', error.message);
  }
}

function whyUnusable({ traffic, lines, badLines, firstBad }: ReadLogs): readonly string[] {
  if (badLines * 2 > lines) {
    return [`${badLines} of ${lines} lines are none of a decision log; the first is ${firstBad}`];
  }
  const first = firstBad === null ? '' : `; ${badLines} lines are bad, the first is ${firstBad}`;
  if (traffic.requests.length === 0) return [`it holds no decision${first}`];
  const lacks = [
    ...(traffic.settings === null ? ['settings (what was decided by)'] : []),
    ...(traffic.instances.length === 0 ? ['instance (what memory there was)'] : []),
  ];
  if (lacks.length === 0) return [];
  return [`it has no line of type ${lacks.join(' and ')}; logs have them from ${SINCE}${first}`];
}

/** As `serve` would resolve them. */
function rulesFrom(values: OptionValues) {
  const files = { adminToken: null, apiKeys: [], backendApiKey: null, tls: null };
  return resolveConfig({
    values,
    files: { ...files, modelConfig: null, tokenizerPath: null },
    ...{ backends: [], adminListen: null, options: {} },
  });
}

function notesOn({ traffic, badLines, firstBad }: ReadLogs): readonly string[] {
  const { settingsChanges, leftOut } = traffic;
  const unknownMemory = traffic.instances.every(({ capacityUnits }) => capacityUnits === null);
  return [
    ...(badLines > 0 ? [`${badLines} bad lines left out, the first is ${firstBad}`] : []),
    ...(settingsChanges > 0
      ? [`the settings changed ${settingsChanges} times in the log; the control has the last ones`]
      : []),
    ...(leftOut > 0
      ? [`the first ${MAX_REQUESTS} requests are played; ${leftOut} further decisions are left out`]
      : []),
    ...(unknownMemory ? ['the log tells of no capacity: nothing is held against one'] : []),
  ];
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}
