/** The decision tree, step by step, each with its neighbours. */
import { describe, expect, test } from '@jest/globals';
import { decide } from '../../proxy/policy/decide.ts';
import { sameOutcome } from '../../proxy/policy/outcomes.ts';
import type { Decision } from '../../proxy/policy/types.ts';
import {
  decideInput,
  type InputChange,
  instanceView,
  known,
  largePool,
  learned,
  PAGED,
  poolView,
  SPLIT,
} from '../support/decision.ts';

interface Row {
  readonly when: string;
  readonly given: InputChange;
  readonly decides: object;
}

function rows(table: readonly Row[]): void {
  for (const { when, given, decides } of table) {
    test(when, () => {
      expect(decide(decideInput(given))).toMatchObject(decides);
    });
  }
}

/** One instance with so many of its 10,000 units promised, by a lease that ends at `endsAtMs`. */
function filled(committedUnits: number, endsAtMs: number | null, change = {}) {
  const freeing = [{ atMs: endsAtMs, units: committedUnits, sequences: 1 }];
  return instanceView({ committedUnits, sequences: 1, freeing, ...change });
}

const ACCEPTED = { action: 'accept', reason: 'fits', pool: 'default', instance: 'a' };
const NEVER_FITS = { action: 'reject', reason: 'never_fits', retryAfterMs: null };

describe('nobody to ask', () => {
  rows([
    {
      when: 'no pool has a healthy instance',
      given: { pools: [poolView([])] },
      decides: { action: 'reject', reason: 'no_healthy_instance', charge: null, level: 'low' },
    },
    {
      when: 'the only instance is blind',
      given: { pools: [poolView([instanceView({ capacity: { state: 'blind', why: 'stale' } })])] },
      decides: { action: 'reject', reason: 'telemetry_blind' },
    },
    {
      when: 'a blind instance beside one that is seen is left out',
      given: {
        pools: [
          poolView([
            instanceView({ name: 'dark', capacity: { state: 'blind', why: 'stale' } }),
            instanceView(),
          ]),
        ],
      },
      decides: ACCEPTED,
    },
  ]);
});

describe('1: the level turns the request into what it may be', () => {
  const asked = { shape: { requestedOutputTokens: 2_000 } };
  rows([
    {
      when: 'low leaves it alone: nothing is written',
      given: asked,
      decides: { ...ACCEPTED, grant: { outputTokens: null, sampling: {} } },
    },
    {
      when: 'high grants 70 % and caps the temperature, and that is an accept, not a shrink',
      given: { ...asked, pools: [poolView([instanceView({ level: 'high' })])] },
      decides: {
        ...ACCEPTED,
        level: 'high',
        grant: { outputTokens: 1_400, sampling: { temperature: 0.5 } },
        charge: { outputTokens: 1_400, peakUnits: 2_400 },
      },
    },
    {
      when: 'X-Kvgate-Degrade: never switches that off',
      given: { ...asked, neverDegrade: true, pools: [poolView([instanceView({ level: 'high' })])] },
      decides: { ...ACCEPTED, grant: { outputTokens: null, sampling: {} } },
    },
    {
      when: 'an emergency may cut below the shrink floor: that is the level, not a shrink',
      given: { ...asked, pools: [poolView([instanceView({ level: 'emergency' })])] },
      decides: { ...ACCEPTED, grant: { outputTokens: 600, sampling: { temperature: 0 } } },
    },
  ]);
});

