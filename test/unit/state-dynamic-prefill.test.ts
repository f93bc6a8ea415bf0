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

function world() {
  const made = stateWorld({ instances: [{ name: 'a', layout: DYNAMIC }] });
  made.source.sample({ A: 0 }, {}, TOTAL_BYTES);
  const seen = () => made.views.instance(serving(made.pools, 'a'));
  const ask = (promptTokens: number) => {
    const bounds = { lo: promptTokens, expected: promptTokens, hi: promptTokens };
    const shape = { promptTokens: { ...bounds, source: 'engine' as const } };
    const request = admissionRequest({ shape: { ...shape, requestedOutputTokens: 100 } });
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
