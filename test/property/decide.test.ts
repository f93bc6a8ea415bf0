/** What holds of every decision, in whatever world it is made. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide } from '../../proxy/policy/decide.ts';
import { degrade } from '../../proxy/policy/degrade.ts';
import { sameOutcome } from '../../proxy/policy/outcomes.ts';
import { capacityUnits } from '../../proxy/policy/reserve.ts';
import {
  type AdmitDecision,
  type DecideInput,
  type Decision,
  type InstanceView,
  sequencesOf,
} from '../../proxy/policy/types.ts';
import { decideInputs } from '../support/arbitrary-decision.ts';

const RUNS = { numRuns: 2_000 };

function isAdmission(decision: Decision): decision is AdmitDecision {
  return decision.action !== 'reject' && decision.action !== 'queue';
}

function chosen(input: DecideInput, decision: AdmitDecision) {
  const pool = input.pools.find(({ name }) => name === decision.pool);
  const instance = pool?.instances.find(({ name }) => name === decision.instance);
  if (pool === undefined || instance === undefined) throw new Error('chose what was not there');
  return { pool, instance };
}

/** Calls back with every admission; the rest of the inputs prove nothing here. */
function everyAdmission(check: (input: DecideInput, decision: AdmitDecision) => void): void {
  let seen = 0;
  fc.assert(
    fc.property(decideInputs, (input) => {
      const decision = decide(input);
      if (!isAdmission(decision)) return;
      seen += 1;
      check(input, decision);
    }),
    RUNS,
  );
  expect(seen).toBeGreaterThan(RUNS.numRuns / 20);
}

