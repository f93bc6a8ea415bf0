import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { slidingBlocksBound } from '../../backend-adapters/simulated-server/block-counts.ts';
import { BlockPool } from '../../backend-adapters/simulated-server/block-pool.ts';
import { BlockTable, pageBytes } from '../../backend-adapters/simulated-server/block-table.ts';
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import { resolvePaged } from '../../backend-adapters/simulated-server/options.ts';
import { PagedEngine } from '../../backend-adapters/simulated-server/paged-engine.ts';
import { runToEnd, STEP_RATES, sequence, sequenceOf } from '../support/simulated-sequence.ts';

const WINDOW = 128;

function engineOf(numGpuBlocks: number, overrides: { readonly maxSequences?: number } = {}) {
  return new PagedEngine({
    ...STEP_RATES,
    numGpuBlocks,
    windowTokens: WINDOW,
    maxSequences: 256,
    maxBatchedTokens: 8192,
    ...overrides,
  });
}

describe('the pool', () => {
  test('one block is 16 tokens in all layers of a group', () => {
    expect(pageBytes(modelGeometry('gpt-oss-20b'))).toBe(393_216);
    expect(pageBytes(modelGeometry('gpt-oss-120b'))).toBe(589_824);
  });

  test('its size is what 0.9 of the GPU leaves beside the weights', () => {
    const { numGpuBlocks } = resolvePaged({ personality: 'paged' });
    expect(numGpuBlocks).toBe(Math.floor((81_559 * 1024 ** 2 * 0.9 - 13_761_264_768) / 393_216));
    expect(numGpuBlocks).toBe(160_744);
  });

  test('a pool that cannot hold one request of full length is refused', () => {
    expect(() => resolvePaged({ personality: 'paged', numGpuBlocks: 8713 })).toThrow(/8713 blocks/);
    expect(resolvePaged({ personality: 'paged', numGpuBlocks: 8714 }).numGpuBlocks).toBe(8714);
  });
});

describe('blocks of one sequence', () => {
  test.each([
    [8192, 2048, 137],
    [8192, 8192, 512],
    [32_768, 8192, 521],
    [16, 8192, 1],
  ])('%i tokens with %i in flight: at most %i sliding blocks', (tokens, inFlight, blocks) => {
    expect(slidingBlocksBound(tokens, WINDOW, inFlight)).toBe(blocks);
  });

  test.each([
    [8192, 512 + 8],
    [8200, 513 + 9],
    [32_768, 2048 + 8],
    [100, 7 + 7],
  ])('decoding at %i tokens holds %i blocks', (tokens, blocks) => {
    const table = new BlockTable(new BlockPool(10_000), WINDOW, (index) => index);
    table.grow(0, tokens - 1);
    table.grow(tokens - 1, tokens);
    expect(table.heldBlocks).toBe(blocks);
  });

  test('a growth that does not fit takes nothing', () => {
    const pool = new BlockPool(1 + 10);
    const table = new BlockTable(pool, WINDOW, (index) => index);
    expect(table.grow(0, 6 * 16)).toBe(false);
    expect(pool.freeBlocks).toBe(10);
    expect(table.grow(0, 5 * 16)).toBe(true);
    expect(pool.freeBlocks).toBe(0);
  });
});

