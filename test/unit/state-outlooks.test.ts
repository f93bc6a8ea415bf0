/** What is foreseen of an instance's leases together. */
import { expect, test } from '@jest/globals';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import { Outlooks } from '../../proxy/state/outlooks.ts';
import { requestShape } from '../support/decision.ts';
import { CHAT } from '../support/scanned-request.ts';
import { admissionRequest, serving, stateWorld } from '../support/state-world.ts';

const CAPACITY = 10_000;

/** Outputs have 10 tokens, but for one of ten: that has 900. Prompts take no time. */
function world() {
  const made = stateWorld();
  made.speeds.learn('a', { promptTokens: 100, outputTokens: 100, ttftMs: 0, totalMs: 1_000 });
  const key = lengthKey(requestShape(), CHAT, 1_000);
  for (let index = 0; index < 1_000; index += 1) {
    const outputTokens = index % 10 === 0 ? 900 : 10;
    made.lengths.learn(key, { outputTokens, endedBy: 'itself', forecastQ95Tokens: null });
  }
  const { ledger, lengths, speeds, clock, pools } = made;
  const policy = { reserve: 'chance', overrunProbability: 0.3 } as const;
  const foreseenBy = () => new Outlooks({ ledger, lengths, speeds, clock }, policy);
  const look = (outlooks: Outlooks) => {
    outlooks.of(serving(pools, 'a'), CAPACITY, 0);
    return outlooks.leasedUnits('a');
  };
  return { ...made, foreseenBy, look };
}

async function admitted(made: ReturnType<typeof world>) {
  const result = await made.admission.admit(admissionRequest(), new AbortController().signal);
  if (result.outcome !== 'admitted') throw new Error('not admitted');
  return result.admitted.lease;
}

test('units that a neighbour needs are as of now, though nobody asked for that one lately', async () => {
  const made = world();
  const outlooks = made.foreseenBy();
  made.look(outlooks);
  const lease = await admitted(made);
  lease.generated(1);
  const before = outlooks.leasedUnits('a');
  lease.generated(400);
  made.clock.advance(4_000);
  const now = made.look(made.foreseenBy());
  expect(now).toBeGreaterThan(before);
  expect(outlooks.leasedUnits('a')).toBe(now);
});

test('a lease that has ended is forgotten', async () => {
  const made = world();
  const outlooks = made.foreseenBy();
  made.look(outlooks);
  const lease = await admitted(made);
  expect(outlooks.leasedUnits('a')).toBeGreaterThan(1_000);
  lease.drain(made.clock.nowMs());
  lease.end();
  expect(outlooks.leasedUnits('a')).toBe(0);
});

test('a future lasts for its first steps at the fastest speed that was seen, not at the mean', async () => {
  const made = world();
  // Ten times as slow from now on: the mean step is slower, and the next may be as fast as before.
  for (let index = 0; index < 3; index += 1) {
    made.speeds.learn('a', { promptTokens: 100, outputTokens: 100, ttftMs: 0, totalMs: 10_000 });
  }
  const outlooks = made.foreseenBy();
  const lease = await admitted(made);
  lease.generated(2);
  made.look(outlooks);
  const fastestMs = made.speeds.fastestStepMs('a') ?? Number.NaN;
  lease.generated(12);
  made.clock.advance(8 * fastestMs);
  expect(made.look(outlooks)).toBe(made.look(made.foreseenBy()));
});
