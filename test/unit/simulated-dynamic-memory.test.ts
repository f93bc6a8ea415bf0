import { describe, expect, test } from '@jest/globals';
import { DynamicEngine } from '../../backend-adapters/simulated-server/dynamic-engine.ts';
import {
  decodeKvBytes,
  decodeStepBytes,
  prefillKvBytes,
  prefillTransientBytes,
} from '../../backend-adapters/simulated-server/dynamic-memory.ts';
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import { SimulatedGpu } from '../../backend-adapters/simulated-server/simulated-gpu.ts';
import { runToEnd, STEP_RATES, sequence } from '../support/simulated-sequence.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;
const small = modelGeometry('gpt-oss-20b');
const large = modelGeometry('gpt-oss-120b');

describe('KV while decoding: full layers grow, sliding layers keep 128 tokens', () => {
  test.each([
    [1024, 27, 40.5],
    [8192, 195, 292.5],
    [32_768, 771, 1156.5],
    [131_072, 3075, 4612.5],
  ])('%i tokens: %d MiB for 20b, %d MiB for 120b', (tokens, smallMib, largeMib) => {
    expect(decodeKvBytes(small, tokens)).toBe(smallMib * MIB);
    expect(decodeKvBytes(large, tokens)).toBe(largeMib * MIB);
  });

  test('a short sequence holds every token in every layer', () => {
    expect(decodeKvBytes(small, 100)).toBe(prefillKvBytes(small, 100));
  });

  test('a step copies one full layer beside the old one', () => {
    expect(decodeStepBytes(small, 32_768) - decodeKvBytes(small, 32_768)).toBe(64 * MIB);
  });
});

describe('prefill, as measured on transformers', () => {
  test.each([
    [1000, 49_152_000],
    [2048, 100_663_296],
  ])('%i tokens leave %i bytes of KV, no window yet', (tokens, bytes) => {
    expect(prefillKvBytes(small, tokens)).toBe(bytes);
  });

  test.each([
    [1024, 0.466],
    [2048, 1.69],
    [4096, 6.412],
    [8192, 24.948],
  ])('eager attention peaks with %i tokens at %d GiB', (tokens, gib) => {
    const peak = prefillKvBytes(small, tokens) + prefillTransientBytes(small, 'eager', tokens);
    expect(peak / GIB).toBeCloseTo(gib, 3);
  });

  test.each([
    [8192, 2.31],
    [32_768, 9.24],
  ])('linear-memory attention peaks with %i tokens at %d GiB', (tokens, gib) => {
    const peak = prefillKvBytes(small, tokens) + prefillTransientBytes(small, 'flash', tokens);
    expect(peak / GIB).toBeCloseTo(gib, 2);
  });
});

describe('the dynamic engine', () => {
  const settings = { ...STEP_RATES, attention: 'flash', maxGenerations: null } as const;

  function engineWith(room: number, overrides: Partial<DynamicEngineSettings> = {}) {
    // Context (600 MiB) and weights are fixed; what is left is `room`.
    const gpu = new SimulatedGpu(1, 600 * MIB + small.weightsBytes + room, small.weightsBytes);
    return { gpu, engine: new DynamicEngine(small, gpu, { ...settings, ...overrides }) };
  }
  type DynamicEngineSettings = ConstructorParameters<typeof DynamicEngine>[2];

  test('holds the peak during prefill, naive KV until the first step, then the window', () => {
    const { gpu, engine } = engineWith(10 * GIB, { prefillTokensPerSecond: 500 });
    engine.submit(sequence(1000, 3));
    engine.advance(1);
    expect(gpu.liveBytes).toBe(49_152_000 + 1000 * 253_768);
    engine.advance(1);
    expect(gpu.liveBytes).toBe(49_152_000);
    engine.advance(1);
    expect(gpu.liveBytes).toBe(27_746_304 + 1001 * 2048);
    engine.advance(1);
    expect(gpu.liveBytes).toBe(0);
  });

  test('an allocation that does not fit fails its own request only', () => {
    const peak = prefillKvBytes(small, 4000) + prefillTransientBytes(small, 'flash', 4000);
    const { gpu, engine } = engineWith(2 * peak);
    const sequences = [1, 2, 3].map(() => sequence(4000, 2));
    for (const each of sequences) engine.submit(each);
    runToEnd(engine);
    expect(sequences.map((each) => each.fault?.kind ?? 'finished')).toEqual([
      'finished',
      'finished',
      'oom',
    ]);
    expect(sequences[2]?.fault?.message).toMatch(
      /^CUDA out of memory\. Tried to allocate 1\.13 GiB/,
    );
    expect(gpu.liveBytes).toBe(0);
    expect(engine.counters()).toMatchObject({ oom: 1, maxRunning: 2 });
  });

  test('decoding can run out of memory too', () => {
    const { gpu, engine } = engineWith(1 * GIB);
    const victim = sequence(1000, 1000);
    engine.submit(victim);
    engine.advance(1);
    engine.advance(1);
    gpu.setForeignBytes(1 * GIB - gpu.liveBytes);
    engine.advance(1);
    expect(victim.fault?.kind).toBe('oom');
    expect(victim.produced).toBe(2);
    expect(gpu.liveBytes).toBe(0);
  });

  test('a cancelled request lets go at once, waiting or running', () => {
    const { gpu, engine } = engineWith(10 * GIB, { maxGenerations: 1 });
    const [first, second] = [sequence(1000, 10), sequence(1000, 10)];
    engine.submit(first);
    engine.submit(second);
    engine.advance(1);
    expect(engine.counters()).toMatchObject({ running: 1, waiting: 1 });
    engine.cancel(second);
    engine.cancel(first);
    expect(engine.counters()).toMatchObject({ running: 0, waiting: 0 });
    expect(gpu.liveBytes).toBe(0);
  });
});
