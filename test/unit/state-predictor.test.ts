/** What is learned of an instance's speed and of its answers' length. */
import { describe, expect, test } from '@jest/globals';
import { Predictor } from '../../proxy/state/predictor.ts';

const WHOLE = { endedBy: 'itself' } as const;

/** Answers of these lengths, each token 10 ms, each prompt token 1 ms. */
function taught(outputs: readonly number[], ttft: 'seen' | 'unseen' = 'seen'): Predictor {
  const predictor = new Predictor();
  for (const outputTokens of outputs) {
    predictor.settled('a', {
      promptTokens: 100,
      outputTokens,
      ttftMs: ttft === 'seen' ? 100 : null,
      totalMs: 100 + outputTokens * 10,
      endedBy: 'itself',
    });
  }
  return predictor;
}

function counts(upTo: number): readonly number[] {
  return Array.from({ length: upTo }, (_, index) => index + 1);
}

describe('durations', () => {
  test('nothing is predicted before something was seen', () => {
    expect(new Predictor().durationMs('a', 1, 1)).toBeNull();
    expect(taught([10]).durationMs('b', 1, 1)).toBeNull();
  });

  test('prefill by prompt tokens, decode by output tokens', () => {
    expect(taught([50]).durationMs('a', 300, 20)).toBeCloseTo(300 + 200, 6);
  });

  test('an answer that was not streamed tells of both together', () => {
    expect(taught([10], 'unseen').durationMs('a', 300, 20)).toBeCloseTo(20 * 20, 6);
  });

  test('one that was not streamed, after one that was, has its prefill taken off', () => {
    const predictor = taught([10]);
    predictor.settled('a', {
      promptTokens: 100,
      outputTokens: 10,
      ttftMs: null,
      totalMs: 200,
      ...WHOLE,
    });
    expect(predictor.durationMs('a', 0, 10)).toBeCloseTo(100, 6);
  });

  test('a change of speed is followed by and by', () => {
    const predictor = taught([10]);
    const slow = { promptTokens: 100, outputTokens: 10, ttftMs: 100, totalMs: 1_100, ...WHOLE };
    predictor.settled('a', slow);
    // 10 ms, then a fifth of the way to 100 ms.
    expect(predictor.durationMs('a', 0, 1)).toBeCloseTo(28, 6);
    for (let count = 0; count < 50; count += 1) predictor.settled('a', slow);
    expect(predictor.durationMs('a', 0, 1)).toBeCloseTo(100, 1);
  });

  test('an answer without output teaches prefill alone', () => {
    const predictor = new Predictor();
    predictor.settled('a', {
      promptTokens: 100,
      outputTokens: 0,
      ttftMs: 100,
      totalMs: 100,
      ...WHOLE,
    });
    expect(predictor.durationMs('a', 1, 1)).toBeNull();
    predictor.settled('a', {
      promptTokens: 0,
      outputTokens: 10,
      ttftMs: 0,
      totalMs: 100,
      ...WHOLE,
    });
    expect(predictor.durationMs('a', 100, 10)).toBeCloseTo(100 + 100, 6);
  });

  test('a first token later than the whole answer is no negative speed', () => {
    const predictor = new Predictor();
    predictor.settled('a', {
      promptTokens: 1,
      outputTokens: 10,
      ttftMs: 500,
      totalMs: 400,
      ...WHOLE,
    });
    expect(predictor.durationMs('a', 0, 10)).toBe(0);
  });
});

describe('lengths', () => {
  test('unknown until twenty answers were seen', () => {
    expect(taught(counts(19)).outputTokensQ99('a')).toBeNull();
    expect(taught(counts(20)).outputTokensQ99('a')).toBe(20);
  });

  test('the 99th percentile', () => {
    expect(taught(counts(500)).outputTokensQ99('a')).toBe(496);
    expect(taught([...counts(500)].reverse()).outputTokensQ99('a')).toBe(496);
  });

  test('of the latest 512', () => {
    const predictor = taught([...counts(512).map(() => 9_000), ...counts(512).map(() => 5)]);
    expect(predictor.outputTokensQ99('a')).toBe(5);
  });

  test('a new answer counts at once', () => {
    const predictor = taught(counts(20));
    predictor.outputTokensQ99('a');
    predictor.settled('a', { promptTokens: 1, outputTokens: 700, ttftMs: 1, totalMs: 2, ...WHOLE });
    expect(predictor.outputTokensQ99('a')).toBe(700);
  });
});

describe('likelyDurationMs', () => {
  const charge = { promptTokens: 0, outputTokens: 1_000 };
  test.each<[string, number, number, number]>([
    ['nothing learned of lengths: the most it may be', 19, 0, 10_000],
    ['as long as those seen lately', 100, 0, 1_000],
    ['but no shorter than what is out already', 100, 400, 4_000],
    ['and no longer than it may be', 100, 5_000, 10_000],
  ])('%s', (_what, answers, generatedTokens, durationMs) => {
    const predictor = taught(counts(answers));
    expect(predictor.likelyDurationMs('a', charge, generatedTokens)).toBeCloseTo(durationMs, 4);
  });

  test('a short request is not drawn out', () => {
    const short = { promptTokens: 0, outputTokens: 10 };
    expect(taught(counts(100)).likelyDurationMs('a', short)).toBeCloseTo(100, 6);
  });
});

describe('answers that a limit cut', () => {
  function cut(endedBy: 'asked_limit' | 'set_limit'): number | null {
    const predictor = taught(counts(20));
    const sample = { promptTokens: 100, outputTokens: 20, ttftMs: 100, totalMs: 300, endedBy };
    for (let count = 0; count < 20; count += 1) predictor.settled('a', sample);
    return predictor.outputTokensQ99('a');
  }

  test('at the limit they were asked with tell nothing of how long answers are', () => {
    expect(cut('asked_limit')).toBe(20);
  });

  test('at a limit that kvgate had learned let it grow again', () => {
    expect(cut('set_limit')).toBe(40);
  });
});