describe('2: what can never fit is refused for good', () => {
  const small = [poolView([instanceView({ capacity: known(9_000) })])];
  rows([
    {
      when: 'prompt and least output are exactly the capacity',
      given: { promptTokens: 8_500, pools: small },
      decides: { action: 'shrink', grant: { outputTokens: 500 } },
    },
    {
      when: 'one token more',
      given: { promptTokens: 8_501, pools: small },
      decides: NEVER_FITS,
    },
    {
      when: 'the prompt leaves less of the context than a useful answer needs',
      given: { promptTokens: 9_745, shape: { requestedOutputTokens: null } },
      decides: NEVER_FITS,
    },
    {
      when: 'the prompt leaves just that',
      given: { promptTokens: 9_744, shape: { requestedOutputTokens: null } },
      decides: { ...ACCEPTED, grant: { outputTokens: 256 } },
    },
    {
      when: 'fewer tokens asked for than a useful answer has: they are useful enough',
      given: { promptTokens: 9_990, shape: { requestedOutputTokens: 10 } },
      decides: ACCEPTED,
    },
    {
      when: 'two prompts of half the tokens each fit a context that one could not',
      given: {
        promptTokens: 3_000,
        shape: { prompts: 2, requestedOutputTokens: 500 },
        pools: [poolView([instanceView({ layout: SPLIT })])],
      },
      decides: ACCEPTED,
    },
    {
      when: 'several samples count each',
      given: { promptTokens: 3_000, shape: { samplesPerPrompt: 3, requestedOutputTokens: 1_000 } },
      decides: { action: 'reject', reason: 'never_fits' },
    },
    {
      when: 'another process holds the room for now: that will pass',
      given: { pools: [poolView([instanceView({ capacity: known(1_000, 10_000) })])] },
      decides: { action: 'queue', predictedWaitMs: null },
    },
    {
      when: 'the budget is lowered because readings are stale: that will pass',
      given: {
        promptTokens: 8_700,
        shape: { requestedOutputTokens: 500, hasTools: true },
        pools: [
          poolView([
            instanceView({
              capacity: { state: 'conservative', units: 9_000, aloneUnits: 10_000, why: 'stale' },
            }),
          ]),
        ],
      },
      decides: { action: 'queue' },
    },
    {
      when: 'a capacity that nobody tells refuses nothing but the context',
      given: { pools: [poolView([instanceView({ capacity: { state: 'unlimited', why: '' } })])] },
      decides: ACCEPTED,
    },
  ]);
});

describe('a request without max tokens', () => {
  const unasked = { shape: { requestedOutputTokens: null } };
  const paged = (change = {}) => [poolView([instanceView({ layout: PAGED, ...change })])];
  rows([
    {
      when: 'unified slots: the rest of the context is reserved and written',
      given: unasked,
      decides: { ...ACCEPTED, grant: { outputTokens: 9_000 }, charge: { peakUnits: 10_000 } },
    },
    {
      when: 'unified slots, something learned: no more than that',
      given: { ...unasked, ...learned(700) },
      decides: { ...ACCEPTED, grant: { outputTokens: 700 }, charge: { peakUnits: 1_700 } },
    },
    {
      when: 'short answers seen lately do not cut one below a useful length',
      given: { ...unasked, ...learned(5) },
      decides: { ...ACCEPTED, grant: { outputTokens: 256 } },
    },
    {
      when: 'unified slots, half full: the room that is left',
      given: { ...unasked, pools: [poolView([filled(5_000, 60_000)])] },
      decides: { ...ACCEPTED, grant: { outputTokens: 4_000 }, charge: { peakUnits: 5_000 } },
    },
    {
      when: 'unified slots, room for less than a useful answer: it waits for that much',
      given: { ...unasked, pools: [poolView([filled(8_800, 5_000)])] },
      decides: { action: 'queue', predictedWaitMs: 5_000, charge: { outputTokens: 256 } },
    },
    {
      when: 'never-degrade does not leave a pool that all share unguarded',
      given: { ...unasked, neverDegrade: true },
      decides: { ...ACCEPTED, grant: { outputTokens: 9_000 } },
    },
    {
      when: 'split slots: nothing is written',
      given: { ...unasked, pools: [poolView([instanceView({ layout: SPLIT })])] },
      decides: { ...ACCEPTED, grant: { outputTokens: null }, charge: { peakUnits: 2_500 } },
    },
    {
      when: 'paged: nothing is written',
      given: { ...unasked, pools: paged() },
      decides: { ...ACCEPTED, grant: { outputTokens: null }, charge: { peakUnits: 10_000 } },
    },
    {
      when: 'paged, n samples whose whole windows exceed the pool: the engine preempts, so it may run',
      given: {
        shape: { requestedOutputTokens: null, samplesPerPrompt: 2 },
        pools: paged(),
      },
      decides: { ...ACCEPTED, grant: { outputTokens: null }, charge: { peakUnits: 10_000 } },
    },
    {
      when: 'it is not judged large by the output it might have',
      given: {
        ...unasked,
        config: { largeRequestKvBytes: 20_000 },
        pools: [...paged(), largePool()],
      },
      decides: ACCEPTED,
    },
    {
      when: 'paged: nor over its session by the output it might have',
      given: { ...unasked, session: { liveBytes: 0, residentBytes: 0 }, pools: paged() },
      decides: { ...ACCEPTED, grant: { outputTokens: null } },
    },
    {
      when: 'unified slots: what is written keeps it inside its session',
      given: { ...unasked, session: { liveBytes: 4_000, residentBytes: 0 } },
      decides: { ...ACCEPTED, grant: { outputTokens: 3_000 }, charge: { kvBytes: 16_000 } },
    },
    {
      when: 'its prompt alone over the session limit',
      given: { ...unasked, promptTokens: 5_000, session: { liveBytes: 0, residentBytes: 0 } },
      decides: { action: 'reject', reason: 'session_kv_limit' },
    },
  ]);
});

