/** How true predicted waits were is told of those who were admitted, and of nobody else. */
import { expect, test } from '@jest/globals';
import { admissionRequest, stateWorld } from '../support/state-world.ts';
import { settle } from '../support/virtual-clock.ts';

/** 2 ms for each token of output, nothing for a prompt. */
const TWO_MS_A_TOKEN = { promptTokens: 100, outputTokens: 100, ttftMs: 0, totalMs: 200 };

/** A pool of 10,000 tokens that one request fills, and a second one that waits for its end. */
async function oneWaits(learned: boolean) {
  const world = stateWorld({ policy: { reserve: 'worst-case' } });
  if (learned) world.speeds.learn('a', TWO_MS_A_TOKEN);
  const request = () =>
    admissionRequest({ shape: { hasTools: true, requestedOutputTokens: 5_000 } });
  const first = await world.admission.admit(request(), new AbortController().signal);
  if (first.outcome !== 'admitted') throw new Error(first.outcome);
  const client = new AbortController();
  const second = world.admission.admit(request(), client.signal);
  await settle();
  const told = () => world.counted.filter(([what]) => what === 'waitPredicted');
  return { ...world, first: first.admitted.lease, second, client, told };
}

test('the predicted wait and the real one of who was admitted', async () => {
  const { clock, first, second, told } = await oneWaits(true);
  clock.advance(8_000);
  first.end();
  expect(await second).toMatchObject({ outcome: 'admitted' });
  expect(told()).toEqual([['waitPredicted', { predictedMs: 10_000, realMs: 8_000 }]]);
});

test('nothing, where no wait was predicted', async () => {
  const { clock, first, second, told } = await oneWaits(false);
  clock.advance(8_000);
  first.end();
  expect(await second).toMatchObject({ outcome: 'admitted' });
  expect(told()).toEqual([]);
});

test('nothing of who left, or waited in vain', async () => {
  const left = await oneWaits(true);
  left.client.abort();
  expect(await left.second).toEqual({ outcome: 'abandoned' });
  const late = await oneWaits(true);
  late.clock.advance(60_000);
  expect(await late.second).toMatchObject({ outcome: 'rejected' });
  expect([left.told(), late.told()]).toEqual([[], []]);
});
