/** The heap of timers runs them as a plain list would, whatever is set and cancelled meanwhile. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SimulationClock } from '../../proxy/simulate/virtual-clock.ts';
import { VirtualClock } from '../support/virtual-clock.ts';

const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), ms: fc.integer({ min: -1, max: 20 }) }),
  fc.record({ do: fc.constant('nest' as const), ms: fc.integer({ min: 0, max: 9 }) }),
  fc.record({ do: fc.constant('cancel' as const), ms: fc.nat(200) }),
  fc.record({ do: fc.constant('move' as const), ms: fc.integer({ min: 0, max: 15 }) }),
);

test('timers run in order of their time, and of their age where that is equal', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const heap = new SimulationClock();
      const list = new VirtualClock();
      const ran: [string[], string[]] = [[], []];
      const cancels: [() => void, () => void][] = [];
      steps.forEach(({ do: what, ms }, index) => {
        const note = (side: 0 | 1, clock: VirtualClock | SimulationClock) => () => {
          ran[side].push(`${index} at ${clock.nowMs()}`);
          if (what === 'nest') clock.after(ms, () => ran[side].push(`in ${index}`));
        };
        if (what === 'cancel') for (const cancel of cancels[ms] ?? []) cancel();
        else if (what === 'move') {
          list.advance(ms);
          const untilMs = heap.nowMs() + ms;
          for (; heap.nextDueMs <= untilMs; heap.runDue()) heap.moveTo(heap.nextDueMs);
          heap.moveTo(untilMs);
        } else cancels.push([heap.after(ms, note(0, heap)), list.after(ms, note(1, list))]);
      });
      expect(ran[0]).toEqual(ran[1]);
      expect(heap.nextDueMs - heap.nowMs()).toBe(list.nextTimerInMs ?? Number.POSITIVE_INFINITY);
    }),
    { numRuns: 100 },
  );
});

test('time does not go back, and timers that were cancelled are forgotten', () => {
  const clock = new SimulationClock();
  clock.moveTo(50);
  clock.moveTo(10);
  expect(clock.nowMs()).toBe(50);
  for (let timer = 0; timer < 1_000; timer += 1) clock.after(timer, () => {})();
  expect(clock.nextDueMs).toBe(Number.POSITIVE_INFINITY);
  expect(clock.runDue()).toBe(false);
});
