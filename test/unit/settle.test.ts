/** How a request that ran to its end is settled: what was asked, what was set, and what ended it. */
import { expect, test } from '@jest/globals';
import { Settlement } from '../../proxy/http/settle.ts';
import type { AdmissionRequest } from '../../proxy/state/judge.ts';
import type { SettledRequest } from '../../proxy/state/settled.ts';
import { PAGED, UNIFIED } from '../support/decision.ts';
import { CHAT } from '../support/scanned-request.ts';
import { admissionRequest, recordingMetrics, stateWorld } from '../support/state-world.ts';

interface Served {
  readonly outputTokens: number;
  readonly layout?: typeof PAGED | typeof UNIFIED;
  readonly shape?: Partial<AdmissionRequest['shape']>;
  readonly usedUnits?: number;
}

/** Admitted where answers had 1 to 100 tokens so far, and answered with so many. */
async function settledAfter({ outputTokens, layout = UNIFIED, shape, usedUnits }: Served) {
  const reading = usedUnits === undefined ? {} : { usedUnits };
  const { admission, lengths, clock } = stateWorld({
    instances: [{ name: 'a', layout, reading }],
    policy: { minOutputTokens: 50 },
  });
  const request = admissionRequest(shape === undefined ? {} : { shape });
  for (let length = 1; length <= 100; length += 1) {
    lengths.learn(
      { groups: ['[]'], kind: '[]' },
      { outputTokens: length, endedBy: 'itself', forecastQ95Tokens: null },
    );
  }
  const result = await admission.admit(request, new AbortController().signal);
  if (result.outcome !== 'admitted') throw new Error(result.outcome);
  const settled: SettledRequest[] = [];
  const { metrics } = recordingMetrics();
  const learners = [(one: SettledRequest) => void settled.push(one)];
  const settlement = new Settlement({ metrics, clock, learners });
  const usage = { promptTokens: 1_000, completionTokens: outputTokens, cachedTokens: null };
  settlement.begin(result.admitted, request.shape, CHAT, false).complete({ usage, outputTokens });
  return { settled: settled[0], charge: result.admitted.decision.charge };
}

const unasked = { requestedOutputTokens: null };

test('an answer beyond what was reserved for it, where nothing limits it, ended by itself', async () => {
  const { settled, charge } = await settledAfter({
    outputTokens: 500,
    layout: PAGED,
    shape: unasked,
  });
  expect(charge.outputTokens).toBeLessThan(500);
  expect(settled).toMatchObject({ outputTokens: 500, endedBy: 'itself' });
});

test.each<[string, Served, SettledRequest['endedBy']]>([
  ['below the limit asked', { outputTokens: 999 }, 'itself'],
  ['at the limit asked', { outputTokens: 1_000 }, 'asked_limit'],
  ['at the limit that was filled in', { outputTokens: 99, shape: unasked }, 'set_limit'],
  [
    'at the end of the context',
    { outputTokens: 9_000, layout: PAGED, shape: unasked },
    'set_limit',
  ],
])('an answer that ends %s', async (_what, served, endedBy) => {
  expect((await settledAfter(served)).settled).toMatchObject({ endedBy });
});

test('an answer that is cut at what a shrink left of its limit was cut by kvgate', async () => {
  const served = { shape: { requestedOutputTokens: 1_000 }, usedUnits: 8_200 };
  const { charge } = await settledAfter({ ...served, outputTokens: 1 });
  expect(charge.outputTokens).toBeLessThan(1_000);
  const { settled } = await settledAfter({ ...served, outputTokens: charge.outputTokens });
  expect(settled).toMatchObject({ endedBy: 'set_limit' });
});

test('a request that is sent again is one request that the level has changed', async () => {
  const { admission, clock } = stateWorld();
  const request = admissionRequest();
  const result = await admission.admit(request, new AbortController().signal);
  if (result.outcome !== 'admitted') throw new Error(result.outcome);
  const { metrics, counted } = recordingMetrics();
  const settlement = new Settlement({ metrics, clock, learners: [] });
  const decision = { ...result.admitted.decision, level: 'high' as const };
  const admitted = { ...result.admitted, decision };
  settlement.begin(admitted, request.shape, CHAT, true);
  settlement.begin(admitted, request.shape, CHAT, true);
  expect(counted).toEqual([['degraded', 'high']]);
});
