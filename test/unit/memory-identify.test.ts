/** Which way to lay out KV an engine has, by what it shows: figures of real servers, and made-up samples. */
import { describe, expect, test } from '@jest/globals';
import { AS_ASSUMED, dearest, hypothesesOf } from '../../proxy/memory/calibration/hypotheses.ts';
import { evidenceOf, identify } from '../../proxy/memory/calibration/identify.ts';
import {
  fullLengthBlocks,
  type Observation,
  predicted,
  ratioOf,
} from '../../proxy/memory/calibration/observation.ts';
import type { PagedLayout, SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import { type ModelSpec, modelSpecFromConfig } from '../../proxy/memory/models/model-spec.ts';
import { knownModel } from '../support/known-model.ts';

const GIB = 2 ** 30;

function layoutOf(spec: ModelSpec | null, changes: Partial<PagedLayout> = {}): PagedLayout {
  return {
    model: 'paged',
    spec,
    kvBytesPerElement: 2,
    blockTokens: 16,
    contextTokens: 131_072,
    inFlightTokens: 16_384,
    tensorParallel: 1,
    drafting: null,
    ...changes,
  };
}

function identified(base: PagedLayout, observations: readonly Observation[]) {
  const told = observations.filter(({ kind }) => kind !== 'held_units');
  const hypotheses = hypothesesOf(base, told);
  const evidence = observations.map((seen) => evidenceOf(hypotheses, seen));
  return identify(hypotheses, evidence, hypotheses[0]);
}

/** One sequence that holds so many blocks. */
function held(tokens: number, blocks: number): Observation {
  return {
    kind: 'held_units',
    measured: { lo: blocks, hi: blocks },
    sequences: [{ tokens: { lo: tokens, hi: tokens }, sharedTokens: null }],
  };
}

/** As many requests that show the same. */
function repeated(count: number, observation: Observation): Observation[] {
  return Array.from({ length: count }, () => ({ ...observation }));
}

describe('figures that servers logged', () => {
  /** gpt-oss-120b, vLLM 0.11.2: 6.51x for 98,304 tokens and 7.77x for 81,920; two decimals are told. */
  const RATIO: Observation = {
    kind: 'full_length_ratio',
    measured: { lo: 7.765 / 6.515, hi: 7.775 / 6.505 },
    longTokens: 98_304,
    shortTokens: 81_920,
  };

  test('two concurrencies of gpt-oss-120b tell that 2,048 tokens are in flight', () => {
    const { chosen, survivors, ruledOut, isUnexplained } = identified(
      layoutOf(knownModel('gpt-oss-120b')),
      [RATIO],
    );
    expect(isUnexplained).toBe(false);
    expect(chosen.name).toBe('2048 tokens in flight');
    expect(survivors.map(({ name }) => name)).toEqual(['2048 tokens in flight']);
    expect(ruledOut.map(({ hypothesis }) => hypothesis.name)).toEqual(
      expect.arrayContaining([AS_ASSUMED, 'hybrid KV cache manager off', '4096 tokens in flight']),
    );
    expect(ruledOut.every(({ by }) => by === RATIO)).toBe(true);
  });

  test('19.28 GiB of Llama-3.1-8B are 157,936 tokens of 16 bits, on one GPU', () => {
    const parsed = modelSpecFromConfig(
      {
        num_hidden_layers: 32,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        hidden_size: 4096,
        vocab_size: 128_256,
        max_position_embeddings: 131_072,
        intermediate_size: 14_336,
      },
      'Llama-3.1-8B',
    );
    if (!parsed.ok) throw new Error(parsed.problem);
    const blocks = 157_936 / 16;
    const pool: Observation = {
      kind: 'pool_blocks',
      measured: { lo: blocks, hi: blocks },
      poolBytes: { lo: 19.275 * GIB, hi: 19.285 * GIB },
    };
    const exact = { ...pool, poolBytes: { lo: 19.28 * GIB, hi: 19.28 * GIB } };
    expect(predicted(layoutOf(parsed.spec), exact)).toEqual({ lo: blocks, hi: blocks });
    expect(identified(layoutOf(parsed.spec), [pool]).chosen.name).toBe(AS_ASSUMED);

    const eightBits = layoutOf(parsed.spec, { kvBytesPerElement: 1 });
    expect(identified(eightBits, [pool]).chosen).toMatchObject({
      name: 'KV of 2 bytes an element, on one GPU',
      layout: { kvBytesPerElement: 2, tensorParallel: 1 },
    });
    const split = layoutOf(parsed.spec, { tensorParallel: 4 });
    expect(identified(split, [pool]).chosen.name).toBe('KV of 2 bytes an element, on one GPU');
  });

  test('160 blocks are 1.2403100775193798 requests of 2,048 tokens of gpt-oss in small', () => {
    const small = layoutOf(knownModel('gpt-oss-20b'), { blockTokens: 32, contextTokens: 2048 });
    expect(fullLengthBlocks(small, 2048)).toBe(129);
    const blocks = 160 / 1.240_310_077_519_379_8;
    expect(blocks).toBeCloseTo(129, 9);
    // In 2,048 tokens everything can be in flight at once: nothing tells how much is.
    const seen: Observation = {
      kind: 'full_length_blocks',
      measured: { lo: blocks - 1e-4, hi: blocks + 1e-4 },
      contextTokens: 2048,
    };
    expect(identified(small, [seen]).chosen.name).toBe(AS_ASSUMED);
    // With the hybrid manager off there is one group of all layers.
    const off = { ...small, hybridManager: false } as const;
    expect(fullLengthBlocks(off, 2048)).toBe(64);
    expect(identified(off, [seen]).chosen.name).toBe('hybrid KV cache manager on');
  });
});

describe('one exact figure', () => {
  const told = (blocks: number): Observation => ({
    kind: 'full_length_blocks',
    measured: { lo: blocks - 0.01, hi: blocks + 0.01 },
    contextTokens: 131_072,
  });
  const base = layoutOf(knownModel('gpt-oss-20b'));

  test.each([
    { what: 'as assumed', blocks: 8192 + 1033, name: AS_ASSUMED },
    { what: 'a small batch', blocks: 8192 + 137, name: '2048 tokens in flight' },
    { what: 'no hybrid manager', blocks: 8192, name: 'hybrid KV cache manager off' },
    // ceil((127 + C) / 16) + 1 is 385 from C = 6,002 to 6,017: the most is safe.
    { what: 'a batch of a size of its own', blocks: 8192 + 385, name: '6017 tokens in flight' },
  ])('$what: $name', ({ blocks, name }) => {
    const { chosen, isUnexplained } = identified(base, [told(blocks)]);
    expect([chosen.name, isUnexplained]).toEqual([name, false]);
    expect(ratioOf(chosen.layout, told(blocks))).toBe(1);
  });

  test('that nothing explains keeps what is in force, and says so', () => {
    const { chosen, survivors, isUnexplained } = identified(base, [told(100)]);
    expect(isUnexplained).toBe(true);
    expect(survivors).toEqual([]);
    expect(chosen.name).toBe(AS_ASSUMED);
  });

  test('says nothing of a layout that guesses, or whose geometry is not known', () => {
    const drafting = { lookaheadTokens: 4, layers: 1 };
    for (const layout of [layoutOf(null), { ...base, drafting }]) {
      expect(predicted(layout, told(1))).toBeNull();
    }
  });
});

describe('samples of what requests hold', () => {
  const base = layoutOf(knownModel('gpt-oss-20b'), { contextTokens: 8192, inFlightTokens: 8192 });
  // 2,000 tokens: 125 blocks, and 8 or 9 of the window.
  const asAssumed = held(2000, 133);
  const hybridOff = held(2000, 125);
  const noise = held(2000, 500);

  test('two that contradict it are not enough, three that agree are', () => {
    expect(identified(base, [...repeated(2, hybridOff), asAssumed]).chosen.name).toBe(AS_ASSUMED);
    const { chosen, ruledOut } = identified(base, repeated(3, hybridOff));
    expect(chosen.name).toBe('hybrid KV cache manager off');
    expect(ruledOut[0]).toEqual({ hypothesis: { name: AS_ASSUMED, layout: base }, by: hybridOff });
  });

  test('noise that nothing explains rules nothing out while it is rare', () => {
    const mostly = repeated(12, asAssumed);
    const rare = identified(base, [...mostly, ...repeated(3, noise)]);
    expect([rare.chosen.name, rare.isUnexplained]).toEqual([AS_ASSUMED, false]);
    const frequent = identified(base, [asAssumed, ...repeated(3, noise)]);
    expect([frequent.chosen.name, frequent.isUnexplained]).toEqual([AS_ASSUMED, true]);
  });

  test('a few that fit another way do not outvote the many that fit this one', () => {
    const mostly = repeated(20, asAssumed);
    const { chosen, isUnexplained } = identified(base, [...repeated(3, hybridOff), ...mostly]);
    expect([chosen.name, isUnexplained]).toEqual([AS_ASSUMED, false]);
  });

  test('of several that fit, the one that charges the most is used', () => {
    // 30 tokens are 2 blocks where one holds 32 or more, and where all layers are one group.
    const short = held(30, 2);
    const { chosen, survivors } = identified(base, repeated(3, short));
    expect(survivors.length).toBeGreaterThan(1);
    expect(survivors.map(({ name }) => name)).not.toContain(AS_ASSUMED);
    expect(chosen).toBe(dearest(survivors));
  });

  test('a prefix in common may be held once', () => {
    const shared = (sharedTokens: number | null) => ({
      tokens: { lo: 2000, hi: 2000 },
      sharedTokens,
    });
    const three = (sharedTokens: number | null): Observation => ({
      kind: 'held_units',
      measured: { lo: 160, hi: 160 },
      sequences: [shared(0), shared(sharedTokens)],
    });
    expect(ratioOf(base, three(0))).toBeLessThan(1);
    expect(ratioOf(base, three(1984))).toBe(1);
    expect(ratioOf(base, three(null))).toBe(1);
  });

  test('cells are tokens', () => {
    const slots: SlotsLayout = {
      model: 'slots',
      spec: null,
      kvBytesPerElement: 2,
      unified: true,
      slots: 4,
      contextTokens: 4096,
    };
    expect([held(100, 100), held(100, 101)].map((seen) => ratioOf(slots, seen))).toEqual([1, 1.01]);
    expect(hypothesesOf(slots, [])).toHaveLength(1);
  });
});
