/** Puts a simulation together and runs it; `static:best` is run for every limit that may be the best. */
import { bestOf, searchStatic } from './best-static.ts';
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
  const lastArrivalMs = workload.at(workload.requests - 1).atMs;
  const score = new Score(quartilePrompts(workload), lastArrivalMs);
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
  const results = new Map<number, SimulationResult>();
  const run = async (limit: number) => {
    const result = await runOnce(experiment, 'static', limit);
    results.set(limit, result);
    const { goodput, oom, overflow } = result;
    return { limit, goodput, died: oom + overflow };
  };
  const staticRuns = await searchStatic(run, experiment.machine.maxSequences);
  const best = results.get(bestOf(staticRuns)?.limit ?? 0);
  if (best === undefined) throw new Error('no run to choose from');
  return { ...best, staticRuns };
}
