import { describe, expect, test } from '@jest/globals';
import { JsonScanner } from '../../proxy/json/scanner.ts';
import { bytesOf, memberOf, scan, scanObject } from '../support/scan-json.ts';

/** The one member `v` of a body that holds just this value. */
function measure(json: string) {
  return memberOf(scanObject(`{"v":${json}}`), 'v');
}

/** `{"v":"…"}` with these bytes as the string's text. */
function bodyWithText(...text: number[]): Uint8Array {
  return Uint8Array.from([...bytesOf('{"v":"'), ...text, ...bytesOf('"}')]);
}

describe('a body that is refused', () => {
  test.each([
    // Not the beginning of an object.
    ['[{}]', 'not_an_object', 0],
    ['"text"', 'not_an_object', 0],
    [' \n42', 'not_an_object', 2],
    ['-1', 'not_an_object', 0],
    ['true', 'not_an_object', 0],
    ['null', 'not_an_object', 0],
    ['hello', 'syntax', 0],
    ['}', 'syntax', 0],
    ['\uFEFF{}', 'syntax', 0],
    ['\u00A0{}', 'syntax', 0],
    // Structure.
    ['{,}', 'syntax', 1],
    ['{"a" 1}', 'syntax', 5],
    ['{"a"::1}', 'syntax', 5],
    ['{"a":}', 'syntax', 5],
    ['{"a":1,}', 'syntax', 7],
    ['{"a":1 "b":2}', 'syntax', 7],
    ['{a:1}', 'syntax', 1],
    ["{'a':1}", 'syntax', 1],
    ['{1:1}', 'syntax', 1],
    ['{"a":[1,]}', 'syntax', 8],
    ['{"a":[,1]}', 'syntax', 6],
    ['{"a":[1 2]}', 'syntax', 8],
    ['{"a":[1}}', 'syntax', 7],
    ['{"a":{"b":1]}', 'syntax', 11],
    ['{"a":["b":1]}', 'syntax', 9],
    ['{"a":{"b"}}', 'syntax', 9],
    ['{}}', 'syntax', 2],
    ['{}{}', 'syntax', 2],
    ['{} x', 'syntax', 3],
    ['{"a":1}//', 'syntax', 7],
    ['{"a":\v1}', 'syntax', 5],
    ['{"a":\f1}', 'syntax', 5],
    // Literals.
    ['{"a":True}', 'syntax', 5],
    ['{"a":trUe}', 'syntax', 7],
    ['{"a":nul}', 'syntax', 8],
    ['{"a":nulll}', 'syntax', 9],
    ['{"a":undefined}', 'syntax', 5],
    ['{"a":NaN}', 'syntax', 5],
    // Numbers.
    ['{"a":+1}', 'syntax', 5],
    ['{"a":01}', 'syntax', 6],
    ['{"a":-01}', 'syntax', 7],
    ['{"a":-}', 'syntax', 6],
    ['{"a":--1}', 'syntax', 6],
    ['{"a":.5}', 'syntax', 5],
    ['{"a":1.}', 'syntax', 7],
    ['{"a":1.e5}', 'syntax', 7],
    ['{"a":1.2.3}', 'syntax', 8],
    ['{"a":1e}', 'syntax', 7],
    ['{"a":1e+}', 'syntax', 8],
    ['{"a":1e5.0}', 'syntax', 8],
    ['{"a":1e5e5}', 'syntax', 8],
    ['{"a":0x10}', 'syntax', 6],
    ['{"a":1_000}', 'syntax', 6],
    ['{"a":1n}', 'syntax', 6],
    ['{"a":-Infinity}', 'syntax', 6],
    // Strings.
    ['{"a":"\n"}', 'syntax', 6],
    ['{"a":"\0"}', 'syntax', 6],
    ['{"a":"\u001f"}', 'syntax', 6],
    ['{"\t":1}', 'syntax', 2],
    ['{"a":"\\x41"}', 'syntax', 7],
    ['{"a":"\\U0041"}', 'syntax', 7],
    ['{"a":"\\\'"}', 'syntax', 7],
    ['{"a":"\\u00g0"}', 'syntax', 10],
    ['{"a":"\\u12"}', 'syntax', 10],
    ['{"a":"\\ud83d\\x"}', 'syntax', 13],
    ['{"a":"\\é"}', 'syntax', 7],
    // Not whole.
    ['', 'truncated', 0],
    [' \t\r\n', 'truncated', 4],
    ['{', 'truncated', 1],
    ['{"a', 'truncated', 3],
    ['{"a"', 'truncated', 4],
    ['{"a":', 'truncated', 5],
    ['{"a":12', 'truncated', 7],
    ['{"a":-', 'truncated', 6],
    ['{"a":tru', 'truncated', 8],
    ['{"a":"\\', 'truncated', 7],
    ['{"a":"\\u00', 'truncated', 10],
    ['{"a":1,', 'truncated', 7],
    ['{"a":[[1]', 'truncated', 9],
    // A key twice, however it is written.
    ['{"a":1,"a":1}', 'duplicate_key', 7],
    ['{"a":1, "b":2, "a":[]}', 'duplicate_key', 15],
    ['{"max_tokens":1,"max\\u005ftokens":2}', 'duplicate_key', 16],
    ['{"\\u00e9":1,"é":2}', 'duplicate_key', 12],
    ['{"/":1,"\\/":2}', 'duplicate_key', 7],
    ['{"":1,"":2}', 'duplicate_key', 6],
    ['{"__proto__":1,"__proto__":2}', 'duplicate_key', 15],
    ['{"\\ud800":1,"\\uD800":2}', 'duplicate_key', 12],
  ])('%j is %s at byte %i, whole and byte by byte', (text, code, offset) => {
    expect(scan(text)).toMatchObject({ code, offset });
    expect(scan(text, { chunkBytes: 1 })).toEqual(scan(text));
  });

  test.each([
    ['a lone continuation byte', [0x80], 6],
    ['a lead byte that does not exist', [0xc0], 6],
    ['an overlong slash', [0xc0, 0xaf], 6],
    ['an overlong form of 2 bytes', [0xc1, 0xbf], 6],
    ['an overlong form of 3 bytes', [0xe0, 0x9f, 0xbf], 7],
    ['an overlong form of 4 bytes', [0xf0, 0x8f, 0xbf, 0xbf], 7],
    ['the first surrogate', [0xed, 0xa0, 0x80], 7],
    ['the last surrogate', [0xed, 0xbf, 0xbf], 7],
    ['over U+10FFFF', [0xf4, 0x90, 0x80, 0x80], 7],
    ['a lead byte over U+10FFFF', [0xf5, 0x80, 0x80, 0x80], 6],
    ['0xff', [0xff], 6],
    ['a character cut by the closing quote', [0xe2, 0x82], 8],
    ['a character cut by text', [0xf0, 0x9f, 0x61], 8],
    ['a character cut by an escape', [0xc3, 0x5c, 0x6e], 7],
    ['a character cut by another', [0xe2, 0xe2, 0x82, 0xac], 7],
  ])('%s is invalid_utf8', (_, text, offset) => {
    const body = bodyWithText(...text);
    expect(scan(body)).toMatchObject({ code: 'invalid_utf8', offset });
    expect(scan(body, { chunkBytes: 1 })).toEqual(scan(body));
  });

  test('UTF-16 is invalid_utf8', () => {
    expect(scan(Uint8Array.of(0xff, 0xfe, 0x7b, 0x00))).toMatchObject({ code: 'invalid_utf8' });
  });

  test('a body cut inside a character is truncated, as one cut anywhere else', () => {
    const body = bytesOf('{"v":"€"}');
    for (let cut = 0; cut < body.length; cut += 1) {
      expect(scan(body.subarray(0, cut))).toMatchObject({ code: 'truncated', offset: cut });
    }
  });

  test('messages name the field or the byte', () => {
    expect(scan('{"a":1,"a":2}')).toMatchObject({
      message: 'the field "a" is given a second time at byte 7',
    });
    expect(scan('{"a":x}')).toMatchObject({ message: 'unexpected x at byte 5' });
    expect(scan('{"a":"\n"}')).toMatchObject({ message: 'unexpected byte 0x0a at byte 6' });
  });

  test('a message quotes no more than the beginning of a long key', () => {
    const key = `${'k'.repeat(900)}\\n`;
    const result = scan(`{"${key}":1,"${key}":2}`);
    expect(result).toMatchObject({ code: 'duplicate_key' });
    expect('code' in result && result.message.length).toBeLessThan(130);
  });

  test('the first error is returned ever after', () => {
    const scanner = new JsonScanner();
    expect(scanner.push(bytesOf('{"a":1'))).toBeNull();
    const error = scanner.push(bytesOf(' 2'));
    expect(error).toMatchObject({ code: 'syntax', offset: 7 });
    expect(scanner.push(bytesOf('}'))).toBe(error);
    expect(scanner.end()).toBe(error);
    expect(scanner.end()).toBe(error);
  });

  test('a body that was ended too early stays truncated', () => {
    const scanner = new JsonScanner();
    scanner.push(bytesOf('{'));
    const error = scanner.end();
    expect(error).toMatchObject({ code: 'truncated' });
    expect(scanner.push(bytesOf('}'))).toBe(error);
    expect(scanner.end()).toBe(error);
  });
});

