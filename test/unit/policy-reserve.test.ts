/** Room now, and room ever. */
import { describe, expect, test } from '@jest/globals';
import { Future } from '../../proxy/policy/chance.ts';
import {
  capacityUnits,
  chargeFor,
  fitsEmpty,
  fitsNow,
  headroomAfter,
} from '../../proxy/policy/reserve.ts';
import type { Capacity, InstanceView } from '../../proxy/policy/types.ts';
import { instanceView, known, requestShape } from '../support/decision.ts';

const STALE: Capacity = { state: 'conservative', units: 900, aloneUnits: 1_000, why: '' };
const UNLIMITED: Capacity = { state: 'unlimited', why: '' };
const BLIND: Capacity = { state: 'blind', why: '' };

function charge(units: number, samplesPerPrompt = 1) {
  const shape = requestShape({ samplesPerPrompt });
  return chargeFor(instanceView(), shape, units / samplesPerPrompt, 0);
}

describe('room', () => {
  test.each<{
    what: string;
    view: Partial<InstanceView>;
    units: number;
    now: boolean;
    empty: boolean;
  }>([
    {
      what: 'just enough',
      view: { capacity: known(1_000), committedUnits: 600 },
      units: 400,
      now: true,
      empty: true,
    },
    {
      what: 'one too many',
      view: { capacity: known(1_000), committedUnits: 601 },
      units: 400,
      now: false,
      empty: true,
    },
    {
      what: 'more promised than there is, as a budget that shrank leaves it',
      view: { capacity: known(1_000), committedUnits: 1_200 },
      units: 1,
      now: false,
      empty: true,
    },
    {
      what: 'too large for the empty instance',
      view: { capacity: known(1_000) },
      units: 1_001,
      now: false,
      empty: false,
    },
    {
      what: 'stale readings',
      view: { capacity: STALE },
      units: 950,
      now: false,
      empty: true,
    },
    {
      what: 'room that others on the GPU take',
      view: { capacity: known(100, 1_000) },
      units: 101,
      now: false,
      empty: true,
    },
    { what: 'unlimited', view: { capacity: UNLIMITED }, units: 9_999, now: true, empty: true },
    { what: 'blind', view: { capacity: BLIND }, units: 1, now: false, empty: false },
    {
      what: 'no slot left',
      view: { sequences: 4 },
      units: 1,
      now: false,
      empty: true,
    },
    {
      what: 'the last slot',
      view: { sequences: 3 },
      units: 1,
      now: true,
      empty: true,
    },
    {
      what: 'the level holds back',
      view: { sequences: 2, concurrencyCap: 2 },
      units: 1,
      now: false,
      empty: true,
    },
  ])('$what', ({ view, units, now, empty }) => {
    expect(fitsNow(instanceView(view), charge(units), null)).toBe(now);
    expect(fitsEmpty(instanceView(view), charge(units))).toBe(empty);
  });

  test('several sequences need a slot each, but an idle instance takes any number', () => {
    expect(fitsNow(instanceView({ sequences: 2 }), charge(10, 2), null)).toBe(true);
    expect(fitsNow(instanceView({ sequences: 3 }), charge(10, 2), null)).toBe(false);
    expect(fitsNow(instanceView({ sequences: 0 }), charge(10, 5), null)).toBe(true);
  });

  test('units that may be filled', () => {
    expect([known(7), STALE, UNLIMITED, BLIND].map(capacityUnits)).toEqual([
      7,
      900,
      Number.POSITIVE_INFINITY,
      0,
    ]);
  });

  test('headroom is the share that stays free', () => {
    const view = instanceView({ capacity: known(1_000), committedUnits: 300 });
    expect(headroomAfter(view, charge(200))).toBeCloseTo(0.5, 12);
    expect(headroomAfter(instanceView({ capacity: UNLIMITED }), charge(200))).toBe(1);
  });
});

test('what leases hold now counts, whatever was foreseen of them', () => {
  const foreseen = (heldUnits: number) => ({
    future: new Future(1_000),
    heldUnits,
    othersUnits: 0,
    overrunProbability: 0.01,
    stepsPerPromptToken: 0,
    doubt: 0,
  });
  const fits = (heldUnits: number) =>
    fitsNow(
      instanceView({ capacity: known(1_000), outlook: foreseen(heldUnits) }),
      charge(400),
      null,
    );
  expect([fits(600), fits(601)]).toEqual([true, false]);
});
