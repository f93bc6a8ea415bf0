/** The fair queue: everybody has a turn, nothing lies idle, and a flood drowns nobody. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { fairOrder, type Turn } from '../../proxy/policy/fair-order.ts';
import { CLASS_WEIGHTS, PRIORITIES } from '../../proxy/policy/priority.ts';
import { FairAccounts } from '../../proxy/state/fair-accounts.ts';
import { Queue, type QueueEntry } from '../../proxy/state/queue.ts';
import { admissionRequest, stateWorld } from '../support/state-world.ts';
import { settle, VirtualClock } from '../support/virtual-clock.ts';

const NEVER = new AbortController().signal;
const TIMEOUT_MS = 1e9;
const ALL_WEIGHTS = PRIORITIES.reduce((sum, priority) => sum + CLASS_WEIGHTS[priority], 0);

const turns: fc.Arbitrary<Turn> = fc.record({
  priority: fc.constantFrom(...PRIORITIES),
  tenant: fc.constantFrom('a', 'b', 'c', 'd'),
  cost: fc.integer({ min: 1, max: 100 }),
});

test('the order has everybody once, those of a tenant as they came, and is the same each time', () => {
  const charges = fc.array(turns, { maxLength: 10 });
  fc.assert(
    fc.property(fc.array(turns, { maxLength: 40 }), charges, (waiting, before) => {
      const accounts = new FairAccounts();
      for (const each of before) accounts.charge(each);
      accounts.advance(waiting);
      const order = fairOrder(waiting, accounts);
      expect(new Set(order)).toEqual(new Set(waiting));
      expect(order).toHaveLength(waiting.length);
      expect(fairOrder(waiting, accounts)).toEqual(order);
      for (const { tenant, priority } of waiting) {
        const own = (entries: readonly Turn[]) =>
          entries.filter((each) => each.tenant === tenant && each.priority === priority);
        expect(own(order)).toEqual(own(waiting));
      }
    }),
    { numRuns: 200 },
  );
});

test('nobody owes for ever: rounds forgive those who have gone, and debts are bounded', () => {
  const steps = fc.array(fc.tuple(turns, fc.integer({ min: 1, max: 10_000 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, turns, (served, waits) => {
      const accounts = new FairAccounts();
      for (const [turn, cost] of served) {
        accounts.charge(turn);
        accounts.trueUp(turn, cost);
        accounts.advance([waits]);
        expect(accounts.ofTenant(waits.priority, waits.tenant)).toBe(0);
        expect(accounts.ofClass(waits.priority)).toBe(0);
        expect(accounts.ofTenant(turn.priority, turn.tenant)).toBeLessThanOrEqual(80_000);
      }
      accounts.advance([]);
      expect(accounts.size).toBe(0);
    }),
    { numRuns: 100 },
  );
});

interface Sized {
  readonly units: number;
}

/** A queue before a memory of so many units, in which everything stays that comes in. */
function memoryOf(units: number) {
  const clock = new VirtualClock();
  const queue = new Queue<Sized, Sized>(clock, TIMEOUT_MS);
  const served: QueueEntry<Sized>[] = [];
  let freeUnits = units;
  return {
    clock,
    queue,
    served,
    free: (more: number) => {
      freeUnits += more;
    },
    get freeUnits() {
      return freeUnits;
    },
    join: (turn: Turn, size: number) => {
      const waiting = { units: size, sequences: 1, durationMs: null };
      void queue.wait({ units: size }, { ...turn, pool: 'p', waiting }, NEVER);
    },
    pump: () =>
      queue.pump((entry) => {
        if (entry.item.units > freeUnits) return { how: 'short' };
        freeUnits -= entry.item.units;
        served.push(entry);
        return { how: 'served', result: entry.item, holds: true };
      }),
  };
}

