import { expect, test } from '@jest/globals';
import type { TokenBounds } from '../../proxy/memory/token-bounds.ts';
import { CountCache } from '../../proxy/state/counts/count-cache.ts';

const BODY = new TextEncoder().encode('{"prompt":"hi"}');
const EXACT: TokenBounds = { lo: 7, expected: 7, hi: 7, source: 'engine' };

test('a body is known by itself, its instance and its route', () => {
  const cache = new CountCache();
  const key = cache.keyOf('a', '/v1/completions', BODY);
  expect(key).toBe(cache.keyOf('a', '/v1/completions', Uint8Array.from(BODY)));
  const others = [
    cache.keyOf('b', '/v1/completions', BODY),
    cache.keyOf('a', '/v1/chat/completions', BODY),
    cache.keyOf('a', '/v1/completions', BODY.subarray(1)),
  ];
  expect(new Set([key, ...others]).size).toBe(4);
});

test('keeps what is exact, until it is cleared', () => {
  const cache = new CountCache();
  cache.set('exact', EXACT);
  cache.set('bounds', { ...EXACT, hi: 8 });
  expect([cache.get('exact'), cache.get('bounds'), cache.get('other')]).toEqual([
    EXACT,
    null,
    null,
  ]);
  cache.clear();
  expect(cache.get('exact')).toBeNull();
});

test('forgets what was used least lately', () => {
  const cache = new CountCache();
  for (let n = 0; n < 1_000; n += 1) cache.set(`${n}`, EXACT);
  expect(cache.get('0')).toEqual(EXACT);
  cache.set('another', EXACT);
  expect([cache.get('0'), cache.get('1'), cache.get('another')]).toEqual([EXACT, null, EXACT]);
});

test('a body that takes long to hash is not kept', () => {
  const cache = new CountCache();
  const key = cache.keyOf('a', '/v1/completions', new Uint8Array(1024 ** 2 + 1));
  expect(key).toBeNull();
  cache.set(key, EXACT);
  expect(cache.get(key)).toBeNull();
});
