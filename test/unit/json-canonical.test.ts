import { describe, expect, test } from '@jest/globals';
import { canonicalJson } from '../../proxy/json/canonical.ts';

describe('canonicalJson', () => {
  test.each([
    ['{ "b" : 1, "a" : [ 2, 1 ] }', '{"a":[2,1],"b":1}'],
    ['{"b":{"d":1,"c":2},"a":[{"z":1,"y":2}]}', '{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1}}'],
    ['"\\u0041\\/\\u00e9"', '"A/é"'],
    ['[1.0, 1e2, -0, 0.10]', '[1,100,0,0.1]'],
    ['[true,false,null,"",{},[]]', '[true,false,null,"",{},[]]'],
    ['{"10":1,"9":2}', '{"10":1,"9":2}'],
    ['{"\\ufb33":1,"\\ud83d\\ude00":2}', '{"😀":2,"\ufb33":1}'],
    ['{"b":1,"__proto__":{"x":1},"A":2}', '{"A":2,"__proto__":{"x":1},"b":1}'],
    ['[1e999,-1e999,null]', '[1e999,-1e999,null]'],
    ['"\\ud800"', '"\\ud800"'],
  ])('%s becomes %s', (text, canonical) => {
    expect(canonicalJson(JSON.parse(text))).toBe(canonical);
  });

  test('64 levels of nesting', () => {
    const text = `${'{"a":['.repeat(32)}1${']}'.repeat(32)}`;
    expect(canonicalJson(JSON.parse(text))).toBe(text);
  });

  test.each([[undefined], [Number.NaN], [1n], [[undefined]], [{ a: () => 1 }]])(
    'refuses what is not JSON: %p',
    (value) => {
      expect(() => canonicalJson(value)).toThrow(TypeError);
    },
  );
});