describe('limits', () => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`;
  const nestedArrays = (depth: number) => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;

  test('64 levels are accepted, 65 are not', () => {
    expect(scan(nested(64))).not.toHaveProperty('code');
    expect(scan(nestedArrays(64))).not.toHaveProperty('code');
    expect(scan(nested(65))).toMatchObject({ code: 'too_deep', offset: 64 * 5 });
    expect(scan(nestedArrays(65))).toMatchObject({ code: 'too_deep', offset: 5 + 63 });
  });

  test('depth is what is open at a time, not what was ever opened', () => {
    expect(scan(`{"a":[${'[[]],'.repeat(1000)}0]}`)).not.toHaveProperty('code');
  });

  const withMembers = (count: number) =>
    `{${Array.from({ length: count }, (_, index) => `"k${index}":0`).join(',')}}`;

  test('256 members are accepted, 257 are not', () => {
    expect(scanObject(withMembers(256)).members.size).toBe(256);
    expect(scan(withMembers(257))).toMatchObject({
      code: 'too_many_members',
      offset: withMembers(256).length,
    });
  });

  test('only top-level members are counted', () => {
    expect(scan(`{"a":${withMembers(300)},"b":[${withMembers(300)}]}`)).not.toHaveProperty('code');
  });

  test('limits can be chosen', () => {
    const limits = { maxDepth: 2, maxMembers: 1 };
    expect(scan('{"a":[1]}', { limits })).not.toHaveProperty('code');
    expect(scan('{"a":[[]]}', { limits })).toMatchObject({ code: 'too_deep', offset: 6 });
    expect(scan('{"a":1,"b":1}', { limits })).toMatchObject({
      code: 'too_many_members',
      offset: 7,
    });
  });

  test('a top-level key of 1024 bytes is accepted, a longer one is not', () => {
    const key = 'k'.repeat(1024);
    expect(scanObject(`{"${key}":1}`).members.has(key)).toBe(true);
    expect(scan(`{ "${key}k":1}`)).toMatchObject({ code: 'syntax', offset: 2 });
    expect(scan(`{"${'\\u006b'.repeat(171)}":1}`)).toMatchObject({ code: 'syntax', offset: 1 });
  });

  test('a long key is refused before its end arrives', () => {
    const scanner = new JsonScanner();
    expect(scanner.push(bytesOf(`{"${'k'.repeat(1024)}`))).toBeNull();
    expect(scanner.push(bytesOf('k'))).toMatchObject({ code: 'syntax', offset: 1 });
  });

  test('a nested key may be long', () => {
    expect(measure(`{"${'k'.repeat(5000)}":1}`).keyBytes).toBe(5000);
  });
});