describe('scheduling', () => {
  test('a prompt waits until its own blocks are free; output is not reserved', () => {
    const engine = engineOf(1 + 80);
    const [first, second] = [sequence(400, 10, { id: 1 }), sequence(500, 1, { id: 2 })];
    engine.submit(first);
    engine.submit(second);
    engine.advance(1);
    expect(engine.counters()).toMatchObject({ running: 1, waiting: 1 });
    runToEnd(engine);
    expect([first.produced, second.produced]).toEqual([10, 1]);
    expect(engine.counters().preemptions).toBe(0);
    expect(engine.usedBlocks).toBe(0);
  });

  test('when decode finds no block the last one is preempted, and still answered in full', () => {
    const engine = engineOf(1 + 80);
    const sequences = [1, 2].map((id) => sequence(224, 600, { id }));
    for (const each of sequences) engine.submit(each);
    runToEnd(engine);
    expect(sequences.map((each) => [each.produced, each.fault])).toEqual([
      [600, null],
      [600, null],
    ]);
    expect(engine.counters().preemptions).toBeGreaterThan(0);
    expect(engine.counters().maxRunning).toBe(2);
    expect(engine.usedBlocks).toBe(0);
  });

  test('no more than max_num_seqs run at a time', () => {
    const engine = engineOf(1 + 1000, { maxSequences: 2 });
    for (const id of [1, 2, 3]) engine.submit(sequence(16, 2, { id }));
    runToEnd(engine);
    expect(engine.counters().maxRunning).toBe(2);
  });

  test('cancelling frees all blocks', () => {
    const engine = engineOf(1 + 1000);
    const running = sequence(1000, 100);
    engine.submit(running);
    engine.advance(1);
    expect(engine.usedBlocks).toBeGreaterThan(0);
    engine.cancel(running);
    expect(engine.usedBlocks).toBe(0);
    expect(engine.counters()).toMatchObject({ running: 0, waiting: 0 });
  });

  test('a long prompt is computed in chunks and holds the sliding blocks of one of them', () => {
    const engine = engineOf(1 + 10_000);
    const long = sequence(20_000, 2);
    engine.submit(long);
    engine.advance(0.01);
    expect([engine.usedBlocks, long.produced]).toEqual([1024 + 520, 0]);
    runToEnd(engine);
    expect(long.produced).toBe(2);
  });

  test('whatever comes and goes, every block comes back', () => {
    const request = fc.record({
      promptTokens: fc.integer({ min: 1, max: 700 }),
      outputTokens: fc.integer({ min: 1, max: 60 }),
      id: fc.integer({ min: 0, max: 3 }),
      cancelAfter: fc.option(fc.integer({ min: 0, max: 30 })),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 12 }), (requests) => {
        const engine = engineOf(1 + 160);
        const running = requests.map((each) => ({
          ...each,
          sequence: sequence(each.promptTokens, each.outputTokens, { id: each.id }),
        }));
        for (const each of running) engine.submit(each.sequence);
        for (let step = 0; step <= 30; step++) {
          engine.advance(1);
          for (const each of running) if (each.cancelAfter === step) engine.cancel(each.sequence);
        }
        runToEnd(engine);
        expect(engine.usedBlocks).toBe(0);
        for (const { cancelAfter, sequence: ended } of running) {
          if (cancelAfter === null) expect(ended.produced).toBe(ended.outputTokens);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('the prefix cache', () => {
  test('a repeated prompt finds its full blocks, all but the last token', () => {
    const engine = engineOf(1 + 1000);
    const [first, again] = [sequence(640, 4), sequence(640, 4)];
    engine.submit(first);
    runToEnd(engine);
    engine.submit(again);
    runToEnd(engine);
    expect([first.cachedTokens, again.cachedTokens]).toEqual([0, 624]);
    expect(engine.counters()).toMatchObject({ promptTokens: 1280, cachedTokens: 624 });
  });

  test('a prompt that only begins alike finds the common blocks', () => {
    const engine = engineOf(1 + 1000);
    const tokens = Uint32Array.from({ length: 640 }, (_, index) => (index < 330 ? index : 7));
    const other = tokens.map((token, index) => (index < 330 ? token : 8));
    engine.submit(sequenceOf(tokens, 1));
    runToEnd(engine);
    const begunAlike = sequenceOf(other, 1);
    engine.submit(begunAlike);
    runToEnd(engine);
    expect(begunAlike.cachedTokens).toBe(320);
  });

  test('shared blocks are held once', () => {
    const engine = engineOf(1 + 1000);
    engine.submit(sequence(1600, 50));
    engine.advance(1);
    const alone = engine.usedBlocks;
    engine.submit(sequence(1600, 50));
    engine.advance(1);
    expect(engine.usedBlocks).toBeLessThan(alone + 20);
  });

  test('what others needed is forgotten, the oldest first', () => {
    const engine = engineOf(1 + 90);
    engine.submit(sequence(640, 1, { id: 1 }));
    runToEnd(engine);
    engine.submit(sequence(640, 1, { id: 2 }));
    runToEnd(engine);
    const again = sequence(640, 1, { id: 1 });
    engine.submit(again);
    runToEnd(engine);
    expect(again.cachedTokens).toBeLessThan(160);
  });
});
