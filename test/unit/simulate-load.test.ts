/** The rate of arrivals that fills the memory, and the requests that come at it. */
import { describe, expect, test } from '@jest/globals';
import { loadThatFills } from '../../proxy/simulate/load.ts';
import { traceOf } from '../../proxy/simulate/traces/trace.ts';
import { Workload, type WorkloadOptions } from '../../proxy/simulate/workload.ts';
import { machine } from '../support/machines.ts';
import { syntheticTrace } from '../support/synthetic-trace.ts';

const SPLIT = { engine: 'llamacpp', kvLayout: 'split', slots: 10, kvTokens: 25_600 } as const;

function workload(change: Partial<WorkloadOptions> = {}, rows = syntheticTrace(100)): Workload {
  return new Workload(rows, {
    requests: rows.rows,
    promptScale: 1,
    maxTokens: 1_000,
    outputs: 'trace',
    contextTokens: 131_072,
    tenants: 1,
    firstTenantShare: 1,
    seed: 1,
    ...change,
  });
}

const one = (promptTokens: number, outputTokens: number) =>
  traceOf([{ atMs: 0, promptTokens, outputTokens }]);

describe('the load that fills the memory', () => {
  test('slots of their own: as many requests as have slots, each a step for each token', () => {
    const split = machine(SPLIT);
    const load = loadThatFills(split, workload({}, one(100, 51)));
    // 10 slots, each with a request of 1 step of prefill and 50 of decoding.
    const { baseMs, perSequenceMs, perPrefillTokenMs, perKvTokenMs } = split.stepTime;
    const begun = 10 / 51;
    const stepMs =
      baseMs +
      begun * (50 * perSequenceMs + 100 * perPrefillTokenMs + 50 * (100 + 51 / 2) * perKvTokenMs);
    expect(load?.sequences).toBeCloseTo(10, 9);
    expect(load?.stepMs).toBeCloseTo(stepMs, 9);
    expect(load?.requestsPerSecond).toBeCloseTo((1000 * begun) / stepMs, 9);
  });

  test('one pool: what its requests hold, over their steps, is the pool', () => {
    const unified = machine({ ...SPLIT, kvLayout: 'unified', slots: 1_000 });
    const load = loadThatFills(unified, workload({}, one(1_000, 101)));
    // A mean of about 1,050 cells each; half a token is in the rounding of the middle.
    expect(load?.sequences).toBeCloseTo(25_600 / 1_050, 0);
  });

  test('who does not fit the empty memory is left out; where nobody does there is no such load', () => {
    const rows = traceOf([
      { atMs: 0, promptTokens: 100, outputTokens: 50 },
      { atMs: 1, promptTokens: 100_000, outputTokens: 50 },
    ]);
    const filled = loadThatFills(machine(), workload({}, rows));
    expect(filled?.tooLargeShare).toBe(0.5);
    const without = loadThatFills(machine(), workload({}, one(100, 50)));
    expect(filled?.requestsPerSecond).toBe(without?.requestsPerSecond);
    expect(loadThatFills(machine(), workload({}, one(100_000, 50)))).toBeNull();
  });
});

describe('the requests', () => {
  test('a short trace is repeated, at the mean rate that is wanted', () => {
    const repeated = workload({ requests: 1_000 });
    repeated.arriveAt(4);
    const times = Array.from({ length: 1_000 }, (_, index) => repeated.at(index).atMs);
    expect(times.every((atMs, index) => atMs >= (times[index - 1] ?? 0))).toBe(true);
    expect(times[999]).toBeGreaterThan(248_000);
    expect(times[999]).toBeLessThan(252_000);
    expect(repeated.at(250).promptTokens).toBe(repeated.at(50).promptTokens);
  });

  test('the part of a trace that is used comes at that rate too', () => {
    const part = workload({ requests: 50 });
    part.arriveAt(4);
    expect(part.at(49).atMs).toBeGreaterThan(10_000);
    expect(part.at(49).atMs).toBeLessThanOrEqual(12_500);
  });

  test('prompts are scaled, inside the context; outputs end at their limit or run to it', () => {
    const row = one(100, 500);
    expect(workload({ promptScale: 8, maxTokens: 200 }, row).at(0)).toMatchObject({
      promptTokens: 800,
      outputTokens: 200,
      askedTokens: 200,
    });
    expect(workload({ promptScale: 8, contextTokens: 1_300 }, row).at(0).promptTokens).toBe(300);
    expect(workload({ outputs: 'limit' }, row).at(0).outputTokens).toBe(1_000);
  });

  test('a tenant sends its share', () => {
    const shared = workload({ tenants: 5, firstTenantShare: 10, requests: 10_000 });
    const counts = new Map<string, number>();
    for (let index = 0; index < 10_000; index += 1) {
      const { tenant } = shared.at(index);
      counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
    }
    expect(counts.size).toBe(5);
    expect((counts.get('tenant-1') ?? 0) / 10_000).toBeCloseTo(10 / 14, 1);
    expect((counts.get('tenant-5') ?? 0) / 10_000).toBeCloseTo(1 / 14, 1);
  });
});
