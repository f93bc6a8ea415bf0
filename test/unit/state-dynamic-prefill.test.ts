/** Prefills of a server that allocates for each request: one after the other, and no pressure. */
import { expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { DynamicLayout } from '../../proxy/memory/kv-layout.ts';
import { FOUR_BYTE_MODEL } from '../support/decision.ts';
import { admissionRequest, serving, stateWorld } from '../support/state-world.ts';

const DYNAMIC: DynamicLayout = {
  model: 'dynamic',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  attention: 'flash',
};
const TOTAL_BYTES = 4_000_000;

/** A long output comes to more than the prefill of a short prompt took. */
const DEEP: DynamicLayout = {
  ...DYNAMIC,
  spec: {
    ...FOUR_BYTE_MODEL,
    groups: [{ layers: 100, kvHeads: 1, keyDim: 1, valueDim: 1, windowTokens: null }],
  },
};

function world(layout = DYNAMIC, totalBytes = TOTAL_BYTES) {
  const made = stateWorld({ instances: [{ name: 'a', layout }] });
  made.source.sample({ A: 0 }, {}, totalBytes);
  const seen = () => made.views.instance(serving(made.pools, 'a'));
  const ask = (promptTokens: number, requestedOutputTokens = 100) => {
    const bounds = { lo: promptTokens, expected: promptTokens, hi: promptTokens };
    const shape = { promptTokens: { ...bounds, source: 'engine' as const } };
    const request = admissionRequest({ shape: { ...shape, requestedOutputTokens } });
    return made.admission.admit(request, new AbortController().signal);
  };
  return { ...made, seen, ask };
}

test('a long prompt waits until the one before it has its first token', async () => {
  const { ask, seen, ledger } = world();
  await ask(1_500);
  expect(seen().prefillTokens).toBe(1_500);
  const second = ask(1_500);
  const [lease] = ledger.leases('a');
  expect(ledger.leases('a').size).toBe(1);
  lease?.generated(1);
  expect(await second).toMatchObject({ outcome: 'admitted' });
});

test('and goes on then even where nothing of what was promised is given back', async () => {
  const { ask, ledger } = world(DEEP, 10 * TOTAL_BYTES);
  await ask(1_500, 8_000);
  const second = ask(1_500, 8_000);
  const [lease] = ledger.leases('a');
  const promisedUnits = ledger.totals('a').committedUnits;
  lease?.generated(1);
  expect(lease?.committedUnits).toBe(promisedUnits);
  expect(ledger.leases('a').size).toBe(2);
  expect(await second).toMatchObject({ outcome: 'admitted' });
});

test('nor does it wait for good for one of which nothing is seen', async () => {
  const { ask, ledger, speeds, clock, admission } = world();
  speeds.learn('a', { promptTokens: 1_000, outputTokens: 100, ttftMs: 100, totalMs: 1_100 });
  await ask(1_500);
  void ask(1_500);
  clock.advance(600);
  admission.pump();
  expect(ledger.leases('a').size).toBe(1);
  clock.advance(700);
  admission.pump();
  expect(ledger.leases('a').size).toBe(2);
});

test('but as long as it takes where only whole answers were seen before', async () => {
  const { ask, ledger, speeds, clock, admission } = world();
  speeds.learn('a', { promptTokens: 1_000, outputTokens: 100, ttftMs: null, totalMs: 1_100 });
  await ask(1_500);
  void ask(1_500);
  clock.advance(4_000);
  admission.pump();
  expect(ledger.leases('a').size).toBe(1);
});

test('short ones are prefilled side by side', async () => {
  const { ask, ledger } = world();
  await Promise.all([ask(900), ask(900)]);
  expect(ledger.leases('a').size).toBe(2);
});

test('what only prefill takes is no pressure', async () => {
  const { ask, ledger, views, pools, levels } = world();
  await ask(1_500);
  const charge = chargeOf(DYNAMIC, 1_500, 100, 1, 1);
  const [lease] = ledger.leases('a');
  expect(ledger.totals('a').heldUnits).toBe(charge.prefillUnits);
  views.refreshLevel(serving(pools, 'a'));
  const before = levels.pressure('a') ?? Number.NaN;
  lease?.generated(2);
  views.refreshLevel(serving(pools, 'a'));
  expect(before).toBeGreaterThan(0);
  expect(levels.pressure('a')).toBe(before);
});
