import { describe, expect, test } from '@jest/globals';
import { GgufHeaderReader } from '../../proxy/memory/gguf/header.ts';
import { arrayLength } from '../../proxy/memory/gguf/metadata.ts';
import type { GgufValue } from '../support/gguf-encoder.ts';
import { ggufBytes, readGguf } from '../support/gguf-header.ts';
import { tinyGguf } from '../support/tiny-gguf.ts';

function metadataOf(bytes: Uint8Array) {
  const state = readGguf(bytes);
  if (state.state !== 'done') throw new Error(JSON.stringify(state));
  return state.header.metadata;
}

/** A header with these raw bytes after the counts. */
function header(version: number, keys: bigint, rest: readonly number[] = []): Uint8Array {
  const bytes = Buffer.alloc(24 + rest.length);
  bytes.write('GGUF');
  bytes.writeUInt32LE(version, 4);
  bytes.writeBigUInt64LE(keys, 16);
  bytes.set(rest, 24);
  return bytes;
}

/** Bytes of a key, and of the code of a type. */
const keyed = (key: string, ...type: readonly number[]): number[] => [
  ...[key.length, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from(key)],
  ...type.flatMap((code) => [code, 0, 0, 0]),
];
/** 2^60, little endian. */
const HUGE = [0, 0, 0, 0, 0, 0, 0, 16];

describe('what is read', () => {
  const scalars: [string, GgufValue, unknown][] = [
    ['uint8', { type: 'uint8', value: 255 }, 255],
    ['int8', { type: 'int8', value: -1 }, -1],
    ['uint16', { type: 'uint16', value: 65_535 }, 65_535],
    ['int16', { type: 'int16', value: -2 }, -2],
    ['uint32', { type: 'uint32', value: 2 ** 32 - 1 }, 2 ** 32 - 1],
    ['int32', { type: 'int32', value: -3 }, -3],
    ['float32', { type: 'float32', value: 0.5 }, 0.5],
    ['uint64', { type: 'uint64', value: 20_914_757_184 }, 20_914_757_184],
    ['int64', { type: 'int64', value: -4 }, -4],
    ['float64', { type: 'float64', value: 0.1 }, 0.1],
    ['true', { type: 'bool', value: true }, true],
    ['false', { type: 'bool', value: false }, false],
    ['text', { type: 'string', value: 'größe' }, 'größe'],
    ['no text', { type: 'string', value: '' }, ''],
    ['numbers', { type: 'int32[]', value: [8, 0, -1] }, [8, 0, -1]],
    ['flags', { type: 'bool[]', value: [true, false] }, [true, false]],
    ['nothing', { type: 'uint32[]', value: [] }, []],
  ];

  test.each(scalars)('%s', (_, value, read) => {
    expect(metadataOf(ggufBytes({ key: value })).get('key')).toEqual(read);
  });

  test('of what is long, only its length', () => {
    const metadata = metadataOf(
      ggufBytes({
        template: { type: 'string', value: 'x'.repeat(20_000) },
        tokens: { type: 'string[]', value: ['a', '', 'ccc'] },
        scores: { type: 'float32[]', value: Array(5_000).fill(1) },
        last: { type: 'uint32', value: 7 },
      }),
    );
    expect([...metadata]).toEqual([
      ['template', { kind: 'string', bytes: 20_000 }],
      ['tokens', { kind: 'array', elementType: 'string', length: 3 }],
      ['scores', { kind: 'array', elementType: 'float32', length: 5_000 }],
      ['last', 7],
    ]);
    expect(arrayLength(metadata.get('tokens'))).toBe(3);
    expect(arrayLength(metadata.get('last'))).toBeNull();
  });

  test('a whole model, whatever comes in a chunk', () => {
    const bytes = tinyGguf();
    const whole = readGguf(bytes);
    expect(whole).toMatchObject({ state: 'done', header: { version: 3 } });
    for (const chunkBytes of [1, 7, 64, 4096]) {
      expect(readGguf(bytes.subarray(0, 8_192), chunkBytes)).toEqual(whole);
    }
  });

  test('version 2 as well', () => {
    const bytes = Buffer.from(ggufBytes({ key: { type: 'uint8', value: 1 } }));
    bytes.writeUInt32LE(2, 4);
    expect(readGguf(bytes)).toMatchObject({ state: 'done', header: { version: 2, tensors: 0 } });
  });

  test('a large vocabulary, without holding it', () => {
    const entries = 200_000;
    const token = Buffer.from([5, 0, 0, 0, 0, 0, 0, 0, ...Buffer.from('token')]);
    const head = header(3, 2n, keyed('tokens', 9, 8).concat([0x40, 0x0d, 3, 0, 0, 0, 0, 0]));
    const tail = Buffer.from([...keyed('after', 0), 42]);
    const bytes = Buffer.concat([head, ...Array<Buffer>(entries).fill(token), tail]);
    const state = readGguf(bytes, 65_536);
    expect(state).toMatchObject({ state: 'done' });
    expect(state.state === 'done' && [...state.header.metadata]).toEqual([
      ['tokens', { kind: 'array', elementType: 'string', length: entries }],
      ['after', 42],
    ]);
  });
});

