/** Who must go before memory ends, and when nobody has to. */
import { describe, expect, test } from '@jest/globals';
import {
  type BrakeInput,
  type BrakeLease,
  overrunHurts,
  planBrake,
} from '../../proxy/policy/brake.ts';
import { FOUR_BYTE_MODEL, PAGED, SPLIT, UNIFIED } from '../support/decision.ts';

interface Named extends BrakeLease {
  readonly name: string;
}

/** It will hold `units` and holds 10 less now; the later in the list the younger. */
function leases(...all: readonly [name: string, state: BrakeLease['state'], units: number][]) {
  return all.map(
    ([name, state, laterUnits], index): Named => ({
      name,
      state,
      laterUnits,
      heldUnits: laterUnits - 10,
      takenAtMs: index,
    }),
  );
}

function plan(all: readonly Named[], change: Partial<BrakeInput<Named>> = {}) {
  const limits = { capacityUnits: 100, endUnits: 100 };
  const result = planBrake({ limits, othersUnits: 0, leases: all, isOn: false, ...change });
  if (result.state !== 'act') return result.state;
  const names = (chosen: readonly Named[]) => chosen.map(({ name }) => name);
  return { takeBack: names(result.takeBack), end: names(result.end) };
}

const back = (...takeBack: string[]) => ({ takeBack, end: [] });
const ended = (...end: string[]) => ({ takeBack: [], end });

describe('what all will hold decides', () => {
  test.each([
    ['it fits to the unit', leases(['a', 'silent', 60], ['b', 'answered', 40]), {}, 'ok'],
    ['one unit more', leases(['a', 'silent', 60], ['b', 'answered', 41]), {}, back('a')],
    ['others hold it too', leases(['a', 'silent', 60]), { othersUnits: 41 }, back('a')],
    ['nobody is there to go', [], { othersUnits: 101 }, 'hold'],
    ['no capacity is known', leases(['a', 'silent', 101]), { limits: null }, 'ok'],
    [
      'those who leave are gone by then',
      leases(['a', 'leaving', 90], ['b', 'silent', 90]),
      {},
      'ok',
    ],
    ['whom no engine would let go of stays', leases(['a', 'fixed', 101]), {}, 'hold'],
    ['who holds nothing need not go', leases(['a', 'fixed', 101], ['b', 'silent', 0]), {}, 'hold'],
  ])('%s', (_name, all, change, expected) => {
    expect(plan(all, change)).toEqual(expected);
  });
});

describe('who goes', () => {
  test.each([
    [
      'the youngest',
      leases(['a', 'silent', 50], ['b', 'silent', 50], ['c', 'silent', 50]),
      back('c'),
    ],
    [
      'the youngest whose memory is enough, alone',
      leases(['a', 'silent', 60], ['b', 'silent', 60], ['c', 'silent', 10]),
      back('b'),
    ],
    [
      'several, where none is enough',
      leases(['a', 'fixed', 90], ['b', 'silent', 20], ['c', 'silent', 20]),
      back('c', 'b'),
    ],
    [
      'but none whom the others make needless',
      leases(['a', 'fixed', 65], ['b', 'silent', 30], ['c', 'silent', 10], ['d', 'silent', 30]),
      back('d', 'c'),
    ],
    [
      'streams stay while others are enough',
      leases(['a', 'silent', 60], ['b', 'answered', 60]),
      back('a'),
    ],
    [
      'the youngest stream, at last',
      leases(['a', 'answered', 60], ['b', 'answered', 60]),
      ended('b'),
    ],
    [
      'everybody who has sent nothing before any stream',
      leases(['a', 'silent', 10], ['b', 'answered', 60], ['c', 'answered', 60]),
      { takeBack: ['a'], end: ['c'] },
    ],
  ])('%s', (_name, all, expected) => {
    expect(plan(all)).toEqual(expected);
  });

  test('streams may use what is kept in reserve', () => {
    const limits = { capacityUnits: 100, endUnits: 120 };
    const streams = leases(['a', 'answered', 60], ['b', 'answered', 60]);
    expect(plan(streams, { limits })).toBe('hold');
    expect(plan(streams, { limits, othersUnits: 1 })).toEqual(ended('b'));
  });
});

describe('once it is on', () => {
  test.each([
    ['room for one lookahead', 81, 'hold'],
    ['room for two', 80, 'ok'],
  ])('%s beside all who run', (_name, units, expected) => {
    expect(plan(leases(['a', 'answered', units], ['b', 'leaving', 0]), { isOn: true })).toBe(
      expected,
    );
  });

  test('those who leave are waited for', () => {
    const all = leases(['a', 'answered', 40], ['b', 'leaving', 60]);
    expect(plan(all, { isOn: true })).toBe('hold');
    expect(plan(all.slice(0, 1), { isOn: true })).toBe('ok');
  });
});

test('an overrun hurts where the engine does not contain it', () => {
  const dynamic = {
    model: 'dynamic',
    spec: FOUR_BYTE_MODEL,
    kvBytesPerElement: 2,
    attention: 'flash',
  } as const;
  expect([dynamic, UNIFIED, SPLIT, PAGED].map(overrunHurts)).toEqual([true, true, false, false]);
});