describe('3: a large request prefers the large pool', () => {
  const pools = [poolView([instanceView()]), largePool()];
  rows([
    {
      when: 'by its tokens',
      given: { promptTokens: 8_001, pools, shape: { requestedOutputTokens: 300 } },
      decides: { action: 'route', reason: 'large_request', pool: 'large', instance: 'big' },
    },
    {
      when: 'at the limit it is usual',
      given: { promptTokens: 8_000, pools, shape: { requestedOutputTokens: 300 } },
      decides: ACCEPTED,
    },
    {
      when: 'by its KV',
      given: { pools, config: { largeRequestKvBytes: 7_999 } },
      decides: { action: 'route', reason: 'large_request' },
    },
    {
      when: 'at the limit of KV it is usual',
      given: { pools, config: { largeRequestKvBytes: 8_000 } },
      decides: ACCEPTED,
    },
    {
      when: 'the large pool is full: its own pool takes it',
      given: {
        promptTokens: 8_001,
        shape: { requestedOutputTokens: 300 },
        pools: [poolView([instanceView()]), largePool({ committedUnits: 9_000, sequences: 1 })],
      },
      decides: ACCEPTED,
    },
    {
      when: 'others wait for the large pool: they are not overtaken',
      given: {
        promptTokens: 8_001,
        shape: { requestedOutputTokens: 300 },
        pools: [
          poolView([instanceView()]),
          { ...largePool(), waiting: [{ units: 9_000, sequences: 1, durationMs: null }] },
        ],
      },
      decides: ACCEPTED,
    },
    {
      when: 'there is no large pool',
      given: { promptTokens: 8_001, shape: { requestedOutputTokens: 300 } },
      decides: ACCEPTED,
    },
    {
      when: 'only the large pool has the context for it',
      given: {
        promptTokens: 5_000,
        pools: [poolView([instanceView({ layout: SPLIT })]), largePool()],
      },
      decides: { action: 'route', reason: 'capacity', pool: 'large' },
    },
    {
      when: 'the large pool is the only one: that is home',
      given: { pools: [largePool()] },
      decides: { action: 'accept', reason: 'fits', pool: 'large' },
    },
  ]);
});

