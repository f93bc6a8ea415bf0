/** What a signal takes from the headroom, and what quiet gives back. */
import { describe, expect, test } from '@jest/globals';
import {
  cutHeadroom,
  fullHeadroom,
  HEADROOM_COOLDOWN_MS,
  type HeadroomSignal,
  MIN_HEADROOM_SHARE,
  raiseHeadroom,
} from '../../proxy/policy/headroom.ts';

const COOLDOWN = HEADROOM_COOLDOWN_MS;

/** The share after signals at these times, without any quiet counted. */
function shareAfter(...signals: readonly (readonly [atMs: number, signal: HeadroomSignal])[]) {
  return signals.reduce(
    (state, [atMs, signal]) => cutHeadroom(state, signal, atMs),
    fullHeadroom(0),
  ).share;
}

describe('a signal', () => {
  test.each<[HeadroomSignal, number]>([
    ['preemption', 0.9],
    ['brake', 0.9],
    ['overflow', 0.8],
    ['death', 0.8],
    ['oom', 0.7],
  ])('%s leaves %d', (signal, share) => {
    expect(shareAfter([0, signal])).toBe(share);
  });

  test('a burst counts once', () => {
    expect(shareAfter([0, 'preemption'], [1, 'preemption'], [COOLDOWN - 1, 'preemption'])).toBe(
      0.9,
    );
  });

  test('of a burst the strongest counts, in any order', () => {
    expect(shareAfter([0, 'preemption'], [1, 'overflow'], [2, 'oom'])).toBe(0.7);
    expect(shareAfter([0, 'oom'], [1, 'preemption'], [2, 'overflow'])).toBe(0.7);
  });

  test('the next burst cuts again, and no further than the limit', () => {
    expect(shareAfter([0, 'oom'], [COOLDOWN, 'preemption'])).toBe(0.63);
    expect(shareAfter([0, 'oom'], [COOLDOWN, 'oom'], [2 * COOLDOWN, 'oom'])).toBe(
      MIN_HEADROOM_SHARE,
    );
  });
});

describe('quiet', () => {
  const cut = cutHeadroom(fullHeadroom(0), 'preemption', 0);

  test.each([
    ['before a cooldown is over', COOLDOWN - 1, 0.9],
    ['after one', COOLDOWN, 0.92],
    ['after four and a half', 4.5 * COOLDOWN, 0.98],
    ['after five', 5 * COOLDOWN, 1],
    ['after a day', 86_400_000, 1],
  ])('%s', (_when, atMs, share) => {
    expect(raiseHeadroom(cut, atMs).share).toBe(share);
  });

  test('in small steps it gives the same as at once', () => {
    let state = cut;
    for (let atMs = 0; atMs <= 3 * COOLDOWN; atMs += 700) state = raiseHeadroom(state, atMs);
    expect(state.share).toBe(raiseHeadroom(cut, 3 * COOLDOWN - 1).share);
  });

  test('a signal that cuts no more begins it anew', () => {
    const again = cutHeadroom(cut, 'preemption', COOLDOWN - 1);
    expect(raiseHeadroom(again, 2 * COOLDOWN - 2).share).toBe(0.9);
    expect(raiseHeadroom(again, 2 * COOLDOWN - 1).share).toBe(0.92);
  });
});