describe('what is refused', () => {
  const one = (...rest: readonly number[]) => header(3, 1n, rest);
  const cases: [string, Uint8Array, string, RegExp][] = [
    ['another file', Buffer.from('{"model_type": "llama"}'), '(magic)', /not that of a GGUF/],
    ['version 1', header(1, 0n), '(version)', /1 is not supported, only 2 and 3/],
    ['version 4', header(4, 0n), '(version)', /4 is not supported/],
    ['version 0', header(0, 0n), '(version)', /0 is not supported/],
    ['the other byte order', header(0x03_00_00_00, 0n), '(version)', /big-endian/],
    ['2^63 keys', header(3, 2n ** 63n), '(metadata count)', /more than 4096/],
    ['a key without a name', one(...keyed('', 0), 1), '(key 1 of 1)', /is empty/],
    ['a key of 2^60 bytes', one(...HUGE), '(key 1 of 1)', /more than 512/],
    ['an unknown type', one(...keyed('k', 13)), 'k', /unknown type 13/],
    ['an unknown element type', one(...keyed('k', 9, 99), ...HUGE), 'k', /unknown type 99/],
    ['arrays in an array', one(...keyed('k', 9, 9), ...HUGE), 'k', /holds arrays/],
    ['a text of 2^60 bytes', one(...keyed('k', 8), ...HUGE), 'k', /longer than 128 MiB/],
    ['2^60 numbers', one(...keyed('k', 9, 4), ...HUGE), 'k', /longer than 128 MiB/],
    ['2^60 texts', one(...keyed('k', 9, 8), ...HUGE), 'k', /longer than 128 MiB/],
    [
      'a key that is there twice',
      header(3, 2n, [...keyed('k', 0), 1, ...keyed('k', 0), 2]),
      'k',
      /is there twice/,
    ],
  ];

  test.each(cases)('%s', (_, bytes, field, problem) => {
    expect(readGguf(bytes)).toEqual({
      state: 'bad',
      field,
      problem: expect.stringMatching(problem),
    });
  });

  test('texts without end', () => {
    const bytes = one(...keyed('k', 9, 8), 0xff, 0xff, 0xff, 0, 0, 0, 0, 0);
    const reader = new GgufHeaderReader();
    let state = reader.push(bytes);
    // Each text claims 8 MiB, of which nothing is held.
    const text = Buffer.alloc(8 * 2 ** 20 + 8);
    text.writeUInt32LE(8 * 2 ** 20);
    let pushes = 0;
    while (state.state === 'more') {
      state = reader.push(text);
      pushes++;
    }
    expect(state).toMatchObject({ state: 'bad', field: 'k' });
    expect(pushes).toBeLessThanOrEqual(17);
  });

  test('a key that would break a line is shown without', () => {
    expect(readGguf(one(...keyed('a\nb\u001b[31m', 13)))).toMatchObject({ field: 'a?b?[31m' });
  });

  test('a file that ends in its header names the key where it does', () => {
    const bytes = ggufBytes({
      'llama.block_count': { type: 'uint32', value: 4 },
      'tokenizer.chat_template': { type: 'string', value: 'x'.repeat(5_000) },
    });
    const reader = new GgufHeaderReader();
    expect(reader.push(bytes.subarray(0, 1_000))).toEqual({ state: 'more' });
    expect(reader.cutOff()).toMatchObject({ field: 'tokenizer.chat_template' });
    expect(new GgufHeaderReader().cutOff().field).toBe('(magic)');
  });
});
