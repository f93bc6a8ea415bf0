/**
 * The scanner against JSON.parse and an independent count of the parsed value,
 * over JSON written in every legal way, over JSON with bytes changed, and over
 * bytes of no meaning at all; always whole and in pieces.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../proxy/json/canonical.ts';
import { JsonScanner } from '../../proxy/json/scanner.ts';
import { memberJson, smallValue, splice } from '../../proxy/json/splice.ts';
import type { JsonKind, ScanError, ScannedObject } from '../../proxy/json/types.ts';
import {
  hasBackslashKey,
  type Json,
  type JsonObject,
  jsonObject,
  jsonValue,
  key,
  seeds,
  write,
  writtenObject,
} from '../support/arbitrary-json.ts';
import { bytesOf, scan, scanObject } from '../support/scan-json.ts';

const structural = new Set(bytesOf('{}[]",:'));

/** Bytes that break JSON in interesting ways. */
const loadedByte = fc.oneof(
  fc.constantFrom(...structural),
  fc.constantFrom(...bytesOf('\\/+-.019eEtfnulx \n')),
  fc.constantFrom(0x00, 0x1f, 0x7f, 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff),
  fc.integer({ min: 0, max: 255 }),
);
const mutation = fc.record({
  at: fc.nat(10_000),
  atStructure: fc.boolean(),
  removed: fc.nat(2),
  inserted: fc.array(loadedByte, { maxLength: 2 }),
});
const mutatedBody = fc
  .tuple(writtenObject, fc.array(mutation, { minLength: 1, maxLength: 3 }))
  .map(([{ body }, mutations]) => {
    const bytes = [...body];
    for (const { at, atStructure, removed, inserted } of mutations) {
      const places = [...bytes.keys(), bytes.length].filter(
        (place) => !atStructure || structural.has(bytes[place] ?? 0),
      );
      bytes.splice(places[at % places.length] ?? 0, removed, ...inserted);
    }
    return Uint8Array.from(bytes);
  })
  .filter((body) => !hasBackslashKey(body));
const randomBody = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(loadedByte, { maxLength: 25 }).map((bytes) => Uint8Array.of(0x7b, ...bytes)),
    fc
      .array(
        fc.constantFrom(...'{}[]",:', '"a":', '{"a":', '"b"', '1', '-', '.5', 'e1', 'true', 'nul'),
      )
      .map((tokens) => bytesOf(`{${tokens.join('')}`)),
  )
  .filter((body) => !hasBackslashKey(body));

/** The scan of a body in chunks that end at the given places, empty chunks included. */
function scanInPieces(body: Uint8Array, cuts: readonly number[]): ScannedObject | ScanError {
  const scanner = new JsonScanner();
  let from = 0;
  for (const to of cuts.map((cut) => cut % (body.length + 1)).sort((a, b) => a - b)) {
    scanner.push(body.subarray(from, to));
    from = to;
  }
  scanner.push(body.subarray(from));
  return scanner.end();
}

/** What JSON.parse makes of a body; undefined when it is not UTF-8, not JSON or no object. */
function parseObject(body: Uint8Array): JsonObject | undefined {
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const value: unknown = JSON.parse(decoder.decode(body));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return kindOf(value) === 'object';
}

function kindOf(value: unknown): JsonKind {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  const type = typeof value;
  if (type === 'string' || type === 'number' || type === 'boolean') return type;
  return 'object';
}

interface Content {
  readonly stringBytes: number;
  readonly keyBytes: number;
  readonly numbers: number;
}

/** The text and numbers of a parsed value; TextEncoder writes a lone surrogate as 3 bytes. */
function contentOf(value: Json): Content {
  if (typeof value === 'string') {
    return { stringBytes: bytesOf(value).length, keyBytes: 0, numbers: 0 };
  }
  if (typeof value !== 'object' || value === null) {
    return { stringBytes: 0, keyBytes: 0, numbers: typeof value === 'number' ? 1 : 0 };
  }
  const keys = Array.isArray(value) ? [] : Object.keys(value);
  const keyBytes = keys.reduce((bytes, name) => bytes + bytesOf(name).length, 0);
  return Object.values<Json>(value)
    .map(contentOf)
    .reduce(
      (sum, part) => ({
        stringBytes: sum.stringBytes + part.stringBytes,
        keyBytes: sum.keyBytes + part.keyBytes,
        numbers: sum.numbers + part.numbers,
      }),
      { stringBytes: 0, keyBytes, numbers: 0 },
    );
}

