/** Any world a decision may be made in, in the numbers of the small one in decision.ts. */
import fc from 'fast-check';
import type { KvLayout } from '../../proxy/memory/kv-layout.ts';
import { LEVELS } from '../../proxy/policy/pressure.ts';
import type {
  AdmissionStep,
  Capacity,
  DecideInput,
  InstanceView,
  PoolView,
} from '../../proxy/policy/types.ts';
import { FOUR_BYTE_MODEL, PAGED, POLICY, SPLIT, UNIFIED } from './decision.ts';

const layout: fc.Arbitrary<KvLayout> = fc.constantFrom<KvLayout>(
  UNIFIED,
  SPLIT,
  { ...UNIFIED, spec: null },
  PAGED,
  { ...PAGED, blockTokens: 16, inFlightTokens: 512 },
  { model: 'dynamic', spec: FOUR_BYTE_MODEL, kvBytesPerElement: 2, attention: 'eager' },
);

/** Of a size that requests of a few thousand tokens may or may not fit. */
function units(of: KvLayout): fc.Arbitrary<number> {
  return fc.nat({ max: of.model === 'dynamic' ? 40_000_000 : 14_000 });
}

function capacity(of: KvLayout): fc.Arbitrary<Capacity> {
  const measured = fc
    .tuple(units(of), units(of))
    .map(([a, b]) => ({ units: Math.min(a, b), aloneUnits: Math.max(a, b) }));
  return fc.oneof(
    { weight: 6, arbitrary: measured.map((told) => ({ state: 'known' as const, ...told })) },
    measured.map((told) => ({ state: 'conservative' as const, ...told, why: 'stale' })),
    fc.constant({ state: 'unlimited' as const, why: 'not told' }),
    fc.constant({ state: 'blind' as const, why: 'stale' }),
  );
}

const endMs = fc.option(fc.nat({ max: 60_000 }));

function instance(name: string): fc.Arbitrary<InstanceView> {
  return layout.chain((of) =>
    fc
      .record({
        capacity: capacity(of),
        leases: fc.array(
          fc.record({ atMs: endMs, units: units(of), sequences: fc.integer({ min: 1, max: 3 }) }),
          { maxLength: 3 },
        ),
        othersUnits: fc.oneof(fc.constant(0), units(of)),
        maxSequences: fc.option(fc.integer({ min: 1, max: 6 })),
        concurrencyCap: fc.option(fc.integer({ min: 1, max: 6 })),
        level: fc.constantFrom(...LEVELS),
      })
      .map(({ leases, othersUnits, ...rest }) => ({
        name,
        layout: of,
        outlook: null,
        prefillTokens: 0,
        committedUnits: othersUnits + leases.reduce((sum, lease) => sum + lease.units, 0),
        sequences: leases.reduce((sum, lease) => sum + lease.sequences, 0),
        freeing: leases,
        ...rest,
      })),
  );
}

const waiting = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  fc.array(
    fc.record({
      units: fc.nat({ max: 10_000 }),
      sequences: fc.integer({ min: 1, max: 3 }),
      durationMs: endMs,
    }),
    { maxLength: 3 },
  ),
);

function pool(name: string, large: boolean): fc.Arbitrary<PoolView> {
  const instances = fc
    .nat({ max: 3 })
    .chain((count) =>
      fc.tuple(...Array.from({ length: count }, (_, index) => instance(`${name}-${index}`))),
    );
  return fc.record({
    name: fc.constant(name),
    large: fc.constant(large),
    instances,
    waiting,
  });
}

const STEPS: readonly AdmissionStep[] = ['route', 'short-queue', 'shrink', 'queue'];

/** The prompt may not be a whole number of tokens for each prompt: bodies are like that. */
export const decideInputs: fc.Arbitrary<DecideInput> = fc
  .record({
    promptTokens: fc.integer({ min: 1, max: 11_000 }),
    requestedOutputTokens: fc.option(fc.nat({ max: 12_000 })),
    prompts: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 1, max: 3 })),
    samplesPerPrompt: fc.oneof(
      { weight: 3, arbitrary: fc.constant(1) },
      fc.integer({ min: 1, max: 3 }),
    ),
    hasTools: fc.boolean(),
    temperature: fc.option(fc.double({ min: 0, max: 2, noNaN: true })),
    topP: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
    neverDegrade: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
    session: fc.option(
      fc.record({ liveBytes: fc.nat({ max: 40_000 }), residentBytes: fc.nat({ max: 40_000 }) }),
    ),
    usual: pool('default', false),
    large: fc.option(pool('large', true)),
    queueLength: fc.nat({ max: 5 }),
    nowMs: fc.nat({ max: 30_000 }),
    degrade: fc.constantFrom('seed' as const, 'memory-only' as const, 'off' as const),
    admissionOrder: fc.shuffledSubarray([...STEPS], { minLength: STEPS.length }),
  })
  .map(({ usual, large, degrade, admissionOrder, ...given }) => ({
    promptTokens: given.promptTokens,
    estimate: {
      promptTokens: {
        lo: given.promptTokens,
        expected: given.promptTokens,
        hi: given.promptTokens,
        source: 'engine' as const,
      },
      outputTokens: null,
    },
    outputLengths: null,
    session: given.session,
    neverDegrade: given.neverDegrade,
    queueLength: given.queueLength,
    isQueueStanding: given.nowMs % 2 === 1,
    waits: false,
    nowMs: given.nowMs,
    pools: large === null ? [usual] : [usual, large],
    config: { ...POLICY, degrade, admissionOrder },
    shape: {
      kind: 'completion',
      model: null,
      promptTokens: {
        lo: given.promptTokens,
        expected: given.promptTokens,
        hi: given.promptTokens,
        source: 'engine',
      },
      prompts: given.prompts,
      samplesPerPrompt: given.samplesPerPrompt,
      requestedOutputTokens: given.requestedOutputTokens,
      stream: true,
      temperature: given.temperature,
      topP: given.topP,
      reasoningEffort: null,
      hasTools: given.hasTools,
      hasResponseFormat: false,
    },
  }));
