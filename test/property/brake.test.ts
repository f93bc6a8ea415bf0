/** Whatever runs: once it has acted memory lasts, or nobody is left who could go. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type BrakeLease, planBrake } from '../../proxy/policy/brake.ts';

const lease: fc.Arbitrary<BrakeLease> = fc
  .record({
    heldUnits: fc.nat(100),
    growth: fc.nat(20),
    state: fc.constantFrom('silent', 'answered', 'leaving', 'fixed'),
    takenAtMs: fc.nat(5),
  })
  .map(({ growth, ...rest }) => ({ ...rest, laterUnits: rest.heldUnits + growth }));

const input = fc
  .record({
    capacityUnits: fc.nat(400),
    reserveUnits: fc.nat(50),
    othersUnits: fc.nat(100),
    leases: fc.array(lease, { maxLength: 10 }),
    isOn: fc.boolean(),
  })
  .map(({ capacityUnits, reserveUnits, ...rest }) => ({
    ...rest,
    limits: { capacityUnits, endUnits: capacityUnits + reserveUnits },
  }));

const sum = (leases: readonly BrakeLease[]) =>
  leases.reduce((units, { laterUnits }) => units + laterUnits, 0);
const may = (leases: readonly BrakeLease[], state: BrakeLease['state']) =>
  leases.filter((each) => each.state === state && each.laterUnits > 0);

test('it makes go whom it must and nobody else', () => {
  fc.assert(
    fc.property(input, (given) => {
      const { leases, othersUnits, limits } = given;
      const plan = planBrake(given);
      const staying = leases.filter(({ state }) => state !== 'leaving');
      const laterUnits = othersUnits + sum(staying);
      const { takeBack, end } = plan.state === 'act' ? plan : { takeBack: [], end: [] };
      const leftUnits = laterUnits - sum(takeBack);
      // Only those who may, in their order.
      expect(may(leases, 'silent')).toEqual(expect.arrayContaining([...takeBack]));
      expect(may(leases, 'answered')).toEqual(expect.arrayContaining([...end]));
      if (end.length > 0) expect(takeBack).toHaveLength(may(leases, 'silent').length);
      // Enough, or all.
      if (takeBack.length < may(leases, 'silent').length) {
        expect(leftUnits).toBeLessThanOrEqual(limits.capacityUnits);
      }
      if (end.length < may(leases, 'answered').length) {
        expect(leftUnits - sum(end)).toBeLessThanOrEqual(limits.endUnits);
      }
      // Nobody needlessly.
      if (laterUnits <= limits.capacityUnits) expect(plan.state).not.toBe('act');
      for (const each of takeBack) {
        if (leftUnits > limits.capacityUnits) break;
        expect(leftUnits + each.laterUnits).toBeGreaterThan(limits.capacityUnits);
      }
      for (const each of end) {
        if (leftUnits - sum(end) > limits.endUnits) break;
        expect(leftUnits - sum(end) + each.laterUnits).toBeGreaterThan(limits.endUnits);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('what it says may still come to be held can come without anybody having to go', () => {
  fc.assert(
    fc.property(input, (given) => {
      const plan = planBrake(given);
      if (plan.state === 'act') return;
      const extra = {
        heldUnits: 0,
        laterUnits: plan.slackUnits,
        state: 'fixed',
        takenAtMs: 9,
      } as const;
      expect(planBrake({ ...given, leases: [...given.leases, extra] }).state).not.toBe('act');
    }),
    { numRuns: 1_000 },
  );
});