describe('what is accepted', () => {
  test.each([
    '0',
    '-0',
    '10',
    '1e5',
    '1E5',
    '1e+5',
    '1e-05',
    '0e0',
    '0.0',
    '-0.10',
    '1.5e300',
    '1e999',
    '9007199254740993',
    '123456789012345678901234567890',
  ])('the number %s', (number) => {
    expect(measure(number)).toMatchObject({
      kind: 'number',
      valueStart: 5,
      valueEnd: 5 + number.length,
      numbers: 1,
    });
    expect(measure(`[${number}]`)).toMatchObject({ children: 1, numbers: 1 });
  });

  test('whitespace wherever JSON allows it', () => {
    const body = ' \t{\r\n "a" : [ 1 , { } , [ ] ] ,\n"b"\t:\rtrue } \n';
    const object = scanObject(body);
    const spans = [...object.members.values()].map(({ valueStart, valueEnd }) =>
      body.slice(valueStart, valueEnd),
    );
    expect(spans).toEqual(['[ 1 , { } , [ ] ]', 'true']);
    expect(object.closingBrace).toBe(body.indexOf('} \n'));
    expect(object.bytes).toBe(body.length);
  });

  test('an empty object', () => {
    expect(scanObject('{}')).toEqual({ members: new Map(), closingBrace: 1, bytes: 2 });
  });

  test('a key given twice below the top level', () => {
    expect(measure('{"a":1,"a":2}')).toMatchObject({ children: 2, numbers: 2 });
  });

  test('keys that differ only in case, and keys named like methods', () => {
    const keys = ['a', 'A', '__proto__', 'constructor', 'toString', ''];
    const body = `{${keys.map((key) => `"${key}":null`).join(',')}}`;
    expect([...scanObject(body).members.keys()]).toEqual(keys);
  });

  test('a key is reported decoded', () => {
    const { members } = scanObject('{"max\\u005ftokens":5,"\uFEFFé\\n":6}');
    expect([...members.keys()]).toEqual(['max_tokens', '\uFEFFé\n']);
  });

  test('the boundaries of each length of UTF-8', () => {
    const text = '\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10000}\u{fffff}\u{10ffff}';
    expect(measure(JSON.stringify(text)).stringBytes).toBe(1 + 2 + 2 + 3 + 3 + 3 + 3 + 4 + 4 + 4);
  });
});