describe('the scanner agrees with JSON.parse', () => {
  test('on JSON however it is written', () => {
    fc.assert(
      fc.property(writtenObject, ({ value, body }) => {
        const object = scanObject(body);
        expect(parseObject(body)).toEqual(value);
        expect([...object.members.keys()].sort()).toEqual(Object.keys(value).sort());
        for (const [name, member] of object.members) {
          expect(smallValue(body, member)).toEqual(value[name]);
        }
        expect(object.bytes).toBe(body.length);
      }),
      { numRuns: 1000 },
    );
  });

  /** Codes of bodies that JSON.parse may accept: kvgate is stricter there by intent. */
  const stricter = new Set(['duplicate_key', 'too_deep', 'too_many_members']);

  function expectAgreement(body: Uint8Array): void {
    const result = scan(body);
    const parsed = parseObject(body);
    if ('code' in result) {
      if (!stricter.has(result.code)) expect(parsed).toBeUndefined();
      expect(result.offset).toBeLessThanOrEqual(body.length);
      return;
    }
    expect([...result.members.keys()].sort()).toEqual(Object.keys(parsed ?? []).sort());
    for (const [name, member] of result.members) {
      expect(smallValue(body, member)).toEqual(parsed?.[name]);
    }
  }

  test('on JSON with bytes changed', () => {
    fc.assert(fc.property(mutatedBody, expectAgreement), { numRuns: 5000 });
  });

  test('on bytes of no meaning', () => {
    fc.assert(fc.property(randomBody, expectAgreement), { numRuns: 5000 });
  });

  test('on every sequence of up to three bytes after a character’s first', () => {
    const tails = [[], [0x7f], [0x80], [0x8f], [0x90], [0x9f], [0xa0], [0xbf], [0xc0]];
    for (let lead = 0x80; lead <= 0xff; lead += 1) {
      for (const second of tails) {
        for (const third of tails) {
          for (const fourth of tails) {
            const sequence = [lead, ...second, ...third, ...fourth];
            const body = Uint8Array.from([...bytesOf('{"a":"'), ...sequence, ...bytesOf('"}')]);
            const isAccepted = !('code' in scan(body));
            if (isAccepted !== (parseObject(body) !== undefined)) {
              throw new Error(`disagreement on ${sequence}`);
            }
          }
        }
      }
    }
  });
});

