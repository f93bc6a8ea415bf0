/** `kvgate train`: learns output lengths from decision logs, and keeps them where `serve` looks for them. */

import { stateText } from './state/lengths/learned-state.ts';
import { LengthForecasts } from './state/lengths/length-forecasts.ts';
import { openStateFolder } from './state-folder.ts';
import { readLog, TrainError } from './train-log.ts';
import { type Checked, trainReport } from './train-report.ts';

export { TrainError } from './train-log.ts';

/** Groups whose coverage is counted apart; more than are ever kept. */
const MAX_CHECKED = 256;

/**
 * Makes a state from the logs alone, in the order given, and writes it. The
 * first half is learned from; each answer of the second is forecast before it
 * is learned from as well, as in a running gate.
 * @returns what was learned, for people
 * @throws TrainError for a log or a folder that can't be used
 */
export async function train(logs: readonly string[], folder: string): Promise<string> {
  const store = await openStateFolder(folder).catch((error: unknown) => {
    throw new TrainError(`${folder} can't be used: ${String(error)}`, 'state-dir');
  });
  const found = await readLog(logs, () => {});
  if (found.answers === 0) {
    const bad = found.firstBad === null ? '' : `; ${found.badLines} bad lines, ${found.firstBad}`;
    throw new TrainError(`no line tells how long an answer was${bad}`, null);
  }
  const lengths = new LengthForecasts();
  const checked = new Map<string, Checked>();
  const half = Math.ceil(found.answers / 2);
  let seen = 0;
  await readLog(logs, ({ key, outcome }) => {
    const forecast = lengths.forecast(key);
    seen += 1;
    if (seen > half && forecast !== null && outcome.endedBy === 'itself') {
      count(checked, key.kind, outcome.outputTokens <= forecast.q95Tokens);
    }
    lengths.learn(key, { ...outcome, forecastQ95Tokens: forecast?.q95Tokens ?? null });
  });
  if (seen < found.answers) {
    throw new TrainError('the logs became shorter while they were read', 'log');
  }
  await store.write(stateText(lengths)).catch((error: unknown) => {
    throw new TrainError(`${folder} can't be written: ${String(error)}`, 'state-dir');
  });
  return trainReport({ folder, found, checked, summaries: lengths.summaries() });
}

function count(checked: Map<string, Checked>, kind: string, covered: boolean): void {
  const before = checked.get(kind) ?? { answers: 0, covered: 0 };
  if (checked.size >= MAX_CHECKED && !checked.has(kind)) return;
  checked.set(kind, {
    answers: before.answers + 1,
    covered: before.covered + (covered ? 1 : 0),
  });
}