describe('4: the limit of a session', () => {
  const session = { liveBytes: 0, residentBytes: 0 };
  const tooMuch = { promptTokens: 1_000, shape: { requestedOutputTokens: 6_000 } };
  rows([
    {
      when: 'exactly at the limit',
      given: { session, shape: { requestedOutputTokens: 4_000 } },
      decides: ACCEPTED,
    },
    {
      when: 'alone over it: shrunk to the limit',
      given: { session, ...tooMuch },
      decides: {
        action: 'shrink',
        reason: 'session_limit',
        grant: { outputTokens: 4_000 },
        charge: { kvBytes: 20_000 },
      },
    },
    {
      when: 'without a session there is no such limit',
      given: tooMuch,
      decides: ACCEPTED,
    },
    {
      when: 'a geometry that is not known limits nothing',
      given: {
        session,
        ...tooMuch,
        pools: [
          poolView([instanceView({ layout: { ...SPLIT, spec: null, contextTokens: 9_000 } })]),
        ],
      },
      decides: ACCEPTED,
    },
    {
      when: 'alone over it, the large pool has room',
      given: { session, ...tooMuch, pools: [poolView([instanceView()]), largePool()] },
      decides: { action: 'route', reason: 'session_limit', grant: { outputTokens: null } },
    },
    {
      when: 'alone over it, the large pool is full: shrunk at home',
      given: {
        session,
        ...tooMuch,
        pools: [poolView([instanceView()]), largePool({ committedUnits: 9_000, sequences: 1 })],
      },
      decides: { action: 'shrink', pool: 'default', grant: { outputTokens: 4_000 } },
    },
    {
      when: 'alone over it, the large pool is full and it has tools: it waits for the large pool',
      given: {
        session,
        promptTokens: 1_000,
        shape: { requestedOutputTokens: 6_000, hasTools: true },
        pools: [poolView([instanceView()]), largePool({ committedUnits: 9_000, sequences: 1 })],
      },
      decides: { action: 'queue', pool: 'large' },
    },
    {
      when: 'alone over it and no shrink allowed',
      given: {
        session,
        promptTokens: 1_000,
        shape: { requestedOutputTokens: 6_000, hasTools: true },
      },
      decides: { action: 'reject', reason: 'session_kv_limit', retryAfterMs: null },
    },
    {
      when: 'alone over it by more than a shrink may cut',
      given: { session, promptTokens: 1_000, shape: { requestedOutputTokens: 8_001 } },
      decides: { action: 'reject', reason: 'session_kv_limit' },
    },
    {
      when: 'busy with its own requests, which end some time',
      given: {
        session: { liveBytes: 12_001, residentBytes: 0 },
        nowMs: 1_000,
        pools: [poolView([filled(3_000, 4_000)])],
      },
      decides: { action: 'reject', reason: 'session_busy', retryAfterMs: 3_000 },
    },
    {
      when: 'its own live requests leave just enough',
      given: { session: { liveBytes: 12_000, residentBytes: 0 } },
      decides: ACCEPTED,
    },
    {
      when: 'what is only resident refuses nothing',
      given: { session: { liveBytes: 0, residentBytes: 99_999 } },
      decides: ACCEPTED,
    },
    {
      when: 'alone over it beside its own live requests: the shrink leaves room for them',
      given: { session: { liveBytes: 2_000, residentBytes: 0 }, ...tooMuch },
      decides: { action: 'shrink', grant: { outputTokens: 3_500 }, charge: { kvBytes: 18_000 } },
    },
    {
      when: 'a shrink would do, were its own live requests over',
      given: { session: { liveBytes: 8_000, residentBytes: 0 }, ...tooMuch },
      decides: { action: 'reject', reason: 'session_busy' },
    },
  ]);
});

describe('5: the best instance of its pool', () => {
  const two = (a: object, b: object) => [
    poolView([instanceView({ name: 'a', ...a }), instanceView({ name: 'b', ...b })]),
  ];
  rows([
    {
      when: 'the emptier one',
      given: { pools: two({ committedUnits: 3_000, sequences: 1 }, {}) },
      decides: { instance: 'b' },
    },
    {
      when: 'the emptier one by share, not by units',
      given: { pools: two({ capacity: known(4_000) }, { committedUnits: 5_000, sequences: 1 }) },
      decides: { instance: 'a' },
    },
    {
      when: 'the one with a free slot',
      given: { pools: two({ sequences: 4 }, { committedUnits: 8_000, sequences: 2 }) },
      decides: { instance: 'b' },
    },
    {
      when: 'of two whose capacity nobody tells, the one with fewer requests',
      given: {
        pools: two(
          { capacity: { state: 'unlimited', why: '' }, sequences: 2 },
          { capacity: { state: 'unlimited', why: '' }, sequences: 1 },
        ),
      },
      decides: { instance: 'b' },
    },
    {
      when: 'exactly the room that is left',
      given: { pools: [poolView([filled(8_000, null)])] },
      decides: ACCEPTED,
    },
    {
      when: 'the level holds back new sequences',
      given: { pools: [poolView([filled(100, 60_000, { concurrencyCap: 1 })])] },
      decides: { action: 'reject', reason: 'memory_pressure', retryAfterMs: 60_000 },
    },
    {
      when: 'more sequences than there are slots run alone',
      given: { promptTokens: 100, shape: { samplesPerPrompt: 5, requestedOutputTokens: 100 } },
      decides: ACCEPTED,
    },
    {
      when: 'and wait until they can',
      given: {
        promptTokens: 100,
        shape: { samplesPerPrompt: 5, requestedOutputTokens: 100 },
        pools: [poolView([filled(100, 1_500)])],
      },
      decides: { action: 'queue', reason: 'short_wait', predictedWaitMs: 1_500 },
    },
  ]);
});

