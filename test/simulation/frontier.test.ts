/**
 * What `npm run bench:frontier` measures on real traffic, in miniature: lengths as people chat, at
 * twice the load that fills the memory. The bars here have a margin to what was seen.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../proxy/config/load.ts';
import { loadThatFills } from '../../proxy/simulate/load.ts';
import type { MachineOptions } from '../../proxy/simulate/machine.ts';
import { policyFrom } from '../../proxy/simulate/policies.ts';
import type { SimulationResult } from '../../proxy/simulate/result.ts';
import { runSimulation } from '../../proxy/simulate/run-simulation.ts';
import { Workload } from '../../proxy/simulate/workload.ts';
import { machine } from '../support/machines.ts';
import { chatTrace } from '../support/synthetic-trace.ts';

const REQUESTS = 1_200;
/** Enough to see whether a run can be repeated. */
const FEW_REQUESTS = 150;
const LOAD = 2;

const MACHINES: Readonly<Record<string, Partial<MachineOptions>>> = {
  dynamic: { engine: 'transformers', kvTokens: 120_000 },
  paged: { engine: 'vllm', kvTokens: 57_000 },
  unified: { engine: 'llamacpp', kvTokens: 57_000, slots: 128 },
  split: { engine: 'llamacpp', kvLayout: 'split', slots: 6, kvTokens: 96_000 },
};

async function run(
  options: Partial<MachineOptions>,
  policy: string,
  degrade: string,
  requests = REQUESTS,
) {
  const flags = { backend: ['http://127.0.0.1:1'], 'mem-safety-reserve-mb': '0', degrade };
  const loaded = loadConfig({ command: 'serve', flags, env: {} });
  const named = policyFrom(policy);
  if (!loaded.ok || named === null) throw new Error(`${policy} can't be configured`);
  const made = machine(options);
  const workload = new Workload(chatTrace(requests), {
    ...{ requests, promptScale: 1, maxTokens: 1_000, outputs: 'trace', seed: 1 },
    ...{ contextTokens: 131_072, tenants: 1, firstTenantShare: 1 },
  });
  workload.arriveAt(LOAD * (loadThatFills(made, workload)?.requestsPerSecond ?? 0));
  return runSimulation({ machine: made, workload, rules: loaded.config, policy: named });
}

/** Where what is left of goodput is not decided by a few long prompts or by slots. */
const COMPARED = ['paged', 'unified'];

describe.each(Object.entries(MACHINES))('%s', (name, options) => {
  const results = new Map<string, SimulationResult>();
  const of = (key: string) => results.get(key) as SimulationResult;
  beforeAll(async () => {
    results.set('default', await run(options, 'kvgate', 'seed'));
    results.set('off', await run(options, 'kvgate', 'off'));
    if (COMPARED.includes(name)) results.set('oracle', await run(options, 'oracle', 'off'));
  });

  test('nobody runs out of memory, and few are preempted', () => {
    for (const key of ['default', 'off']) {
      const { oom, overflow, preemptedShare } = of(key);
      expect([key, oom, overflow]).toEqual([key, 0, 0]);
      expect(preemptedShare).toBeLessThanOrEqual(0.01);
    }
  });

  if (COMPARED.includes(name)) {
    test('it admits nearly what one who knows all lengths admits', () => {
      // So short a run is half learning; on the whole trace the bar is 0.95 (docs/frontier.md).
      expect(of('off').goodput).toBeGreaterThanOrEqual(0.9 * of('oracle').goodput);
    });

    test('who is refused is told when there will be room', () => {
      const { requests, medianError } = of('default').retryAfter;
      expect(requests).toBeGreaterThan(20);
      expect(medianError).toBeLessThanOrEqual(0.25);
    });
  }

  test('the same run gives the same log', async () => {
    const [one, other] = [
      await run(options, 'kvgate', 'seed', FEW_REQUESTS),
      await run(options, 'kvgate', 'seed', FEW_REQUESTS),
    ];
    expect(other.eventLogHash).toBe(one.eventLogHash);
  });
});
