import { describe, expect, test } from '@jest/globals';
import { boundsFromBytes } from '../../proxy/memory/token-bounds.ts';

const CHAT = { baseTokens: 70, perMessageTokens: 8 };
const NONE = { baseTokens: 0, perMessageTokens: 0 };

describe('boundsFromBytes', () => {
  test('a chat: one token a byte at most, the template on top', () => {
    expect(
      boundsFromBytes({ textBytes: 4000, otherBytes: 400, messages: 2, framing: CHAT }),
    ).toEqual({
      lo: 16,
      expected: 1100 + 86,
      hi: 4400 + 86,
      source: 'bytes',
    });
  });

  test('other bytes may all be left out by the template: they never raise lo', () => {
    const { lo } = boundsFromBytes({ textBytes: 1, otherBytes: 1e6, messages: 1, framing: CHAT });
    expect(lo).toBe(1);
  });

  test.each([
    // Counts by o200k_base: one byte, 128 blanks (its longest token), "hello world".
    { textBytes: 1, exact: 1 },
    { textBytes: 128, exact: 1 },
    { textBytes: 11, exact: 2 },
  ])('$textBytes bytes of plain text hold the exact count $exact', ({ textBytes, exact }) => {
    const { lo, hi } = boundsFromBytes({ textBytes, otherBytes: 0, messages: 0, framing: NONE });
    expect(lo).toBeLessThanOrEqual(exact);
    expect(hi).toBeGreaterThanOrEqual(exact);
  });

  test('an empty prompt still takes a token', () => {
    expect(
      boundsFromBytes({ textBytes: 0, otherBytes: 0, messages: 0, framing: NONE }),
    ).toMatchObject({ lo: 1, expected: 1, hi: 1 });
  });
});