test('everybody is served within a bounded number of rounds, whoever keeps coming', () => {
  const who = fc.record({ priority: fc.constantFrom(...PRIORITIES), tenant: fc.nat({ max: 3 }) });
  const before = fc.array(who, { maxLength: 12 });
  const later = fc.array(fc.array(who, { maxLength: 4 }), { minLength: 260, maxLength: 260 });
  fc.assert(
    fc.property(before, who, later, (first, target, rounds) => {
      const { join, pump, free, served } = memoryOf(0);
      const turnOf = ({ priority, tenant }: typeof target): Turn => ({
        priority,
        tenant: `t${tenant}`,
        cost: 1,
      });
      for (const each of first) join(turnOf(each), 1);
      const own = first.filter(
        (each) => each.tenant === target.tenant && each.priority === target.priority,
      ).length;
      join({ ...turnOf(target), cost: 1.000001 }, 1);
      const bound = Math.ceil(((own + 1) * 4 * ALL_WEIGHTS) / CLASS_WEIGHTS[target.priority]) + 4;
      for (const arriving of rounds.slice(0, bound)) {
        for (const each of arriving) join(turnOf(each), 1);
        free(1);
        pump();
      }
      const isTarget = ({ cost }: Turn) => cost > 1;
      // What the bound leaves out is only a run that was too short for it.
      expect(bound > rounds.length || served.some(isTarget)).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('a large one is served however many small ones come and go', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 60, maxLength: 60 });
  fc.assert(
    fc.property(sizes, turns, (small, turn) => {
      const { join, pump, free, served } = memoryOf(0);
      join({ ...turn, cost: 1 }, 10);
      for (const units of small) {
        join({ priority: 'high', tenant: 'small', cost: 1 }, units);
        free(units);
        pump();
      }
      expect(served.some(({ item }) => item.units === 10)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('what is free is used: of equals nobody waits while there is room', () => {
  const steps = fc.array(fc.oneof(turns, fc.integer({ min: 1, max: 9 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (all) => {
      const memory = memoryOf(0);
      for (const step of all) {
        if (typeof step === 'number') memory.free(step);
        else memory.join(step, 3);
        memory.pump();
        expect(memory.queue.length === 0 || memory.freeUnits < 3).toBe(true);
      }
    }),
    { numRuns: 100 },
  );
});

/** The same sequence of numbers from 0 to 1 each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

interface Flood {
  readonly perSecond: number;
  readonly tokens: number;
  readonly ms: number;
}

const OTHERS = ['t1', 't2', 't3', 't4', 't5', 't6', 't7', 't8', 't9'];

/** One tenant floods, nine ask for a little more than their share; unit-seconds held by each. */
async function simulate({ perSecond, tokens, ms }: Flood, seconds: number) {
  const { clock, admission, read } = stateWorld({
    memory: { staleAfterMs: 1e9 },
    gpu: { staleAfterMs: 1e9 },
    policy: { queueMax: 64, reserve: 'worst-case', degrade: 'off' },
  });
  read('a', { maxSequences: 64 });
  const chance = seeded(7);
  const held = new Map<string, number>();
  const order: string[] = [];
  const ask = async (tenant: string, size: number, durationMs: number) => {
    const shape = { requestedOutputTokens: size - 1_000, hasTools: true };
    const result = await admission.admit(admissionRequest({ tenant, shape }), NEVER);
    if (result.outcome !== 'admitted') return;
    order.push(tenant);
    held.set(tenant, (held.get(tenant) ?? 0) + (size * durationMs) / 1000);
    clock.after(durationMs, () => {
      result.admitted.lease.generated(size - 1_000);
      result.admitted.lease.end();
    });
  };
  const STEP_MS = 20;
  // 10,000 units are ten shares of 1,000: 1,000 units for 2 s, every 2 s, are one of them.
  const everySteps = (0.9 * 2_000) / STEP_MS;
  for (let step = 0; step < (seconds * 1000) / STEP_MS; step += 1) {
    if (chance() < (perSecond * STEP_MS) / 1000) void ask('flood', tokens, ms);
    for (const [index, tenant] of OTHERS.entries()) {
      if ((step + 10 * index) % everySteps === 0) void ask(tenant, 1_000, 2_000);
    }
    await settle();
    clock.advance(STEP_MS);
    await settle();
  }
  const total = [...held.values()].reduce((sum, each) => sum + each, 0);
  return { order, total, shares: OTHERS.map((each) => (held.get(each) ?? 0) / (total / 10)) };
}

describe('a tenant that asks for ten times its share', () => {
  test.each<[what: string, flood: Flood]>([
    ['of requests like any other', { perSecond: 6, tokens: 1_000, ms: 2_000 }],
    ['of large requests that are long', { perSecond: 1, tokens: 3_000, ms: 4_000 }],
    ['of requests that take far longer than predicted', { perSecond: 6, tokens: 1_000, ms: 9_000 }],
  ])('%s leaves the others at least 90 %% of theirs', async (_what, flood) => {
    const { shares, total } = await simulate(flood, 120);
    expect(total).toBeGreaterThan(0.85 * 10_000 * 120);
    expect(Math.min(...shares)).toBeGreaterThan(0.9);
  });

  test('the same arrivals are served in the same order', async () => {
    const flood = { perSecond: 6, tokens: 2_000, ms: 2_000 };
    const [once, again] = [await simulate(flood, 15), await simulate(flood, 15)];
    expect(again.order).toEqual(once.order);
    expect(once.order.length).toBeGreaterThan(20);
  });
});
