import { describe, expect, test } from '@jest/globals';
import { naturalLength, OutputText } from '../../backend-adapters/simulated-server/output-text.ts';
import { chatTokens, textTokens } from '../../backend-adapters/simulated-server/tokenizer.ts';

describe('the simulated tokenizer', () => {
  test.each([
    ['', 0],
    ['hello', 5],
    ['grüß', 6],
    ['😀', 4],
    ['\ud800', 3],
  ])('%j has %i tokens, one a UTF-8 byte', (text, tokens) => {
    expect(textTokens(text)).toHaveLength(tokens);
  });

  test.each([
    [[{ role: 'user', content: 'hello' }], undefined, 64 + 4 + 5],
    [[{ role: 'user', content: [{ type: 'text', text: 'hel' }, { text: 'lo' }] }], undefined, 73],
    [[{ role: 'assistant', content: null }], undefined, 68],
    [[{ role: 'user', content: 'a' }], [{ x: 1 }], 64 + 4 + 1 + 9],
  ])('chat %j with tools %j has %i tokens', (messages, tools, tokens) => {
    expect(chatTokens(messages, tools)).toHaveLength(tokens);
  });

  test('the next turn of a chat begins with all tokens of the last one and its answer', () => {
    const answer = new OutputText(1).slice(0, 20);
    const first = [{ role: 'user', content: 'hello' }];
    const next = [
      ...first,
      { role: 'assistant', content: answer },
      { role: 'user', content: 'go' },
    ];
    const cached = [...chatTokens(first, null), ...textTokens(answer)];
    expect([...chatTokens(next, null)].slice(0, cached.length)).toEqual(cached);
  });
});

describe('output text', () => {
  test('follows from its seed, however it is read', () => {
    const whole = new OutputText(7).slice(0, 300);
    const pieces = new OutputText(7);
    expect([0, 100, 200].map((from) => pieces.slice(from, from + 100)).join('')).toBe(whole);
    expect(new OutputText(8).slice(0, 300)).not.toBe(whole);
    expect(whole).toMatch(/^[a-z ]{300}$/);
  });

  test('an answer ends within its range, or never by itself', () => {
    const lengths = Array.from({ length: 200 }, (_, seed) =>
      naturalLength(seed, { min: 10, max: 12 }),
    );
    expect(new Set(lengths)).toEqual(new Set([10, 11, 12]));
    expect(naturalLength(1, null)).toBe(Number.POSITIVE_INFINITY);
  });
});
