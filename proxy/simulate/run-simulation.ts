/** Puts a simulation together and runs it; `static:best` is run for every limit that may be the best. */
import { loadThatFills } from './load.ts';
import type { Machine } from './machine.ts';
import { frontOf, type Policy } from './policies.ts';
import { Quantiles } from './quantiles.ts';
import { resultOf, type SimulationResult } from './result.ts';
import { Score } from './score.ts';
import { Simulation } from './simulation.ts';
import { SimulationClock } from './virtual-clock.ts';
import type { Workload } from './workload.ts';
import type { Rules } from './world.ts';

export interface Experiment {
  readonly machine: Machine;
  readonly workload: Workload;
  readonly rules: Rules;
  readonly policy: Policy;
}

/** The search for the best limit never looks beyond this. */
const MOST_STATIC = 1_024;
/** It doubles the limit until goodput has fallen to this share of the best. */
const FALLEN_SHARE = 0.7;
/** Then it looks between the neighbours of the best, so many times. */
const REFINEMENTS = 4;

export async function runSimulation(experiment: Experiment): Promise<SimulationResult> {
  const { policy } = experiment;
  if (policy.name !== 'static') return runOnce(experiment, policy.name, 0);
  return policy.limit === null
    ? bestStatic(experiment)
    : runOnce(experiment, 'static', policy.limit);
}

async function runOnce(
  { machine, workload, rules }: Experiment,
  name: Policy['name'],
  limit: number,
): Promise<SimulationResult> {
  const clock = new SimulationClock();
  const score = new Score(quartilePrompts(workload));
  const engine = machine.newEngine();
  let retryErrors: readonly number[] = [];
  const simulation = new Simulation({
    ...{ workload, engine, clock, score },
    front: (stage) => {
      const front = frontOf(name, limit, { machine, rules, clock, engine, score }, stage);
      retryErrors = front.retryErrors ?? [];
      return front;
    },
  });
  const figures = await simulation.run();
  return resultOf({
    policy: name === 'static' ? `static:${limit}` : name,
    ...{ score, figures, machine, retryErrors },
    fillingLoad: loadThatFills(machine, workload),
  });
}

/** Prompt tokens up to which a prompt is of the first, second and third quartile of the workload. */
function quartilePrompts(workload: Workload): readonly number[] {
  const prompts = new Quantiles();
  for (let index = 0; index < workload.differentRequests; index += 1) {
    prompts.add(workload.at(index).promptTokens);
  }
  return [0.25, 0.5, 0.75].map((share) => prompts.at(share) ?? 0);
}

async function bestStatic(experiment: Experiment): Promise<SimulationResult> {
  const runs = new Map<number, SimulationResult>();
  const most = Math.min(MOST_STATIC, experiment.machine.maxSequences ?? MOST_STATIC);
  const at = async (limit: number) => {
    const known = runs.get(limit);
    if (known !== undefined) return known;
    const result = await runOnce(experiment, 'static', limit);
    runs.set(limit, result);
    return result;
  };
  for (let limit = 1; limit < 2 * most; limit *= 2) {
    const { goodput } = await at(Math.min(limit, most));
    if (goodput < FALLEN_SHARE * best(runs).result.goodput) break;
  }
  for (let round = 0; round < REFINEMENTS; round += 1) {
    const { limit } = best(runs);
    const tried = [...runs.keys()].sort((a, b) => a - b);
    const below = tried.filter((other) => other < limit).at(-1) ?? limit;
    const above = tried.find((other) => other > limit) ?? limit;
    await at(Math.round((below + limit) / 2));
    await at(Math.round((limit + above) / 2));
  }
  return best(runs).result;
}

function best(runs: ReadonlyMap<number, SimulationResult>) {
  let found: { limit: number; result: SimulationResult } | null = null;
  for (const [limit, result] of runs) {
    if (found === null || result.goodput > found.result.goodput) found = { limit, result };
  }
  if (found === null) throw new Error('no run to choose from');
  return found;
}