describe('the result does not depend on how the body is cut', () => {
  const anyBody = fc.oneof(
    writtenObject.map(({ body }) => body),
    mutatedBody,
    randomBody,
  );

  test('at random', () => {
    fc.assert(
      fc.property(anyBody, fc.array(fc.nat(10_000), { maxLength: 8 }), (body, cuts) => {
        expect(scanInPieces(body, cuts)).toEqual(scan(body));
      }),
      { numRuns: 3000 },
    );
  });

  test('in two anywhere, and into single bytes', () => {
    fc.assert(
      fc.property(anyBody, (body) => {
        const whole = scan(body);
        expect(scan(body, { chunkBytes: 1 })).toEqual(whole);
        for (let cut = 0; cut <= body.length; cut += 1) {
          expect(scanInPieces(body, [cut])).toEqual(whole);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('the beginning of an acceptable body is truncated and nothing else', () => {
    fc.assert(
      fc.property(writtenObject, ({ body }) => {
        const { closingBrace } = scanObject(body);
        for (let length = 0; length <= closingBrace; length += 1) {
          expect(scan(body.subarray(0, length))).toMatchObject({
            code: 'truncated',
            offset: length,
          });
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe('what is reported of a member', () => {
  test('equals a count of the parsed value', () => {
    fc.assert(
      fc.property(writtenObject, ({ value, body }) => {
        for (const [name, member] of scanObject(body).members) {
          const memberValue = value[name] ?? null;
          const isContainer = typeof memberValue === 'object' && memberValue !== null;
          expect(member).toMatchObject({
            ...contentOf(memberValue),
            kind: kindOf(memberValue),
            children: isContainer ? Object.keys(memberValue).length : 0,
            childKinds: Array.isArray(memberValue) ? [...new Set(memberValue.map(kindOf))] : [],
          });
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('spans the key and the value', () => {
    fc.assert(
      fc.property(writtenObject, ({ body }) => {
        const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
        for (const member of scanObject(body).members.values()) {
          const name = decoder.decode(body.subarray(member.keyStart, member.valueStart));
          expect(JSON.parse(name.slice(0, name.lastIndexOf(':')))).toBe(member.key);
          expect(memberJson(body, member)).toBe(memberJson(body, member).trim());
        }
      }),
    );
  });

  test('a key given twice is refused however it is written', () => {
    fc.assert(
      fc.property(jsonObject, key, seeds, seeds, (value, name, one, other) => {
        const inside = (seed: readonly number[]) =>
          write({ ...value, [name]: 1 }, seed)
            .trim()
            .slice(1, -1);
        expect(scan(`{${inside(one)},${inside(other)}}`)).toMatchObject({ code: 'duplicate_key' });
      }),
    );
  });
});

describe('splice', () => {
  const edits = fc.array(fc.record({ key, value: jsonValue }), { maxLength: 4 });

  /** Of the object's own keys some, so that edits replace as well as add. */
  const edited = fc
    .tuple(writtenObject, edits, fc.array(fc.nat(20), { maxLength: 3 }))
    .map(([{ value, body }, added, picks]) => {
      const names = Object.keys(value);
      const replaced = picks.flatMap((pick) => {
        const name = names[pick % Math.max(names.length, 1)];
        return name === undefined ? [] : [{ key: name, value: pick }];
      });
      return { value, body, edits: [...added, ...replaced] };
    });

  test('then parse equals parse then set', () => {
    fc.assert(
      fc.property(edited, ({ value, body, edits: changes }) => {
        const spliced = splice(
          body,
          scanObject(body),
          changes.map((edit) => ({ key: edit.key, json: JSON.stringify(edit.value) })),
        );
        const expected = new Map(Object.entries(value));
        for (const edit of changes) expected.set(edit.key, JSON.parse(JSON.stringify(edit.value)));
        expect(new Map(Object.entries(parseObject(spliced) ?? {}))).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test('changes no byte outside the values edited', () => {
    fc.assert(
      fc.property(edited, ({ body, edits: changes }) => {
        const object = scanObject(body);
        const spliced = splice(
          body,
          object,
          changes.map((edit) => ({ key: edit.key, json: JSON.stringify(edit.value) })),
        );
        const after = scanObject(spliced);
        const editedKeys = new Set(changes.map((edit) => edit.key));
        let from = 0;
        let fromAfter = 0;
        for (const member of object.members.values()) {
          if (!editedKeys.has(member.key)) continue;
          const memberAfter = after.members.get(member.key);
          expect(spliced.subarray(fromAfter, memberAfter?.valueStart)).toEqual(
            body.subarray(from, member.valueStart),
          );
          from = member.valueEnd;
          fromAfter = memberAfter?.valueEnd ?? 0;
        }
        const rest = body.subarray(from, object.closingBrace);
        expect(spliced.subarray(fromAfter, fromAfter + rest.length)).toEqual(rest);
        expect(spliced.subarray(after.closingBrace)).toEqual(body.subarray(object.closingBrace));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('canonicalJson', () => {
  const reversed = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(reversed);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([name, member]) => [name, reversed(member)]),
    );
  };

  test('is the same for every way to write a value and every order of its keys', () => {
    fc.assert(
      fc.property(jsonObject, seeds, seeds, (value, one, other) => {
        const canonical = canonicalJson(JSON.parse(write(value, one)));
        expect(canonicalJson(JSON.parse(write(reversed(value), other)))).toBe(canonical);
      }),
    );
  });

  test('keeps the meaning, so that two values of one text are equal', () => {
    fc.assert(
      fc.property(jsonObject, (value) => {
        const withoutNegativeZero = JSON.parse(JSON.stringify(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(withoutNegativeZero);
      }),
    );
  });
});