describe('what is reported of a member', () => {
  test('offsets count bytes, not characters', () => {
    const body = '{"é":"€", "b" :12}';
    const bytes = bytesOf(body);
    const object = scanObject(bytes);
    expect(memberOf(object, 'é')).toMatchObject({ keyStart: 1, valueStart: 6, valueEnd: 11 });
    expect(memberOf(object, 'b')).toMatchObject({ keyStart: 13, valueStart: 18, valueEnd: 20 });
    expect(object.closingBrace).toBe(bytes.length - 1);
  });

  test.each([
    ['"text"', 'string'],
    ['1', 'number'],
    ['true', 'boolean'],
    ['false', 'boolean'],
    ['null', 'null'],
    ['{}', 'object'],
    ['[]', 'array'],
  ])('%s is of kind %s', (json, kind) => {
    expect(measure(json)).toMatchObject({ kind, children: 0, childKinds: [] });
    expect(measure(`[${json}]`)).toMatchObject({ kind: 'array', children: 1, childKinds: [kind] });
  });

  test('children are direct ones, and their kinds are listed once each', () => {
    expect(measure('[1,"a",2,[true,{}],"b",[[]]]')).toMatchObject({
      children: 6,
      childKinds: ['number', 'string', 'array'],
    });
    expect(measure('{"a":1,"b":{"c":2,"d":[3]}}')).toMatchObject({ children: 2, childKinds: [] });
  });

  test.each([
    ['""', 0],
    ['"abc"', 3],
    ['"é€😀"', 2 + 3 + 4],
    ['"\\"\\\\\\/\\b\\f\\n\\r\\t"', 8],
    ['"\\u0041\\u00e9\\u20AC"', 1 + 2 + 3],
    ['"\\u007f\\u0080\\u07ff\\u0800"', 1 + 2 + 2 + 3],
    ['"\\ud83d\\ude00"', 4],
    ['"\\uD83D"', 3],
    ['"\\uDE00"', 3],
    ['"\\ude00\\ud83d"', 3 + 3],
    ['"\\ud83d\\ud83d\\ude00"', 3 + 4],
    ['"\\ud83d\\ude00\\ude00"', 4 + 3],
    ['"\\ud83dx\\ude00"', 3 + 1 + 3],
    ['"\\ud83d\\n\\ude00"', 3 + 1 + 3],
    ['"\\ud83d\\u0041\\ude00"', 3 + 1 + 3],
  ])('%s holds %i bytes of text', (json, stringBytes) => {
    expect(measure(json).stringBytes).toBe(stringBytes);
    expect(measure(`{"k":[${json}]}`)).toMatchObject({ stringBytes, keyBytes: 1 });
    expect(measure(`{${json}:0}`)).toMatchObject({ stringBytes: 0, keyBytes: stringBytes });
  });

  test('half of a surrogate pair in one string has no other half in the next', () => {
    expect(measure('["\\ud83d","\\ude00"]').stringBytes).toBe(6);
  });

  test('text, keys and numbers are counted for each member on its own', () => {
    const object = scanObject(
      '{"messages":[{"role":"user","content":"hello"},{"n":[1,2.5,-3e1]}],"model":"m","n":7}',
    );
    expect(memberOf(object, 'messages')).toMatchObject({
      stringBytes: 'user'.length + 'hello'.length,
      keyBytes: 'role'.length + 'content'.length + 'n'.length,
      numbers: 3,
    });
    expect(memberOf(object, 'model')).toMatchObject({ stringBytes: 1, keyBytes: 0, numbers: 0 });
    expect(memberOf(object, 'n')).toMatchObject({ stringBytes: 0, keyBytes: 0, numbers: 1 });
  });
});