describe('6 to 9, in the default order', () => {
  const full = (endsAtMs: number | null) => poolView([filled(9_000, endsAtMs)]);
  const rigid = { hasTools: true };
  rows([
    {
      when: '6: another pool has room',
      given: { pools: [full(100), largePool()] },
      decides: { action: 'route', reason: 'pool_full', pool: 'large', instance: 'big' },
    },
    {
      when: '7: it fits within the short wait',
      given: { pools: [full(2_000)] },
      decides: { action: 'queue', reason: 'short_wait', pool: 'default', predictedWaitMs: 2_000 },
    },
    {
      when: '7: one millisecond more, and 8: a shrink would be too much, so 9',
      given: { pools: [full(2_001)] },
      decides: { action: 'queue', reason: 'memory_pressure', predictedWaitMs: 2_001 },
    },
    {
      when: '8: a shrink makes it fit',
      given: { pools: [poolView([filled(8_200, 5_000)])] },
      decides: { action: 'shrink', reason: 'memory_pressure', grant: { outputTokens: 800 } },
    },
    {
      when: '8: down to the floor',
      given: { pools: [poolView([filled(8_500, 5_000)])] },
      decides: { action: 'shrink', grant: { outputTokens: 500 }, charge: { peakUnits: 1_500 } },
    },
    {
      when: '8: not below it',
      given: { pools: [poolView([filled(8_501, 5_000)])] },
      decides: { action: 'queue', reason: 'memory_pressure' },
    },
    {
      when: '8: nor below a useful answer',
      given: { shape: { requestedOutputTokens: 300 }, pools: [poolView([filled(8_745, 5_000)])] },
      decides: { action: 'queue' },
    },
    {
      when: '8: tools are never cut',
      given: { shape: rigid, pools: [poolView([filled(8_200, 5_000)])] },
      decides: { action: 'queue' },
    },
    {
      when: '8: nor a response format',
      given: { shape: { hasResponseFormat: true }, pools: [poolView([filled(8_200, 5_000)])] },
      decides: { action: 'queue' },
    },
    {
      when: '8: nor who says never',
      given: { neverDegrade: true, pools: [poolView([filled(8_200, 5_000)])] },
      decides: { action: 'queue' },
    },
    {
      when: '8: a missing slot is not mended by a shrink',
      given: { pools: [poolView([filled(4, 5_000, { maxSequences: 1 })])] },
      decides: { action: 'queue', predictedWaitMs: 5_000 },
    },
    {
      when: '8: who waits already is not overtaken by a shrink',
      given: {
        queueLength: 1,
        pools: [
          poolView([filled(8_200, 5_000)], {
            waiting: [{ units: 5_000, sequences: 1, durationMs: 1_000 }],
          }),
        ],
      },
      decides: { action: 'queue', predictedWaitMs: 5_000 },
    },
    {
      when: '9: the deadline is just realistic',
      given: { shape: rigid, pools: [full(30_000)] },
      decides: { action: 'queue', predictedWaitMs: 30_000 },
    },
    {
      when: '10: it is not',
      given: { shape: rigid, pools: [full(30_001)] },
      decides: { action: 'reject', reason: 'memory_pressure', retryAfterMs: 30_001 },
    },
    {
      when: '9: the queue has stood for long, and the wait is within its target',
      given: { shape: rigid, isQueueStanding: true, pools: [full(8_000)] },
      decides: { action: 'queue', predictedWaitMs: 8_000 },
    },
    {
      when: '10: the queue has stood for long, and the wait is longer than its target',
      given: { shape: rigid, isQueueStanding: true, pools: [full(8_001)] },
      decides: { action: 'reject', reason: 'memory_pressure', retryAfterMs: 8_001 },
    },
    {
      when: '9: whoever waits is not foreseen anew',
      given: { shape: rigid, waits: true, pools: [full(60_000)] },
      decides: { action: 'queue', predictedWaitMs: null },
    },
    {
      when: '9: a wait that nobody can foresee may end in time',
      given: { shape: rigid, pools: [full(null)] },
      decides: { action: 'queue', predictedWaitMs: null },
    },
    {
      when: '10: the queue is full',
      given: { shape: rigid, queueLength: 4, pools: [full(100)] },
      decides: { action: 'reject', reason: 'queue_full', retryAfterMs: 100 },
    },
    {
      when: '8 comes before a full queue refuses',
      given: { queueLength: 4, pools: [poolView([filled(8_200, 100)])] },
      decides: { action: 'shrink' },
    },
    {
      when: 'a request too large for the empty instance waits for the least it accepts',
      given: {
        promptTokens: 1_000,
        shape: { requestedOutputTokens: 9_500 },
        pools: [poolView([filled(5_000, 5_000, { capacity: known(6_000) })])],
      },
      decides: { action: 'queue', charge: { outputTokens: 4_750 }, predictedWaitMs: 5_000 },
    },
    {
      when: 'and waits for nothing where a shrink is no step',
      given: {
        promptTokens: 1_000,
        shape: { requestedOutputTokens: 9_500 },
        config: { admissionOrder: ['route', 'short-queue', 'queue'] },
        pools: [poolView([filled(5_000, 5_000, { capacity: known(6_000) })])],
      },
      decides: { action: 'reject', reason: 'memory_pressure' },
    },
  ]);
});

