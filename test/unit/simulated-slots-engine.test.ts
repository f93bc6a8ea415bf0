import { describe, expect, test } from '@jest/globals';
import { modelGeometry } from '../../backend-adapters/simulated-server/geometry.ts';
import { SlotsEngine } from '../../backend-adapters/simulated-server/slots-engine.ts';
import {
  slotContextTokens,
  slotsPoolBytes,
} from '../../backend-adapters/simulated-server/slots-memory.ts';
import { runToEnd, STEP_RATES, sequence } from '../support/simulated-sequence.ts';

const MIB = 1024 ** 2;

function engineOf(contextTokens: number, slots: number, unified: boolean): SlotsEngine {
  return new SlotsEngine({ ...STEP_RATES, contextTokens, slots, unified });
}

function cells(engine: SlotsEngine): number[] {
  return engine.slots.map((slot) => slot.cells.length);
}

describe('memory, as llama-server was seen to allocate it', () => {
  const model = modelGeometry('gpt-oss-20b');

  test.each([
    { contextTokens: 131_072, slots: 1, unified: false, mib: 3072 + 18 },
    { contextTokens: 32_768, slots: 4, unified: true, mib: 768 + 24 },
    { contextTokens: 32_768, slots: 8, unified: false, mib: 768 + 144 },
  ])('-c $contextTokens, $slots slots, unified $unified: $mib MiB', ({ mib, ...shape }) => {
    expect(slotsPoolBytes(shape, model)).toBe(mib * MIB);
  });

  test.each([
    { contextTokens: 8192, slots: 4, unified: false, slotContext: 2048 },
    { contextTokens: 30_001, slots: 3, unified: false, slotContext: 10_240 },
    { contextTokens: 4096, slots: 4, unified: true, slotContext: 4096 },
  ])('-c $contextTokens over $slots slots: n_ctx $slotContext', ({ slotContext, ...shape }) => {
    expect(slotContextTokens(shape)).toBe(slotContext);
  });
});

describe('slots', () => {
  test('a task without a free slot is deferred', () => {
    const engine = engineOf(4096, 2, false);
    for (const id of [1, 2, 3]) engine.submit(sequence(10, 5, { id }));
    engine.advance(1);
    expect(engine.counters()).toMatchObject({ running: 2, waiting: 1 });
    runToEnd(engine);
    expect(engine.counters()).toMatchObject({ running: 0, waiting: 0, maxRunning: 2 });
  });

  test('a task waits for the slot it asks for, others pass it', () => {
    const engine = engineOf(4096, 2, false);
    engine.submit(sequence(10, 50, { id: 1, slot: 0 }));
    const pinned = sequence(10, 5, { id: 2, slot: 0 });
    const free = sequence(10, 5, { id: 3 });
    engine.submit(pinned);
    engine.submit(free);
    for (let step = 0; step < 10; step++) engine.advance(1);
    expect([pinned.produced, free.produced]).toEqual([0, 5]);
  });

  test('an idle slot keeps its cells and the longest common prefix is not computed again', () => {
    const engine = engineOf(4096, 2, false);
    engine.submit(sequence(100, 10, { id: 1 }));
    runToEnd(engine);
    expect(cells(engine)).toEqual([109, 0]);
    const again = sequence(100, 10, { id: 1 });
    engine.submit(again);
    runToEnd(engine);
    expect(again.cachedTokens).toBe(99);
    expect(cells(engine)).toEqual([109, 0]);
  });

  test('a prompt that nothing was kept of goes to the slot unused for longest', () => {
    const engine = engineOf(4096, 2, false);
    for (const id of [1, 2, 3]) {
      engine.submit(sequence(100 * id, 1, { id }));
      runToEnd(engine);
    }
    expect(cells(engine)).toEqual([300, 200]);
  });

  test('erasing waits until the slot is idle', () => {
    const engine = engineOf(4096, 1, false);
    const [slot] = engine.slots;
    if (slot === undefined) throw new Error('no slot');
    engine.submit(sequence(100, 3));
    engine.advance(1);
    let erased: number | null = null;
    engine.erase(slot, (tokens) => {
      erased = tokens;
    });
    expect(erased).toBeNull();
    runToEnd(engine);
    expect(erased).toBe(102);
    expect(cells(engine)).toEqual([0]);
  });
});

describe('a unified pool', () => {
  test('caches of idle slots make room first', () => {
    const engine = engineOf(1024, 4, true);
    engine.submit(sequence(600, 1, { id: 1 }));
    runToEnd(engine);
    const second = sequence(900, 50, { id: 2 });
    engine.submit(second);
    runToEnd(engine);
    expect(second.fault).toBeNull();
    expect(cells(engine)).toEqual([0, 949, 0, 0]);
  });

  test('an overflow while decoding ends every task in flight, deferred ones go on', () => {
    const engine = engineOf(1024, 2, true);
    const sequences = [1, 2].map((id) => sequence(450, 500, { id }));
    const deferred = sequence(450, 10, { id: 3 });
    for (const each of [...sequences, deferred]) engine.submit(each);
    runToEnd(engine);
    for (const each of sequences) {
      expect(each.fault).toEqual({ kind: 'overflow', message: 'Context size has been exceeded.' });
      expect(each.produced).toBe(63);
    }
    expect([deferred.produced, deferred.fault]).toEqual([10, null]);
    expect(engine.counters()).toMatchObject({ overflow: 2, running: 0, waiting: 0 });
  });

  test('an overflow while a prompt is read does so too', () => {
    const engine = engineOf(1024, 2, true);
    const sequences = [1, 2].map((id) => sequence(600, 10, { id }));
    for (const each of sequences) engine.submit(each);
    runToEnd(engine);
    expect(sequences.map((each) => each.fault?.kind)).toEqual(['overflow', 'overflow']);
    expect(cells(engine)).toEqual([0, 0]);
  });
});
