/** What a request really cost, once it has ended. */
import { expect, test } from '@jest/globals';
import type { Turn } from '../../proxy/policy/fair-order.ts';
import { heldCost } from '../../proxy/policy/held-cost.ts';
import type { Lease } from '../../proxy/state/lease.ts';
import { TrueUps } from '../../proxy/state/true-ups.ts';
import { requestShape } from '../support/decision.ts';
import { admissionRequest, stateWorld } from '../support/state-world.ts';

const HELD_MS = 4_000;

/** The cost of one that is held for a while, as it is told to the line it waited in. */
async function costOf(stream: boolean, whileHeld: (lease: Lease) => void) {
  const { admission, clock } = stateWorld();
  const request = admissionRequest({ shape: requestShape({ stream }) });
  const result = await admission.admit(request, new AbortController().signal);
  if (result.outcome !== 'admitted') throw new Error('not admitted');
  const { lease } = result.admitted;
  const costs: number[] = [];
  const trueUps = new TrueUps(clock, { trueUp: (_turn, _pool, cost) => void costs.push(cost) });
  const turn: Turn = { priority: 'normal', tenant: 'a', cost: 1 };
  trueUps.remember(request.id, turn, 'default');
  whileHeld(lease);
  clock.advance(HELD_MS);
  trueUps.ended(lease);
  trueUps.ended(lease);
  const of = (tokens: number) => heldCost(lease.terms.charge, tokens, HELD_MS);
  return { costs, of };
}

test('is by what was seen of its output, and told once', async () => {
  const { costs, of } = await costOf(true, (lease) => lease.generated(300));
  expect(costs).toEqual([of(300)]);
});

test('a stream that ends before its first token held its prompt', async () => {
  const { costs, of } = await costOf(true, () => {});
  expect(costs).toEqual([of(0)]);
});

test('a whole answer is what it came to', async () => {
  const { costs, of } = await costOf(false, (lease) => lease.generated(300));
  expect(costs).toEqual([of(300)]);
});

test('one that was never seen may have come to all it was granted', async () => {
  const { costs, of } = await costOf(false, () => {});
  expect(costs).toEqual([of(1_000)]);
});