describe('the order of 6 to 9 can be changed', () => {
  const config = { admissionOrder: ['shrink', 'route', 'queue'] } as const;
  const pools = [poolView([filled(8_200, 100)]), largePool()];
  rows([
    { when: 'shrink first', given: { config, pools }, decides: { action: 'shrink' } },
    {
      when: 'then route',
      given: { config, pools, shape: { hasTools: true } },
      decides: { action: 'route', reason: 'pool_full' },
    },
    {
      when: 'then queue, with no step for a short wait',
      given: { config, pools: [poolView([filled(9_000, 100)])] },
      decides: { action: 'queue', reason: 'memory_pressure', predictedWaitMs: 100 },
    },
    {
      when: 'a step that is not named is not taken',
      given: { config: { admissionOrder: ['route'] }, pools: [poolView([filled(8_200, 100)])] },
      decides: { action: 'reject', reason: 'memory_pressure', retryAfterMs: 100 },
    },
  ]);
});

describe('sameOutcome', () => {
  const at = (given: InputChange): Decision => decide(decideInput(given));
  const fits = at({});
  const waitsAtHome = at({ shape: { hasTools: true }, pools: [poolView([filled(9_000, 5_000)])] });
  const waitsForLarge = at({
    session: { liveBytes: 0, residentBytes: 0 },
    shape: { requestedOutputTokens: 6_000, hasTools: true },
    pools: [poolView([instanceView()]), largePool({ committedUnits: 9_000, sequences: 1 })],
  });

  test.each<{ what: string; a: Decision; b: Decision; same: boolean }>([
    { what: 'equal admissions', a: fits, b: at({ promptTokens: 1_001 }), same: true },
    {
      what: 'another instance',
      a: fits,
      b: at({ pools: [poolView([instanceView({ name: 'b' })])] }),
      same: false,
    },
    {
      what: 'another grant',
      a: at({ shape: { requestedOutputTokens: null } }),
      b: at({ shape: { requestedOutputTokens: null }, promptTokens: 1_001 }),
      same: false,
    },
    { what: 'another action', a: fits, b: waitsAtHome, same: false },
    { what: 'the same queue', a: waitsAtHome, b: waitsAtHome, same: true },
    { what: 'a queue for another pool', a: waitsAtHome, b: waitsForLarge, same: false },
    {
      what: 'another reason to refuse',
      a: at({ promptTokens: 20_000 }),
      b: at({ pools: [] }),
      same: false,
    },
    {
      what: 'the same reason to refuse',
      a: at({ promptTokens: 20_000 }),
      b: at({ promptTokens: 30_000 }),
      same: true,
    },
  ])('$what: $same', ({ a, b, same }) => {
    expect(sameOutcome(a, b)).toBe(same);
    expect(sameOutcome(b, a)).toBe(same);
  });
});
