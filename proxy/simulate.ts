/** `kvgate simulate`: a trace, a machine and a policy in; figures, a table and a plot out. */
import type { ValuesOf } from './config/command-options.ts';
import { OPTIONS, type OptionValues } from './config/options.ts';
import type { Problem } from './config/problem.ts';
import { resolveConfig } from './config/resolve.ts';
import type { SIMULATE_OPTIONS } from './config/simulate-options.ts';
import { didYouMean } from './config/suggest.ts';
import type { LevelThresholds } from './policy/pressure.ts';
import { SIMULATED_ENGINES } from './simulate/engine-maker.ts';
import { loadThatFills } from './simulate/load.ts';
import { type Machine, machineOf, type SimulatedModel } from './simulate/machine.ts';
import { POLICY_WORDS, policyFrom } from './simulate/policies.ts';
import type { SimulationResult } from './simulate/result.ts';
import { runSimulation } from './simulate/run-simulation.ts';
import { readTrace } from './simulate/traces/read-trace.ts';
import { type Trace, TraceError } from './simulate/traces/trace.ts';
import { Workload } from './simulate/workload.ts';
import type { Rules } from './simulate/world.ts';

export { simulationReport, writeSimulation } from './simulate-report.ts';

export type SimulateValues = ValuesOf<typeof SIMULATE_OPTIONS>;

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const MODELS: readonly SimulatedModel[] = ['gpt-oss-20b', 'gpt-oss-120b'];

export interface Simulated {
  readonly result: SimulationResult;
  readonly machine: Machine;
  /** Of the pressure by which the machine's level is found. */
  readonly thresholds: LevelThresholds;
}

/** The result, or every problem with what was asked. Reads the trace. */
export async function simulate(values: SimulateValues): Promise<Simulated | readonly Problem[]> {
  const policy = policyFrom(values.policy);
  const model = MODELS.find((name) => name === values.model);
  const machine = model === undefined ? modelProblem(values.model) : machineFor(values, model);
  const trace = await traceFor(values);
  const problems = [
    ...(policy === null ? [policyProblem(values.policy)] : []),
    ...('field' in machine ? [machine] : []),
    ...('field' in trace ? [trace] : []),
  ];
  if (policy === null || 'field' in machine || 'field' in trace) return problems;
  const workload = workloadFor(values, trace, machine);
  const filling = loadThatFills(machine, workload);
  if (filling === null) {
    return [problem('kv-tokens', 'not one request of the trace fits the empty memory')];
  }
  workload.arriveAt(values.load * filling.requestsPerSecond);
  const rules = rulesFor(values);
  const { pressure, poolPressure } = rules.memory;
  return {
    result: await runSimulation({ machine, workload, rules, policy }),
    machine,
    thresholds: machine.layout.model === 'dynamic' ? pressure : poolPressure,
  };
}

function machineFor(values: SimulateValues, model: SimulatedModel): Machine | Problem {
  const { engine, gpus, slots, attention } = values;
  const machine = machineOf(
    {
      ...{ engine, model, gpus, slots, attention },
      gpuBytes: values['gpu-gb'] * GIB,
      gpuMemoryThreshold: values['gpu-memory-threshold'],
      safetyReserveBytes: values['mem-safety-reserve-mb'] * MIB,
      kvTokens: values['kv-tokens'],
      kvLayout: values['kv-layout'],
      maxSequences: values['max-num-seqs'],
    },
    SIMULATED_ENGINES,
  );
  return typeof machine === 'string' ? problem('gpu-gb', machine) : machine;
}

async function traceFor(values: SimulateValues): Promise<Trace | Problem> {
  const path = values.trace;
  if (path === null) return problem('trace', 'is needed: pass --trace with a file of requests');
  try {
    return await readTrace(path, values.requests ?? undefined);
  } catch (error) {
    if (!(error instanceof TraceError)) throw error;
    return problem('trace', `${path}: ${error.message}`);
  }
}

function workloadFor(values: SimulateValues, trace: Trace, machine: Machine): Workload {
  return new Workload(trace, {
    requests: values.requests ?? trace.rows,
    promptScale: values['prompt-scale'],
    maxTokens: values['max-tokens'],
    outputs: values.outputs,
    contextTokens: machine.layout.spec?.contextTokens ?? Number.POSITIVE_INFINITY,
    tenants: values.tenants,
    firstTenantShare: values['first-tenant-share'],
    seed: values.seed,
  });
}

/** As `serve` would resolve them. */
function rulesFor(values: SimulateValues): Rules {
  const defaults = Object.fromEntries(
    Object.entries(OPTIONS).map(([name, option]) => [name, option.default]),
  );
  const shared = Object.entries(values).filter(([name]) => Object.hasOwn(OPTIONS, name));
  // Every name of the table has a value of its own type: the option's default, or one that was checked by it.
  const all = { ...defaults, ...Object.fromEntries(shared) } as OptionValues;
  const files = { adminToken: null, apiKeys: [], backendApiKey: null, tls: null };
  return resolveConfig({
    values: all,
    files: { ...files, modelConfig: null, tokenizerPath: null },
    backends: [],
    adminListen: null,
    options: {},
  });
}

function modelProblem(given: string): Problem {
  const known = `${MODELS.join(' and ')} can be simulated${didYouMean(given, MODELS)}`;
  return problem('model', `${given.slice(0, 200)} is not one whose engine is modelled: ${known}`);
}

function policyProblem(given: string): Problem {
  const known = `one of ${POLICY_WORDS.join(', ')}${didYouMean(given, POLICY_WORDS)}`;
  return problem('policy', `${given.slice(0, 200)} is no policy, it must be ${known}`);
}

function problem(field: string, message: string): Problem {
  return { field, source: `--${field}`, message };
}
