/** From whose lengths a request is forecast, and what an answer teaches. */
import { describe, expect, test } from '@jest/globals';
import { lengthKey } from '../../proxy/policy/length-key.ts';
import type { ReasoningEffort } from '../../proxy/policy/types.ts';
import { LengthForecasts } from '../../proxy/state/lengths/length-forecasts.ts';
import { MAX_GROUPS } from '../../proxy/state/lengths/length-groups.ts';
import { WINDOW_SAMPLES } from '../../proxy/state/lengths/length-window.ts';
import { requestShape } from '../support/decision.ts';
import { CHAT, COMPLETION } from '../support/scanned-request.ts';
import { settledRequest } from '../support/settled-request.ts';

interface Asked {
  readonly model?: string | null;
  readonly path?: string;
  readonly effort?: ReasoningEffort | null;
  readonly tools?: boolean;
  readonly promptTokens?: number;
}

function keyOf({ model = 'm', path = CHAT, effort = null, tools = false, ...rest }: Asked = {}) {
  const shape = { model, reasoningEffort: effort, hasTools: tools, prompts: 1 };
  return lengthKey(shape, path, rest.promptTokens ?? 1_000);
}

/** Answers that ended by themselves, of lengths `from` + 1 to `from` + `count`. */
function teach(lengths: LengthForecasts, asked: Asked, count: number, from = 0): void {
  for (let index = 1; index <= count; index += 1) {
    const outcome = { outputTokens: from + index, endedBy: 'itself', forecastQ95Tokens: null };
    lengths.learn(keyOf(asked), { ...outcome, endedBy: 'itself' });
  }
}

function taught(asked: Asked, count: number, from = 0): LengthForecasts {
  const lengths = new LengthForecasts();
  teach(lengths, asked, count, from);
  return lengths;
}

describe('a forecast', () => {
  test('is none until twenty answers were seen', () => {
    expect(taught({}, 19).forecast(keyOf())).toBeNull();
    expect(taught({}, 20).forecast(keyOf())).not.toBeNull();
  });

  test('has the quantiles of what was seen', () => {
    expect(taught({}, 1_000).forecast(keyOf())).toEqual({
      q50Tokens: 500,
      q95Tokens: 951,
      q99Tokens: 990,
    });
  });

  test('given what is out, is of the longer ones alone', () => {
    const lengths = taught({}, 1_000);
    expect(lengths.forecast(keyOf(), 800)).toEqual({
      q50Tokens: 900,
      q95Tokens: 991,
      q99Tokens: 998,
    });
    // Too few were longer to compare with.
    expect(lengths.forecast(keyOf(), 990)).toBeNull();
  });

  test.each<[string, Asked]>([
    ['other prompts', { promptTokens: 50_000 }],
    ['another effort', { effort: 'high' }],
    ['tools', { tools: true }],
    ['another route', { path: COMPLETION }],
    ['another model', { model: 'another' }],
    ['no model', { model: null }],
  ])('of a kind never seen, with %s, is that of its kin', (_what, asked) => {
    expect(taught({}, 100).forecast(keyOf(asked))).toMatchObject({ q50Tokens: 50 });
  });

  test.each<[string, Asked]>([
    ['the size of its prompt', { promptTokens: 50_000 }],
    ['its effort', { effort: 'high' }],
    ['its tools', { tools: true }],
    ['its route', { path: COMPLETION }],
    ['its model', { model: 'another' }],
  ])('follows %s once enough was seen of it', (_what, asked) => {
    const lengths = taught({}, 100);
    teach(lengths, asked, 60, 5_000);
    expect(lengths.forecast(keyOf(asked))).toMatchObject({ q50Tokens: 5_030 });
    expect(lengths.forecast(keyOf())).toMatchObject({ q50Tokens: 50 });
  });

  test('forgets what is long ago', () => {
    const lengths = taught({}, 100, 9_000);
    for (let round = 0; round < WINDOW_SAMPLES; round += 1) teach(lengths, {}, 1, 4);
    expect(lengths.forecast(keyOf())).toEqual({ q50Tokens: 5, q95Tokens: 5, q99Tokens: 5 });
  });

  test('of what generates nothing is none', () => {
    const lengths = taught({}, 100);
    const bounds = { lo: 1, expected: 1_000, hi: 2_000, source: 'bytes' } as const;
    const of = (change: Parameters<typeof requestShape>[0]) =>
      lengths.forecastOf(requestShape(change), CHAT, bounds);
    expect(of({})).not.toBeNull();
    expect(of({ kind: 'embedding' })).toBeNull();
    expect(of({ requestedOutputTokens: 0 })).toBeNull();
  });
});

