/** Cache keys are made where that is quick, whatever a prompt is made of. */
import { describe, expect, test } from '@jest/globals';
import { cacheKeyOf } from '../../proxy/http/disclose.ts';
import { bytesOf, scanObject } from '../support/scan-json.ts';

function keyOf(body: string): string | null {
  const bytes = bytesOf(body);
  return cacheKeyOf(bytes, scanObject(bytes));
}

const KIB = 1024;
const text = (bytes: number) => JSON.stringify('w'.repeat(bytes));

describe('a cache key', () => {
  test('is the same whatever the order, the spaces, and what is no prompt', () => {
    const one = keyOf('{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":1}');
    const other = keyOf(' { "messages" : [ {"content":"\\u0068i","role":"user"} ], "model":"m" }');
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(other).toBe(one);
  });

  test.each([
    ['a long chat', `{"messages":[{"role":"user","content":${text(250 * KIB)}}]}`],
    ['a text in escapes', `{"prompt":"${'\\u4e16'.repeat(40 * KIB)}"}`],
    ['many turns', `{"messages":[${Array(500).fill(`{"role":"user","content":${text(400)}}`)}]}`],
  ])('is made for %s', (_what, body) => {
    expect(keyOf(body)).not.toBeNull();
  });

  test.each([
    ['a longer prompt', `{"prompt":${text(257 * KIB)}}`],
    [
      'two members that are too long together',
      `{"prompt":${text(200 * KIB)},"system":${text(100 * KIB)}}`,
    ],
    ['a prompt of little but structure', `{"messages":[${Array(30 * KIB).fill('[]')}]}`],
  ])('is not made for %s', (_what, body) => {
    expect(keyOf(body)).toBeNull();
  });
});
