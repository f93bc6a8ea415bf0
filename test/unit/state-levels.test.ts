/** The level of an instance over time, and the sequences that it allows. */
import { describe, expect, test } from '@jest/globals';
import { type LevelSignal, Levels } from '../../proxy/state/levels.ts';
import { POOL_THRESHOLDS, THRESHOLDS } from '../support/state-world.ts';

type Options = ConstructorParameters<typeof Levels>[0];

function levels(change: Partial<Options> = {}) {
  const made = new Levels({
    pressure: THRESHOLDS,
    poolPressure: POOL_THRESHOLDS,
    hysteresis: 0.03,
    minDwellMs: 5_000,
    maxConcurrency: null,
    degrade: 'seed',
    ...change,
  });
  const observe = (atMs: number, signal: Partial<LevelSignal>) =>
    made.observe(
      'a',
      { memoryModel: 'dynamic', pressure: 0, preemptions: null, sequences: 0, ...signal },
      atMs,
    );
  return { made, observe };
}

test('an instance never heard of is at low, with no pressure known and no limit', () => {
  const { made } = levels();
  expect(made.level('a')).toBe('low');
  expect(made.pressure('a')).toBeNull();
  expect(made.concurrencyCap('a')).toBeNull();
});

test('each memory model has thresholds of its own', () => {
  const { made } = levels();
  const at = (memoryModel: LevelSignal['memoryModel'], pressure: number) => {
    const signal = { memoryModel, pressure, preemptions: null, sequences: 0 };
    return made.observe(`${memoryModel} ${pressure}`, signal, 0).after;
  };
  expect(at('dynamic', 0.98)).toBe('emergency');
  expect(at('pool', 0.98)).toBe('low');
  expect(at('pool', 1.15)).toBe('critical');
});

test('tells the level before and after', () => {
  const { observe, made } = levels();
  expect(observe(0, { pressure: 0.82 })).toEqual({ before: 'low', after: 'high' });
  expect(observe(1, { pressure: 0.82 })).toEqual({ before: 'high', after: 'high' });
  expect(observe(5_001, { pressure: 0.1 })).toEqual({ before: 'high', after: 'low' });
  expect(made.pressure('a')).toBe(0.1);
});

describe('a preemption', () => {
  test('lifts to medium, whatever the forecast says, until the level may fall', () => {
    const { observe } = levels();
    observe(0, { pressure: 0.1, preemptions: 7 });
    expect(observe(1, { pressure: 0.1, preemptions: 8 }).after).toBe('medium');
    expect(observe(5_000, { pressure: 0.1, preemptions: 8 }).after).toBe('medium');
    expect(observe(5_001, { pressure: 0.1, preemptions: 8 }).after).toBe('low');
  });

  test('leaves a higher level', () => {
    const { observe } = levels();
    observe(0, { pressure: 0.88, preemptions: 7 });
    expect(observe(60_000, { pressure: null, preemptions: 8 }).after).toBe('critical');
  });

  test('is seen under any threshold', () => {
    const { observe } = levels({ pressure: { ...THRESHOLDS, medium: 12, high: 13 } });
    observe(0, { preemptions: 0 });
    expect(observe(1, { preemptions: 1 }).after).toBe('medium');
  });

  test.each<[string, readonly (number | null)[]]>([
    ['the first count says nothing of now', [5]],
    ['an equal count', [5, 5]],
    ['an engine that started anew', [5, 0]],
    ['a count that is missing for a moment', [5, null, 5]],
  ])('%s lifts nothing', (_what, counts) => {
    const { observe, made } = levels();
    for (const [atMs, preemptions] of counts.entries()) observe(atMs, { preemptions });
    expect(made.level('a')).toBe('low');
  });

  test('a count that is missing for a moment hides none', () => {
    const { observe } = levels();
    observe(0, { preemptions: 5 });
    observe(1, { preemptions: null });
    expect(observe(2, { preemptions: 6 }).after).toBe('medium');
  });
});

describe('sequences in flight', () => {
  test('the usual number is the highest of the last minute at low', () => {
    const { observe, made } = levels();
    observe(0, { sequences: 20 });
    observe(30_000, { sequences: 8 });
    observe(61_000, { sequences: 3 });
    observe(61_001, { sequences: 3, pressure: 0.82 });
    expect(made.concurrencyCap('a')).toBe(4);
  });

  test('it is frozen until low returns', () => {
    const { observe, made } = levels();
    observe(0, { sequences: 8 });
    observe(1, { sequences: 8, pressure: 0.82 });
    for (let atMs = 1_000; atMs <= 600_000; atMs += 1_000) {
      observe(atMs, { sequences: 1, pressure: 0.82 });
    }
    expect(made.concurrencyCap('a')).toBe(4);
    observe(605_000, { sequences: 1, pressure: 0.1 });
    observe(605_001, { sequences: 1, pressure: 0.86 });
    expect(made.concurrencyCap('a')).toBe(1);
  });

  test('no cap is below one', () => {
    const { observe, made } = levels();
    observe(0, { sequences: 1 });
    observe(1, { pressure: 0.86 });
    expect(made.concurrencyCap('a')).toBe(1);
  });

  test('an instance that was idle has no usual number, and only an emergency limits it', () => {
    const { observe, made } = levels();
    observe(0, { sequences: 0 });
    observe(1, { pressure: 0.88 });
    expect(made.concurrencyCap('a')).toBeNull();
    observe(2, { pressure: 0.95 });
    expect(made.concurrencyCap('a')).toBe(1);
  });

  test('--max-concurrency is the 100 % where it is set', () => {
    const { observe, made } = levels({ maxConcurrency: 16 });
    observe(0, { sequences: 4 });
    expect(made.concurrencyCap('a')).toBe(16);
    observe(1, { pressure: 0.82 });
    expect(made.concurrencyCap('a')).toBe(8);
  });

  test('--degrade off holds nothing back', () => {
    const { observe, made } = levels({ degrade: 'off' });
    observe(0, { sequences: 4 });
    observe(1, { pressure: 0.95 });
    expect(made.concurrencyCap('a')).toBeNull();
  });
});
