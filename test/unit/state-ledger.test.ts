/** What a lease counts for while its request runs. */
import { expect, test } from '@jest/globals';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import { Ledger } from '../../proxy/state/ledger.ts';

const layout: SlotsLayout = {
  model: 'slots',
  spec: null,
  kvBytesPerElement: 2,
  unified: true,
  slots: 4,
  contextTokens: 4_096,
};

function take(ledger: Ledger, streams: boolean) {
  return ledger.take({
    requestId: 'r',
    instance: 'a',
    layout,
    charge: chargeOf(layout, 100, 1_000, 1, 1),
    sessionKey: null,
    streams,
    takenAtMs: 0,
  });
}

test('the engine growing under an answer that is not streamed is not taken for a stranger', () => {
  const ledger = new Ledger();
  take(ledger, false);
  expect(ledger.mostHeldUnits('a')).toBe(1_100);
});

test('a stream counts what was seen of it, until its client leaves and nothing is seen any more', () => {
  const ledger = new Ledger();
  const lease = take(ledger, true);
  lease.generated(50);
  expect(ledger.mostHeldUnits('a')).toBe(150);
  lease.drain(1);
  expect(ledger.mostHeldUnits('a')).toBe(1_100);
  expect(lease.end()).toBe(true);
  expect(ledger.mostHeldUnits('a')).toBe(0);
});

test('a second end is counted, and changes nothing', () => {
  const ledger = new Ledger();
  let twice = 0;
  ledger.onEndedTwice(() => {
    twice += 1;
  });
  const [first, second] = [take(ledger, true), take(ledger, true)];
  expect([first.end(), first.end()]).toEqual([true, false]);
  expect(twice).toBe(1);
  expect(ledger.totals('a').committedUnits).toBe(second.committedUnits);
});
