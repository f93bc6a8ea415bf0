/** What is learned of an instance's speed. */
import { describe, expect, test } from '@jest/globals';
import { Speeds } from '../../proxy/state/speeds.ts';

/** Answers of these lengths, each token 10 ms, each prompt token 1 ms. */
function taught(outputs: readonly number[], ttft: 'seen' | 'unseen' = 'seen'): Speeds {
  const speeds = new Speeds();
  for (const outputTokens of outputs) {
    speeds.learn('a', {
      promptTokens: 100,
      outputTokens,
      ttftMs: ttft === 'seen' ? 100 : null,
      totalMs: 100 + outputTokens * 10,
    });
  }
  return speeds;
}

describe('durations', () => {
  test('nothing is predicted before something was seen', () => {
    expect(new Speeds().durationMs('a', 1, 1)).toBeNull();
    expect(taught([10]).durationMs('b', 1, 1)).toBeNull();
  });

  test('prefill by prompt tokens, decode by output tokens', () => {
    expect(taught([50]).durationMs('a', 300, 20)).toBeCloseTo(300 + 200, 6);
  });

  test('an answer that was not streamed tells of both together', () => {
    expect(taught([10], 'unseen').durationMs('a', 300, 20)).toBeCloseTo(20 * 20, 6);
  });

  test('one that was not streamed, after one that was, has its prefill taken off', () => {
    const speeds = taught([10]);
    speeds.learn('a', {
      promptTokens: 100,
      outputTokens: 10,
      ttftMs: null,
      totalMs: 200,
    });
    expect(speeds.durationMs('a', 0, 10)).toBeCloseTo(100, 6);
  });

  test('a change of speed is followed by and by', () => {
    const speeds = taught([10]);
    const slow = { promptTokens: 100, outputTokens: 10, ttftMs: 100, totalMs: 1_100 };
    speeds.learn('a', slow);
    // 10 ms, then a fifth of the way to 100 ms.
    expect(speeds.durationMs('a', 0, 1)).toBeCloseTo(28, 6);
    for (let count = 0; count < 50; count += 1) speeds.learn('a', slow);
    expect(speeds.durationMs('a', 0, 1)).toBeCloseTo(100, 1);
  });

  test('an answer without output teaches prefill alone', () => {
    const speeds = new Speeds();
    speeds.learn('a', {
      promptTokens: 100,
      outputTokens: 0,
      ttftMs: 100,
      totalMs: 100,
    });
    expect(speeds.durationMs('a', 1, 1)).toBeNull();
    speeds.learn('a', {
      promptTokens: 0,
      outputTokens: 10,
      ttftMs: 0,
      totalMs: 100,
    });
    expect(speeds.durationMs('a', 100, 10)).toBeCloseTo(100 + 100, 6);
  });

  test('an answer of one streamed token teaches prefill alone', () => {
    const speeds = taught([10]);
    for (let count = 0; count < 20; count += 1) {
      speeds.learn('a', { promptTokens: 100, outputTokens: 1, ttftMs: 100, totalMs: 100 });
    }
    expect(speeds.durationMs('a', 0, 10)).toBeCloseTo(100, 6);
  });

  test('a first token later than the whole answer is no negative speed', () => {
    const speeds = new Speeds();
    speeds.learn('a', {
      promptTokens: 1,
      outputTokens: 10,
      ttftMs: 500,
      totalMs: 400,
    });
    expect(speeds.durationMs('a', 0, 10)).toBe(0);
  });
});

test('of several instances the quickest, and none before one has learned', () => {
  const speeds = taught([10]);
  speeds.learn('b', { promptTokens: 100, outputTokens: 10, ttftMs: 100, totalMs: 150 });
  expect(speeds.quickestDurationMs(['a', 'b', 'c'], 0, 10)).toBeCloseTo(50, 6);
  expect(speeds.quickestDurationMs(['c'], 0, 10)).toBeNull();
});