describe('an answer that was cut', () => {
  test.each(['asked_limit', 'set_limit'] as const)(
    'at %s makes long ones likelier, not short ones',
    (endedBy) => {
      const lengths = taught({}, 100);
      for (let count = 0; count < 100; count += 1) {
        lengths.learn(keyOf(), { outputTokens: 60, endedBy, forecastQ95Tokens: null });
      }
      // Were they taken for whole, or left out, it would be 60 or 50.
      expect(lengths.forecast(keyOf())?.q50Tokens).toBe(72);
    },
  );

  test('at a limit that was set from the forecast can not only shrink it', () => {
    const lengths = new LengthForecasts();
    const limits: number[] = [];
    // Answers would have 1,000 tokens; all are cut at what is granted, at first 100.
    for (let round = 0; round < 400; round += 1) {
      const q99Tokens = lengths.forecast(keyOf())?.q99Tokens ?? 100;
      limits.push(q99Tokens);
      lengths.learn(keyOf(), {
        outputTokens: Math.min(1_000, q99Tokens),
        endedBy: q99Tokens < 1_000 ? 'set_limit' : 'itself',
        forecastQ95Tokens: null,
      });
    }
    expect(limits[0]).toBe(100);
    expect(limits.at(-1)).toBeGreaterThanOrEqual(1_000);
  });
});

describe('coverage', () => {
  const coverageAfter = (
    outcomes: readonly { outputTokens: number; endedBy: 'itself' | 'asked_limit' }[],
  ) => {
    const lengths = taught({}, 100);
    for (const outcome of outcomes) lengths.learn(keyOf(), { ...outcome, forecastQ95Tokens: 90 });
    const kind = lengths.summaries().find((summary) => summary.kind.length > 0);
    return kind?.coverage ?? null;
  };

  test.each([
    ['within', 90, 'itself', 1],
    ['beyond', 91, 'itself', 0],
    ['cut beyond: it was longer', 95, 'asked_limit', 0],
    ['cut where nobody came: not told', 85, 'asked_limit', null],
    ['cut at 80: half of those that come so far go beyond 90', 80, 'asked_limit', 0.5],
  ] as const)('%s', (_what, outputTokens, endedBy, coverage) => {
    const seen = coverageAfter([{ outputTokens, endedBy }]);
    expect(seen).toEqual(coverage === null ? null : expect.closeTo(coverage, 9));
  });

  test('is of the kind, and what was not forecast does not count', () => {
    expect(taught({}, 100).summaries()).toEqual([
      { kind: [], samples: 100, coverage: null, q50Tokens: 50, q95Tokens: 96, q99Tokens: 99 },
      {
        kind: ['m', CHAT, null, false],
        samples: 100,
        coverage: null,
        q50Tokens: 50,
        q95Tokens: 96,
        q99Tokens: 99,
      },
    ]);
  });
});

describe('what a settled request teaches', () => {
  const learnedFrom = (change: Parameters<typeof settledRequest>[0]) => {
    const lengths = new LengthForecasts();
    for (let count = 0; count < 20; count += 1) lengths.settled(settledRequest(change));
    return lengths.summaries()[0] ?? null;
  };

  test('its length, under the prompt as it was estimated', () => {
    const lengths = new LengthForecasts();
    lengths.settled(settledRequest({ outputTokens: 70 }));
    expect([...lengths.groups.entries()].map(([name]) => JSON.parse(name))).toContainEqual([
      'm',
      CHAT,
      'high',
      true,
      10,
    ]);
    expect(lengths.learned).toBe(1);
  });

  test.each([
    ['nothing where nothing came', { outputTokens: 0 }],
    ['nothing where only a mean is known', { sequences: 4 }],
    ['nothing where none was to come', { kind: 'embedding' }],
  ] as const)('%s', (_what, change) => {
    expect(learnedFrom(change)).toBeNull();
  });
});

describe('groups', () => {
  test('are bounded, and names that are made up do not push out what was learned', () => {
    const lengths = taught({}, 100);
    for (let name = 0; name < 1_000; name += 1)
      teach(lengths, { model: `made-up-${name}` }, 1, 9_000);
    expect(lengths.groups.size).toBeLessThanOrEqual(MAX_GROUPS);
    expect(lengths.forecast(keyOf())).toMatchObject({ q50Tokens: 50 });
  });

  test('have names of bounded length', () => {
    const { groups } = keyOf({ model: 'x'.repeat(10_000), path: `/${'y'.repeat(10_000)}` });
    expect(Math.max(...groups.map((name) => name.length))).toBeLessThan(400);
  });
});
