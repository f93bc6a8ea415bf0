/** However an engine lays out KV, what it shows never rules out that it does so. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Hypothesis, hypothesesOf } from '../../proxy/memory/calibration/hypotheses.ts';
import { evidenceOf, identify, SAMPLES_NEEDED } from '../../proxy/memory/calibration/identify.ts';
import {
  isTold,
  type Observation,
  predicted,
  ratioOf,
} from '../../proxy/memory/calibration/observation.ts';
import { residualOf, SLOPE_BOUNDS } from '../../proxy/memory/calibration/residual.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';

const CONTEXT_TOKENS = 16_384;

const base: fc.Arbitrary<PagedLayout> = fc
  .record({
    model: fc.constant('paged' as const),
    spec: fc.constantFrom(findModel('gpt-oss-20b'), findModel('gpt-oss-120b')),
    kvBytesPerElement: fc.constantFrom(1, 2),
    blockTokens: fc.constantFrom(16, 32, 64),
    contextTokens: fc.constant(CONTEXT_TOKENS),
    inFlightTokens: fc.constantFrom(2048, 4096, 8192, CONTEXT_TOKENS),
    tensorParallel: fc.constantFrom(1, 2, 4),
    drafting: fc.constant(null),
    hybridManager: fc.boolean(),
  })
  .map(({ hybridManager, ...layout }) =>
    hybridManager ? layout : { ...layout, hybridManager: false },
  );

const sequences = fc.array(
  fc
    .tuple(
      fc.integer({ min: 1, max: 12_000 }),
      fc.nat({ max: 64 }),
      fc.option(fc.nat({ max: 500 })),
    )
    .map(([lo, width, sharedTokens]) => ({ tokens: { lo, hi: lo + width }, sharedTokens })),
  { minLength: 1, maxLength: 4 },
);

/** What is not measured yet. */
type Unmeasured = Observation extends infer O
  ? O extends Observation
    ? Omit<O, 'measured'>
    : never
  : never;

const unmeasured: fc.Arbitrary<Unmeasured> = fc.oneof(
  {
    weight: 8,
    arbitrary: sequences.map((each) => ({ kind: 'held_units' as const, sequences: each })),
  },
  {
    weight: 1,
    arbitrary: fc.constant({ kind: 'full_length_blocks' as const, contextTokens: CONTEXT_TOKENS }),
  },
  {
    weight: 1,
    arbitrary: fc.constant({ kind: 'pool_blocks' as const, poolBytes: { lo: 2e10, hi: 2.01e10 } }),
  },
);

/** Somewhere in the range that the layout predicts. */
function shownBy({ layout }: Hypothesis, what: Unmeasured, at: number): Observation {
  const unknown = { ...what, measured: { lo: 0, hi: 0 } } as Observation;
  const range = predicted(layout, unknown) ?? { lo: 0, hi: 0 };
  const value = Math.round(range.lo + at * (range.hi - range.lo));
  return { ...unknown, measured: { lo: value, hi: value } };
}

const share = fc.double({ min: 0, max: 1, noNaN: true });
const outliers = fc.array(
  fc.tuple(sequences, fc.nat({ max: 5000 })).map(
    ([each, blocks]): Observation => ({
      kind: 'held_units',
      measured: { lo: blocks, hi: blocks },
      sequences: each,
    }),
  ),
  { maxLength: SAMPLES_NEEDED - 1 },
);

const world = fc
  .tuple(base, fc.nat(), fc.array(fc.tuple(unmeasured, share), { maxLength: 24 }), outliers)
  .map(([layout, pick, shown, noise]) => {
    const anyTold = shown.flatMap(([what]) =>
      what.kind === 'held_units' ? [] : [{ ...what, measured: { lo: 0, hi: 0 } } as Observation],
    );
    const usual = hypothesesOf(layout, anyTold);
    const truth = usual[pick % usual.length] ?? usual[0];
    const observations = [...shown.map(([what, at]) => shownBy(truth, what, at)), ...noise];
    return { layout, truth, observations };
  });

test('the truth is never ruled out, and what is chosen is not either', () => {
  fc.assert(
    fc.property(world, ({ layout, truth, observations }) => {
      const hypotheses = hypothesesOf(layout, observations.filter(isTold));
      const evidence = observations.map((seen) => evidenceOf(hypotheses, seen));
      const identified = identify(hypotheses, evidence, hypotheses[0]);
      const wrong = identified.ruledOut.map(({ hypothesis }) => hypothesis.name);
      expect(wrong).not.toContain(truth.name);
      expect(identified.isUnexplained).toBe(false);
      expect(wrong).not.toContain(identified.chosen.name);
    }),
    { numRuns: 150 },
  );
});

test('too few samples change nothing', () => {
  fc.assert(
    fc.property(base, outliers, (layout, observations) => {
      const hypotheses = hypothesesOf(layout, []);
      const evidence = observations.map((seen) => evidenceOf(hypotheses, seen));
      expect(identify(hypotheses, evidence, hypotheses[0])).toMatchObject({
        chosen: hypotheses[0],
        isUnexplained: false,
      });
    }),
    { numRuns: 50 },
  );
});

test('whatever is measured, a correction stays small', () => {
  const measured = fc.tuple(sequences, fc.double({ min: 0, max: 1e12, noNaN: true }));
  fc.assert(
    fc.property(base, fc.array(measured, { maxLength: 64 }), (layout, all) => {
      const observations = all.map(
        ([each, units]): Observation => ({
          kind: 'held_units',
          measured: { lo: units, hi: units },
          sequences: each,
        }),
      );
      const ratios = observations.map((seen) => ratioOf(layout, seen) ?? 1);
      const { slope } = residualOf(ratios);
      expect(slope).toBeGreaterThanOrEqual(SLOPE_BOUNDS.lo);
      expect(slope).toBeLessThanOrEqual(SLOPE_BOUNDS.hi);
    }),
    { numRuns: 50 },
  );
});
