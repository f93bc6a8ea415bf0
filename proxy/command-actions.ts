/** The commands that do one thing and end: each reads its own table of options. */
import { readCommandOptions } from './config/command-options.ts';
import { ESTIMATE_OPTIONS } from './config/estimate-options.ts';
import { type Problem, renderProblem } from './config/problem.ts';
import { REPLAY_OPTIONS } from './config/replay-options.ts';
import { SIMULATE_OPTIONS } from './config/simulate-options.ts';
import { TRAIN_OPTIONS } from './config/train-options.ts';

export const EXIT = { ok: 0, runtime: 1, usage: 2 } as const;

/** As the command line has them, by name without dashes. */
export type Flags = Readonly<Record<string, unknown>>;

export async function estimate(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(ESTIMATE_OPTIONS, flags);
  if (problems.length > 0) return refuse(problems);
  const estimating = await import('./estimate.ts');
  const result = await estimating.estimate(values);
  if (!('kvBytes' in result)) return refuse(result);
  console.log(values.json ? JSON.stringify(result, null, 2) : estimating.estimateReport(result));
  return EXIT.ok;
}

export async function simulate(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(SIMULATE_OPTIONS, flags);
  if (problems.length > 0) return refuse(problems);
  const simulating = await import('./simulate.ts');
  const simulated = await simulating.simulate(values);
  if (!('result' in simulated)) return refuse(simulated);
  const { series: _course, ...figures } = simulated.result;
  const title = `kvgate simulate: ${figures.policy}, ${values.model} on ${values.engine}, load ${values.load}`;
  const written = simulating.writeSimulation(values.out, title, simulated);
  if ('field' in written) return refuse([written]);
  if (values.json) console.log(JSON.stringify(figures, null, 2));
  else console.log(simulating.simulationReport(values, simulated));
  console.error(`written: ${written.join(', ')}`);
  return EXIT.ok;
}

export async function replay(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(REPLAY_OPTIONS, flags);
  if (problems.length > 0) return refuse(problems);
  const replaying = await import('./replay.ts');
  const replayed = await replaying.replay(values);
  if (!('control' in replayed)) return refuse(replayed);
  console.log(values.json ? JSON.stringify(replayed, null, 2) : replaying.replayReport(replayed));
  return EXIT.ok;
}

export async function train(flags: Flags): Promise<number> {
  const { values, problems } = readCommandOptions(TRAIN_OPTIONS, flags);
  const missing = [
    ...(values.log.length === 0 ? [missingFlag('log', 'the file of --decision-log')] : []),
    ...(values['state-dir'] === null ? [missingFlag('state-dir', 'a folder')] : []),
  ];
  const all = [...problems, ...missing];
  if (all.length > 0 || values['state-dir'] === null) return refuse(all);
  const learning = await import('./train.ts');
  try {
    console.log(await learning.train(values.log, values['state-dir']));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof learning.TrainError)) throw error;
    const { option, message } = error;
    if (option !== null) return refuse([{ field: option, source: `--${option}`, message }]);
    console.error(`kvgate: ${message}`);
    return EXIT.runtime;
  }
}

function missingFlag(field: string, what: string): Problem {
  return { field, source: `--${field}`, message: `is needed: pass --${field} with ${what}` };
}

/** Tells all that is wrong with what was asked. @returns the exit code */
export function refuse(problems: readonly Problem[]): number {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  console.error(`kvgate: ${count} in the configuration`);
  for (const problem of problems) console.error(`  ${renderProblem(problem)}`);
  return EXIT.usage;
}
