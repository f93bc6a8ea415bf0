/** When leases are predicted to end, once it is known how long such answers are. */
import { describe, expect, test } from '@jest/globals';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import { requestShape } from '../support/decision.ts';
import { CHAT } from '../support/scanned-request.ts';
import { admissionRequest, serving, stateWorld } from '../support/state-world.ts';

const TEN_MS_A_TOKEN = {
  promptTokens: 1_000,
  outputTokens: 100,
  ttftMs: 1_000,
  totalMs: 2_000,
} as const;

/** Prompts at 1 ms a token, outputs at 10 ms; answers of 1 to 200 tokens, each as often. */
async function taughtWorld(stream = true) {
  const world = stateWorld();
  world.speeds.learn('a', TEN_MS_A_TOKEN);
  const key = lengthKey(requestShape(), CHAT, 1_000);
  for (let outputTokens = 1; outputTokens <= 200; outputTokens += 1) {
    world.lengths.learn(key, { outputTokens, endedBy: 'itself', forecastQ95Tokens: null });
  }
  const request = admissionRequest({ shape: { stream } });
  const result = await world.admission.admit(request, new AbortController().signal);
  if (result.outcome !== 'admitted') throw new Error('not admitted');
  const endsInMs = () => {
    // Of its equal parts the middle one: the median.
    const { freeing: parts } = world.views.instance(serving(world.pools, 'a'));
    const freeing = parts[Math.floor(parts.length / 2)];
    return freeing?.atMs == null ? null : freeing.atMs - world.clock.nowMs();
  };
  return { world, lease: result.admitted.lease, endsInMs, decision: result.admitted.decision };
}

test('a lease frees its memory in equal parts, as one of many like it would', async () => {
  const { world } = await taughtWorld();
  const { freeing, committedUnits } = world.views.instance(serving(world.pools, 'a'));
  const inMs = freeing.map(({ atMs }) => Math.round((atMs ?? 0) - world.clock.nowMs()));
  expect(inMs).toEqual([1_340, 2_000, 2_670]);
  expect(freeing.every(({ units }) => units === committedUnits / 3)).toBe(true);
});

test('the decision has the forecast in it', async () => {
  const { decision } = await taughtWorld();
  expect(decision.estimate.outputTokens).toEqual({
    q50Tokens: 100,
    q95Tokens: 191,
    q99Tokens: 198,
  });
});

describe('a lease that streams', () => {
  test('ends at the median, before its first token', async () => {
    const { endsInMs } = await taughtWorld();
    expect(endsInMs()).toBeCloseTo(1_000 + 100 * 10, 6);
  });

  test('and then at the median of those that are longer than what is out', async () => {
    const { world, lease, endsInMs } = await taughtWorld();
    world.clock.advance(1_500);
    lease.generated(100);
    expect(endsInMs()).toBeCloseTo(50 * 10, 6);
  });

  test('at its limit where hardly any was longer', async () => {
    const { lease, endsInMs } = await taughtWorld();
    lease.generated(195);
    expect(endsInMs()).toBeCloseTo((1_000 - 195) * 10, 6);
  });
});

describe('a lease that does not stream', () => {
  test('is taken to have produced what its time allows', async () => {
    const { world, endsInMs } = await taughtWorld(false);
    expect(endsInMs()).toBeCloseTo(2_000, 6);
    world.clock.advance(2_000);
    // 100 tokens are likely out; of the longer answers half have 150.
    expect(endsInMs()).toBeCloseTo(500, 6);
  });
});

describe('a lease whose client has left', () => {
  test('goes on as its time allows, and does not end later with every look', async () => {
    const { world, lease, endsInMs } = await taughtWorld();
    world.clock.advance(1_500);
    lease.generated(50);
    world.drains.drain(lease);
    expect(endsInMs()).toBeCloseTo(75 * 10, 6);
    world.clock.advance(500);
    // 100 are likely out.
    expect(endsInMs()).toBeCloseTo(50 * 10, 6);
  });

  test('is overdue once all that it may have had is likely out', async () => {
    const { world, lease, endsInMs } = await taughtWorld();
    lease.generated(50);
    world.drains.drain(lease);
    world.clock.advance(11_000);
    expect(endsInMs()).toBeNull();
  });
});
