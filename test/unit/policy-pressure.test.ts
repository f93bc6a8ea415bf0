/** Levels by pressure, and how they hold, rise and fall over time. */
import { describe, expect, test } from '@jest/globals';
import {
  dynamicPressure,
  higherLevel,
  LEVELS,
  type LevelRules,
  type LevelState,
  levelAt,
  levelRank,
  nextLevel,
  poolPressure,
} from '../../proxy/policy/pressure.ts';
import type { Level } from '../../proxy/policy/types.ts';

const thresholds = { medium: 0.7, high: 0.8, critical: 0.85, emergency: 0.9 };
const rules: LevelRules = { thresholds, hysteresis: 0.03, minDwellMs: 5_000 };

test.each<[number, Level]>([
  [0, 'low'],
  [0.7, 'low'],
  [0.7001, 'medium'],
  [0.8, 'medium'],
  [0.8001, 'high'],
  [0.85, 'high'],
  [0.8501, 'critical'],
  [0.9, 'critical'],
  [0.9001, 'emergency'],
  [Number.POSITIVE_INFINITY, 'emergency'],
])('a pressure of %d is %s', (pressure, level) => {
  expect(levelAt(pressure, thresholds)).toBe(level);
});

interface Moment {
  readonly atMs: number;
  readonly pressure: number | null;
  readonly atLeast?: Level;
  readonly level: Level;
}

describe('over time', () => {
  test.each<{ what: string; moments: readonly Moment[] }>([
    {
      what: 'rises at once, over several levels',
      moments: [
        { atMs: 0, pressure: 0.95, level: 'emergency' },
        { atMs: 0, pressure: 0.95, level: 'emergency' },
      ],
    },
    {
      what: 'rises again before it was held for long',
      moments: [
        { atMs: 0, pressure: 0.75, level: 'medium' },
        { atMs: 1, pressure: 0.82, level: 'high' },
      ],
    },
    {
      what: 'holds a level for a while, however low the pressure',
      moments: [
        { atMs: 0, pressure: 0.95, level: 'emergency' },
        { atMs: 4_999, pressure: 0, level: 'emergency' },
        { atMs: 5_000, pressure: 0, level: 'low' },
      ],
    },
    {
      what: 'holds it while the pressure is just below the threshold',
      moments: [
        { atMs: 0, pressure: 0.75, level: 'medium' },
        { atMs: 60_000, pressure: 0.68, level: 'medium' },
        { atMs: 60_001, pressure: 0.669, level: 'low' },
      ],
    },
    {
      what: 'falls only as far as the pressure has fallen',
      moments: [
        { atMs: 0, pressure: 0.95, level: 'emergency' },
        { atMs: 5_000, pressure: 0.79, level: 'high' },
        { atMs: 9_999, pressure: 0.1, level: 'high' },
        { atMs: 10_000, pressure: 0.1, level: 'low' },
      ],
    },
    {
      what: 'an unknown pressure neither raises nor lowers',
      moments: [
        { atMs: 0, pressure: null, level: 'low' },
        { atMs: 1, pressure: 0.82, level: 'high' },
        { atMs: 60_000, pressure: null, level: 'high' },
      ],
    },
    {
      what: 'a floor lifts a lower level and leaves a higher one',
      moments: [
        { atMs: 0, pressure: 0.1, atLeast: 'medium', level: 'medium' },
        { atMs: 1, pressure: 0.82, atLeast: 'medium', level: 'high' },
        { atMs: 5_001, pressure: 0.1, atLeast: 'medium', level: 'medium' },
        { atMs: 10_001, pressure: 0.1, level: 'low' },
      ],
    },
    {
      what: 'a floor under an unknown pressure lowers nothing',
      moments: [
        { atMs: 0, pressure: 0.88, level: 'critical' },
        { atMs: 60_000, pressure: null, atLeast: 'medium', level: 'critical' },
      ],
    },
    {
      what: 'an unknown pressure with a floor rises to it',
      moments: [{ atMs: 0, pressure: null, atLeast: 'medium', level: 'medium' }],
    },
  ])('$what', ({ moments }) => {
    let state: LevelState = { level: 'low', sinceMs: 0 };
    const seen = moments.map(({ atMs, pressure, atLeast = 'low' }) => {
      state = nextLevel(state, pressure, atLeast, rules, atMs);
      return state.level;
    });
    expect(seen).toEqual(moments.map(({ level }) => level));
  });

  test('a pressure that flaps around a threshold changes the level at most once in a dwell', () => {
    let state: LevelState = { level: 'low', sinceMs: 0 };
    let changes = 0;
    for (let atMs = 0; atMs < 60_000; atMs += 100) {
      const next = nextLevel(state, atMs % 200 === 0 ? 0.85 : 0.6, 'low', rules, atMs);
      if (next.level !== state.level) changes += 1;
      state = next;
    }
    // Up and down once in every dwell of 5 s.
    expect(changes).toBeLessThanOrEqual(2 * (60_000 / rules.minDwellMs));
  });
});

test('levels are ranked', () => {
  expect(LEVELS.map(levelRank)).toEqual([0, 1, 2, 3, 4]);
  expect(higherLevel('high', 'medium')).toBe('high');
  expect(higherLevel('medium', 'high')).toBe('high');
  expect(higherLevel('low', 'low')).toBe('low');
});

test.each<[string, number, number]>([
  ['nothing held', dynamicPressure(0, 0, 100), 0],
  ['held and foreign over the budget alone', dynamicPressure(30, 20, 100), 0.5],
  ['more than there is', dynamicPressure(90, 20, 100), 1.1],
  ['no budget at all is not an empty one', dynamicPressure(0, 0, 0), Number.POSITIVE_INFINITY],
  ['a pool by its forecast', poolPressure(98, 100), 0.98],
  ['a pool without capacity', poolPressure(0, 0), Number.POSITIVE_INFINITY],
])('%s', (_what, pressure, expected) => {
  expect(pressure).toBeCloseTo(expected, 12);
});
