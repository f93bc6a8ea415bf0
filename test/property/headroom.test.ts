/** Whatever comes, the headroom stays inside its limits and moves for a reason. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  cutHeadroom,
  fullHeadroom,
  HEADROOM_COOLDOWN_MS,
  type HeadroomSignal,
  MIN_HEADROOM_SHARE,
  raiseHeadroom,
} from '../../proxy/policy/headroom.ts';

const signal = fc.constantFrom<HeadroomSignal>('preemption', 'overflow', 'oom', 'death', 'brake');
/** Time passed since the event before, and a signal or a look at the clock. */
const event = fc.tuple(fc.nat(30_000), fc.option(signal, { freq: 2 }));

test('it falls only by a signal, rises only by quiet, and ends at 1 once it is quiet', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      let state = fullHeadroom(0);
      let nowMs = 0;
      let lastMoveMs = Number.NEGATIVE_INFINITY;
      for (const [passedMs, given] of events) {
        nowMs += passedMs;
        const next =
          given === null ? raiseHeadroom(state, nowMs) : cutHeadroom(state, given, nowMs);
        expect(next.share).toBeGreaterThanOrEqual(MIN_HEADROOM_SHARE);
        expect(next.share).toBeLessThanOrEqual(1);
        if (given === null) expect(next.share).toBeGreaterThanOrEqual(state.share);
        else expect(next.share).toBeLessThanOrEqual(state.share);
        if (next.share > state.share) {
          // A whole cooldown of quiet came before: no rise right after a cut.
          expect(nowMs - lastMoveMs).toBeGreaterThanOrEqual(HEADROOM_COOLDOWN_MS);
        }
        if (given !== null && next.share < state.share) lastMoveMs = nowMs;
        state = next;
      }
      expect(raiseHeadroom(state, nowMs + 26 * HEADROOM_COOLDOWN_MS).share).toBe(1);
    }),
    { numRuns: 200 },
  );
});

test('signs that all come within one cooldown take no more than the strongest of them', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(HEADROOM_COOLDOWN_MS - 1), signal), { minLength: 1, maxLength: 20 }),
      (signs) => {
        const inOrder = [...signs].sort(([a], [b]) => a - b);
        const [startMs = 0] = inOrder[0] ?? [];
        const alone = signs.map(([, one]) => cutHeadroom(fullHeadroom(0), one, startMs).share);
        const all = inOrder.reduce(
          (state, [atMs, one]) => cutHeadroom(state, one, atMs),
          fullHeadroom(0),
        );
        expect(all.share).toBe(Math.min(...alone));
      },
    ),
    { numRuns: 200 },
  );
});
