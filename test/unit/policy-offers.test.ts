/** One instance as one request meets it. */
import { describe, expect, test } from '@jest/globals';
import type { DynamicLayout, KvLayout } from '../../proxy/memory/kv-layout.ts';
import {
  canEverFit,
  cutTo,
  fillsMissingMaxTokens,
  firmCharge,
  fitsAtOnce,
  offerOf,
} from '../../proxy/policy/offers.ts';
import type { InstanceView } from '../../proxy/policy/types.ts';
import {
  decideInput,
  FOUR_BYTE_MODEL,
  type InputChange,
  instanceView,
  known,
  learned,
  PAGED,
  poolView,
  SPLIT,
  UNIFIED,
} from '../support/decision.ts';

const DYNAMIC: DynamicLayout = {
  model: 'dynamic',
  spec: FOUR_BYTE_MODEL,
  kvBytesPerElement: 2,
  attention: 'flash',
};

function offer(given: InputChange = {}, view: Partial<InstanceView> = {}) {
  const input = decideInput(given);
  const instance = instanceView(view);
  return { input, offer: offerOf(input, poolView([instance]), instance) };
}

test.each<[string, KvLayout, boolean]>([
  ['dynamic', DYNAMIC, true],
  ['unified slots', UNIFIED, true],
  ['split slots', SPLIT, false],
  ['paged', PAGED, false],
])('%s: a missing max tokens is filled in: %s', (_what, layout, fills) => {
  expect(fillsMissingMaxTokens(instanceView({ layout }))).toBe(fills);
});

describe('output tokens, most and least', () => {
  test.each<{ what: string; given: InputChange; view?: object; most: number; least: number }>([
    { what: 'half of what is asked', given: {}, most: 1_000, least: 500 },
    {
      what: 'half of an odd number, rounded up',
      given: { shape: { requestedOutputTokens: 1_001 } },
      most: 1_001,
      least: 501,
    },
    {
      what: 'a useful answer, where that is more than half',
      given: { shape: { requestedOutputTokens: 400 } },
      most: 400,
      least: 256,
    },
    {
      what: 'all, where less is asked than is useful',
      given: { shape: { requestedOutputTokens: 100 } },
      most: 100,
      least: 100,
    },
    { what: 'all of a tool call', given: { shape: { hasTools: true } }, most: 1_000, least: 1_000 },
    {
      what: 'all of a structured answer',
      given: { shape: { hasResponseFormat: true } },
      most: 1_000,
      least: 1_000,
    },
    { what: 'all of who says never', given: { neverDegrade: true }, most: 1_000, least: 1_000 },
    {
      what: 'what the level leaves, where that is below the shrink floor already',
      given: {},
      view: { level: 'emergency' },
      most: 300,
      least: 300,
    },
    {
      what: 'the rest of the context where nothing is asked',
      given: { shape: { requestedOutputTokens: null } },
      most: 9_000,
      least: 256,
    },
    {
      what: 'the rest of each context of several prompts',
      given: { promptTokens: 2_000, shape: { requestedOutputTokens: null, prompts: 4 } },
      most: 9_500,
      least: 256,
    },
    {
      what: 'what was learned',
      given: { shape: { requestedOutputTokens: null }, ...learned(600) },
      most: 600,
      least: 256,
    },
  ])('$what', ({ given, view, most, least }) => {
    const made = offer(given, view).offer;
    expect([made.outputTokens, made.leastOutputTokens]).toEqual([most, least]);
    expect([made.full.outputTokens, made.least.outputTokens]).toEqual([most, least]);
  });
});

test('a request is measured by what it asks for, or by the least it needs', () => {
  expect(firmCharge(offer().offer).outputTokens).toBe(1_000);
  expect(firmCharge(offer({ shape: { requestedOutputTokens: null } }).offer).outputTokens).toBe(
    256,
  );
});

describe('canEverFit', () => {
  test.each<[string, InputChange, Partial<InstanceView>, boolean]>([
    ['a prompt that leaves a useful answer', { promptTokens: 9_744 }, {}, true],
    ['one token less', { promptTokens: 9_745 }, {}, false],
    ['capacity for the least', { promptTokens: 1_000 }, { capacity: known(1_500) }, true],
    ['one unit less', { promptTokens: 1_000 }, { capacity: known(1_499) }, false],
    ['room that another process has for now', {}, { capacity: known(0, 1_500) }, true],
  ])('%s: %s', (_what, given, view, fits) => {
    const made = offer(given, view);
    expect(canEverFit(made.input, made.offer)).toBe(fits);
  });
});

test('an offer that fits does not fit at once while others wait for its pool', () => {
  const { input, offer: free } = offer();
  const instance = instanceView();
  const waiting = [{ units: 1, sequences: 1, durationMs: null }];
  const busy = offerOf(input, poolView([instance], { waiting }), instance);
  expect(fitsAtOnce(free, free.full)).toBe(true);
  expect(fitsAtOnce(busy, busy.full)).toBe(false);
});

describe('cutTo', () => {
  const made = offer();
  const within = (units: number) =>
    cutTo(made.input, made.offer, ({ peakUnits }) => peakUnits <= units);
  test.each<[number, number | null]>([
    [5_000, 1_000],
    [2_000, 1_000],
    [1_999, 999],
    [1_501, 501],
    [1_500, 500],
    [1_499, null],
  ])('within %d units: %s output tokens', (units, outputTokens) => {
    expect(within(units)?.outputTokens ?? null).toBe(outputTokens);
  });

  test('what is not cut is the same offer, and a cut one is charged for what it has', () => {
    expect(within(2_000)).toBe(made.offer);
    expect(within(1_700)?.full).toMatchObject({ outputTokens: 700, peakUnits: 1_700 });
  });
});