/** The same house with nobody in it, nobody waiting, and a current reading. */
function emptied(input: DecideInput): DecideInput {
  const empty = (instance: InstanceView): InstanceView => ({
    ...instance,
    committedUnits: 0,
    sequences: 0,
    freeing: [],
    capacity:
      'aloneUnits' in instance.capacity
        ? { ...instance.capacity, units: instance.capacity.aloneUnits }
        : instance.capacity,
  });
  return {
    ...input,
    session: null,
    queueLength: 0,
    pools: input.pools.map((pool) => ({
      ...pool,
      waiting: [],
      instances: pool.instances.map(empty),
    })),
  };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

describe('an admission', () => {
  test('is charged no more than was free, by nobody who waits', () => {
    everyAdmission((input, { charge, ...decision }) => {
      const { pool, instance } = chosen(input, { ...decision, charge });
      const free = capacityUnits(instance.capacity) - instance.committedUnits;
      expect(charge.peakUnits).toBeLessThanOrEqual(free);
      expect(pool.waiting).toEqual([]);
    });
  });

  test('keeps inside the limits of sequences, unless it runs alone', () => {
    everyAdmission((input, decision) => {
      const { instance } = chosen(input, decision);
      if (instance.sequences === 0) return;
      const together = instance.sequences + sequencesOf(input.shape);
      expect(together).toBeLessThanOrEqual(instance.maxSequences ?? together);
      expect(together).toBeLessThanOrEqual(instance.concurrencyCap ?? together);
    });
  });

  test('never raises what was asked for', () => {
    everyAdmission((input, { grant, charge }) => {
      const { requestedOutputTokens, temperature, topP } = input.shape;
      const asked = requestedOutputTokens ?? Number.POSITIVE_INFINITY;
      expect(charge.outputTokens).toBeLessThanOrEqual(asked);
      expect(grant.outputTokens ?? 0).toBeLessThanOrEqual(asked);
      expect(grant.sampling.temperature ?? 0).toBeLessThanOrEqual(temperature ?? 1);
      expect(grant.sampling.topP ?? 0).toBeLessThanOrEqual(topP ?? 1);
    });
  });

  test('says a max tokens only where it changes one, and reserves for what it says', () => {
    everyAdmission((input, { grant, charge }) => {
      const asked = input.shape.requestedOutputTokens;
      if (grant.outputTokens !== null) expect(charge.outputTokens).toBe(grant.outputTokens);
      else if (asked !== null) expect(charge.outputTokens).toBe(asked);
    });
  });

  test('grants no less than the floor of a shrink', () => {
    everyAdmission((input, decision) => {
      const { minOutputTokens, shrinkFloor } = input.config;
      const asked = input.shape.requestedOutputTokens;
      const granted = decision.charge.outputTokens;
      const useful = Math.min(minOutputTokens, asked ?? minOutputTokens);
      expect(granted).toBeGreaterThanOrEqual(useful);
      if (asked === null || decision.action !== 'shrink') return;
      const { level } = chosen(input, decision).instance;
      const afterLevel = degrade(input.shape, level, input.config, false).outputTokens ?? 0;
      expect(granted).toBeGreaterThanOrEqual(
        Math.min(afterLevel, Math.max(useful, asked * shrinkFloor)),
      );
    });
  });

  test('shrinks nobody who forbids it', () => {
    everyAdmission((input, decision) => {
      if (input.shape.hasTools || input.neverDegrade) expect(decision.action).not.toBe('shrink');
      if (!input.neverDegrade) return;
      expect(decision.grant.sampling).toEqual({});
      if (input.shape.requestedOutputTokens !== null)
        expect(decision.grant.outputTokens).toBeNull();
    });
  });
});

test('a decision follows from its input alone, and leaves it as it was', () => {
  fc.assert(
    fc.property(decideInputs, (input) => {
      const first = decide(deepFreeze(input));
      expect(decide(structuredClone(input))).toEqual(first);
      expect(sameOutcome(first, first)).toBe(true);
    }),
    RUNS,
  );
});

test('every figure of a decision is a whole number from 0 on', () => {
  fc.assert(
    fc.property(decideInputs, (input) => {
      const decision = decide(input);
      const { charge } = decision;
      const waitMs =
        decision.action === 'queue'
          ? decision.predictedWaitMs
          : decision.action === 'reject'
            ? decision.retryAfterMs
            : 0;
      for (const figure of [charge?.peakUnits, charge?.outputTokens, waitMs ?? 0]) {
        if (figure === undefined) continue;
        expect(Number.isSafeInteger(figure)).toBe(true);
        expect(figure).toBeGreaterThanOrEqual(0);
      }
    }),
    RUNS,
  );
});

test('less room never turns a refusal or a wait into an admission', () => {
  let refused = 0;
  fc.assert(
    fc.property(decideInputs, fc.nat(), fc.nat({ max: 20_000 }), (input, which, moreUnits) => {
      if (isAdmission(decide(input))) return;
      refused += 1;
      const all = input.pools.flatMap(({ instances }) => instances);
      const fuller = all[which % Math.max(1, all.length)]?.name;
      const pools = input.pools.map((pool) => ({
        ...pool,
        instances: pool.instances.map((instance) =>
          instance.name === fuller
            ? { ...instance, committedUnits: instance.committedUnits + moreUnits }
            : instance,
        ),
      }));
      expect(isAdmission(decide({ ...input, pools }))).toBe(false);
    }),
    RUNS,
  );
  expect(refused).toBeGreaterThan(RUNS.numRuns / 20);
});

test('never_fits is said of what an empty house could not take, and of nothing else', () => {
  const told = { never: 0, may: 0 };
  fc.assert(
    fc.property(decideInputs, (input) => {
      const { reason } = decide(input);
      if (reason === 'no_healthy_instance' || reason === 'telemetry_blind') return;
      const neverFits = reason === 'never_fits';
      told[neverFits ? 'never' : 'may'] += 1;
      expect(isAdmission(decide(emptied(input)))).toBe(!neverFits);
    }),
    RUNS,
  );
  expect(Math.min(told.never, told.may)).toBeGreaterThan(RUNS.numRuns / 20);
});

test('who is not large and belongs to no session is never refused by a limit of one', () => {
  fc.assert(
    fc.property(decideInputs, (input) => {
      const { reason } = decide({ ...input, session: null });
      expect(['session_busy', 'session_kv_limit', 'session_limit']).not.toContain(reason);
    }),
    RUNS,
  );
});

test('outcomes that are the same send a request to one place with one grant', () => {
  fc.assert(
    fc.property(decideInputs, fc.nat({ max: 3_000 }), (input, fewer) => {
      const atHi = decide(input);
      const atLo = decide({ ...input, promptTokens: Math.max(1, input.promptTokens - fewer) });
      expect(sameOutcome(atLo, atHi)).toBe(sameOutcome(atHi, atLo));
      if (!sameOutcome(atLo, atHi)) return;
      expect(atLo.action).toBe(atHi.action);
      expect(atLo.reason).toBe(atHi.reason);
      const place = (decision: Decision) => [
        'pool' in decision ? decision.pool : null,
        'instance' in decision ? decision.instance : null,
        'grant' in decision ? decision.grant : null,
      ];
      expect(place(atLo)).toEqual(place(atHi));
    }),
    RUNS,
  );
});
