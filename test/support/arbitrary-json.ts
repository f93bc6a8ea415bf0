/** Arbitrary JSON values, and the many texts that mean the same value. */
import fc from 'fast-check';
import { bytesOf } from './scan-json.ts';

export type Json = null | boolean | number | string | Json[] | JsonObject;
export interface JsonObject {
  [key: string]: Json;
}

/** UTF-16 code units of all sorts, so that pairs and lone halves of pairs come up. */
const codeUnit = fc.oneof(
  fc.integer({ min: 0, max: 0x7f }),
  fc.integer({ min: 0x80, max: 0xffff }),
  fc.constantFrom(0x22, 0x5c, 0x2f, 0x0a, 0xd83d, 0xde00, 0xfeff, 0xffff),
);
const text = fc.array(codeUnit, { maxLength: 12 }).map((units) => String.fromCharCode(...units));
/**
 * Any text, and keys that a careless program would stumble over; but for a key
 * that is one backslash. Once V8 13.6 (Node.js 24) has parsed an object with
 * such a key, its JSON.parse reads every key written as one escape, `"\u0061"`
 * say, as a backslash where that key stood: no reference to compare with.
 */
export const key = fc
  .oneof({ weight: 4, arbitrary: text }, fc.constantFrom('__proto__', 'max_tokens'))
  .filter((name) => name !== '\\');

/** Whether a body has, however it is written, the key that `key` leaves out. */
export function hasBackslashKey(body: Uint8Array): boolean {
  return /"(\\\\|\\u005c)"\s*:/i.test(new TextDecoder().decode(body));
}
const number = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(0, -0, 1e300, 5e-324),
);

export const { value: jsonValue } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constantFrom(null, true, false),
    number,
    text,
    fc.array(tie('value'), { maxLength: 5 }),
    objectOf(tie('value')),
  ),
}));
export const jsonObject = objectOf(jsonValue);

function objectOf(value: fc.Arbitrary<Json>): fc.Arbitrary<JsonObject> {
  // fromEntries defines `__proto__` as the ordinary key it is in JSON.
  return fc.array(fc.tuple(key, value), { maxLength: 6 }).map(Object.fromEntries);
}

/** A value as one of the many texts that mean it: the seed decides on whitespace and escapes. */
export function write(value: Json, seed: readonly number[]): string {
  let used = 0;
  const choose = (options: number) => (seed[used++ % seed.length] ?? 0) % options;
  const space = () => ['', '', '', ' ', '\n\t', '\r '][choose(6)] ?? '';
  const hex = (unit: number) => {
    const digits = unit.toString(16).padStart(4, '0');
    return `\\u${choose(2) === 0 ? digits : digits.toUpperCase()}`;
  };
  const writeText = (content: string): string => {
    const characters = [...content].map((character) => {
      const must = JSON.stringify(character).length > character.length + 2;
      if (choose(4) !== 0) return must ? JSON.stringify(character).slice(1, -1) : character;
      return character === '/'
        ? '\\/'
        : character
            .split('')
            .map((c) => hex(c.charCodeAt(0)))
            .join('');
    });
    return `"${characters.join('')}"`;
  };
  const writeNumber = (n: number): string => {
    if (Object.is(n, -0)) return '-0';
    if (choose(3) === 0) return n.toExponential().replace('e', choose(2) === 0 ? 'e' : 'E');
    return JSON.stringify(n);
  };
  const writeValue = (node: Json): string => {
    if (typeof node === 'string') return writeText(node);
    if (typeof node === 'number') return writeNumber(node);
    if (typeof node !== 'object' || node === null) return JSON.stringify(node);
    const items = Array.isArray(node)
      ? node.map((item) => `${space()}${writeValue(item)}${space()}`)
      : Object.entries(node).map(
          ([k, v]) => `${space()}${writeText(k)}${space()}:${space()}${writeValue(v)}${space()}`,
        );
    const inside = items.length > 0 ? items.join(',') : space();
    return Array.isArray(node) ? `[${inside}]` : `{${inside}}`;
  };
  return `${space()}${writeValue(value)}${space()}`;
}

/** Seeds for `write`. */
export const seeds = fc.array(fc.nat(1000), { minLength: 1, maxLength: 40 });
/** An object and a body that means it. */
export const writtenObject = fc
  .tuple(jsonObject, seeds)
  .map(([value, seed]) => ({ value, body: bytesOf(write(value, seed)) }));
