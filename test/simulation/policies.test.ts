/**
 * Every policy before every kind of memory, at three times the load that fills
 * it: runs are repeatable, everybody is accounted for, and what kvgate is for holds.
 */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../proxy/config/load.ts';
import { loadThatFills } from '../../proxy/simulate/load.ts';
import type { MachineOptions } from '../../proxy/simulate/machine.ts';
import { policyFrom } from '../../proxy/simulate/policies.ts';
import type { SimulationResult } from '../../proxy/simulate/result.ts';
import { runSimulation } from '../../proxy/simulate/run-simulation.ts';
import { Workload } from '../../proxy/simulate/workload.ts';
import type { Rules } from '../../proxy/simulate/world.ts';
import { machine } from '../support/machines.ts';
import { syntheticTrace } from '../support/synthetic-trace.ts';

const POLICIES = ['kvgate', 'oracle', 'naive', 'static:12', 'none'] as const;
const REQUESTS = 250;

const MACHINES: Readonly<Record<string, Partial<MachineOptions>>> = {
  dynamic: { engine: 'transformers', kvTokens: 80_000 },
  paged: { engine: 'vllm' },
  'slots, one pool': { engine: 'llamacpp' },
  'slots apart': { engine: 'llamacpp', kvLayout: 'split', slots: 8, kvTokens: 60_000 },
};

function rules(): Rules {
  const flags = { backend: ['http://127.0.0.1:1'], 'mem-safety-reserve-mb': '0' };
  const loaded = loadConfig({ command: 'serve', flags, env: {} });
  if (!loaded.ok) throw new Error('defaults are no configuration');
  return loaded.config;
}

async function run(options: Partial<MachineOptions>, policy: string, seed = 1) {
  const made = machine(options);
  const workload = new Workload(syntheticTrace(REQUESTS, seed), {
    requests: REQUESTS,
    promptScale: 1,
    maxTokens: 500,
    outputs: 'trace',
    contextTokens: 131_072,
    tenants: 3,
    firstTenantShare: 1,
    seed,
  });
  workload.arriveAt(3 * (loadThatFills(made, workload)?.requestsPerSecond ?? 0));
  const named = policyFrom(policy);
  if (named === null) throw new Error(`${policy} is no policy`);
  return runSimulation({ machine: made, workload, rules: rules(), policy: named });
}

describe.each(Object.entries(MACHINES))('%s', (_name, options) => {
  const results = new Map<string, SimulationResult>();
  const of = (policy: string) => results.get(policy) as SimulationResult;
  beforeAll(async () => {
    for (const policy of POLICIES) results.set(policy, await run(options, policy));
  });

  test('the same seed gives the same log, another one another', async () => {
    for (const policy of ['kvgate', 'static:12']) {
      expect((await run(options, policy)).eventLogHash).toBe(of(policy).eventLogHash);
      expect((await run(options, policy, 2)).eventLogHash).not.toBe(of(policy).eventLogHash);
    }
  });

  test.each(POLICIES)('%s: everybody is accounted for', (policy) => {
    const result = of(policy);
    const { completed, rejected, oom, overflow, brake } = result;
    expect(completed + rejected + oom + overflow + brake.ended).toBe(REQUESTS);
    expect(result.requests).toBe(REQUESTS);
    const parts = [result.promptQuartiles, Object.values(result.tenants)];
    for (const groups of parts) {
      expect(groups.reduce((sum, { requests }) => sum + requests, 0)).toBe(REQUESTS);
      expect(groups.reduce((sum, group) => sum + group.completed, 0)).toBe(completed);
    }
    expect(result.goodput).toBeGreaterThan(0);
    expect(result.utilisation).toBeLessThanOrEqual(result.heldMemory.peak);
    expect(result.heldMemory.peak).toBeLessThanOrEqual(1);
    expect(result.series.points.length).toBeLessThanOrEqual(800);
  });

  test('behind kvgate no request runs out of memory, and the load is felt', () => {
    for (const policy of ['kvgate', 'oracle']) {
      const { oom, overflow } = of(policy);
      expect([policy, oom, overflow]).toEqual([policy, 0, 0]);
    }
    expect(of('kvgate').rejected).toBeGreaterThan(0);
    expect(of('kvgate').queueWaitMs.p50).toBeGreaterThan(0);
  });

  test('no more run at a time than static lets in, and no more wait than the queue holds', () => {
    expect(Math.max(...of('static:12').series.points.map(({ waiting }) => waiting))).toBe(64);
    expect(of('none').queueWaitMs.p50).toBeNull();
  });
});

test('without a guard memory runs out where the engine does not help itself', async () => {
  expect((await run(MACHINES.dynamic ?? {}, 'none')).oom).toBeGreaterThan(0);
  expect((await run(MACHINES['slots, one pool'] ?? {}, 'none')).overflow).toBeGreaterThan(0);
});

test('the plain formula lets in less than there is room for', async () => {
  const paged = MACHINES.paged ?? {};
  const [naive, kvgate] = [await run(paged, 'naive'), await run(paged, 'kvgate')];
  expect(naive.utilisation).toBeLessThan(0.7 * kvgate.utilisation);
  expect(naive.goodput).toBeLessThan(kvgate.goodput);
});

test('the best fixed concurrency is no worse than others', async () => {
  const split = MACHINES['slots apart'] ?? {};
  const best = await run(split, 'static:best');
  expect(best.policy).toMatch(/^static:\d+$/);
  expect(best.goodput).toBeGreaterThanOrEqual((await run(split, 'static:2')).goodput);
});

test('what is no policy is told apart', () => {
  expect(['static:0', 'static:', 'Oracle', ''].map(policyFrom)).toEqual([null, null, null, null]);
});
