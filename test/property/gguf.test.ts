/** A GGUF header is bytes from anywhere: whatever they are, they are read in bounds. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { GgufHeaderReader } from '../../proxy/memory/gguf/header.ts';
import { specFromGguf } from '../../proxy/memory/gguf/spec.ts';
import type { GgufValue } from '../support/gguf-encoder.ts';
import { ggufBytes, readGguf } from '../support/gguf-header.ts';

const FILE = ggufBytes({
  'general.architecture': { type: 'string', value: 'gemma3' },
  'gemma3.block_count': { type: 'uint32', value: 4 },
  'gemma3.embedding_length': { type: 'uint32', value: 64 },
  'gemma3.context_length': { type: 'uint64', value: 8192 },
  'gemma3.attention.head_count': { type: 'uint32', value: 4 },
  'gemma3.attention.head_count_kv': { type: 'int32[]', value: [2, 2, 0, 4] },
  'gemma3.attention.sliding_window': { type: 'uint16', value: 512 },
  'gemma3.attention.sliding_window_pattern': { type: 'bool[]', value: [true, true, true, false] },
  'tokenizer.chat_template': { type: 'string', value: 'x'.repeat(1_500) },
  'tokenizer.ggml.tokens': { type: 'string[]', value: ['a', 'b', ''] },
});
/** Where the metadata ends, and padding begins. */
const HEADER_BYTES = (() => {
  for (let bytes = FILE.length - 32; ; bytes++) {
    if (readGguf(FILE.subarray(0, bytes)).state === 'done') return bytes;
  }
})();

describe('a file that is cut off', () => {
  test('anywhere wants more', () => {
    for (let bytes = 0; bytes < HEADER_BYTES; bytes++) {
      const reader = new GgufHeaderReader();
      expect(reader.push(FILE.subarray(0, bytes))).toEqual({ state: 'more' });
      expect(reader.cutOff().problem).toContain('cut off');
    }
  });

  test('and goes on later reads as if it had not been', () => {
    const whole = readGguf(FILE);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: HEADER_BYTES }), { maxLength: 8 }), (cuts) => {
        const reader = new GgufHeaderReader();
        const ends = [...cuts.sort((a, b) => a - b), FILE.length];
        let state = reader.push(new Uint8Array(0));
        ends.forEach((end, index) => {
          state = reader.push(FILE.subarray(ends[index - 1] ?? 0, end));
        });
        expect(state).toEqual(whole);
      }),
    );
  });
});

test('bytes that were changed give a model, a problem or a wish for more, at once', () => {
  const change = fc.tuple(fc.nat({ max: HEADER_BYTES - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 12 }), (changes) => {
      const bytes = FILE.slice();
      for (const [at, value] of changes) bytes[at] = value;
      const state = readGguf(bytes);
      if (state.state !== 'done') {
        expect(['more', 'bad']).toContain(state.state);
        return;
      }
      const result = specFromGguf(state.header.metadata, 'changed.gguf');
      if (!result.ok) expect(result.problem).toMatch(/^[\x20-\x7e]+$/);
    }),
    { numRuns: 2_000 },
  );
});

test('any bytes after the magic are read without a fault', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (rest) => {
      const bytes = Buffer.concat([Buffer.from('GGUF\u0003\0\0\0'), rest]);
      expect(['more', 'bad', 'done']).toContain(readGguf(bytes, 9).state);
    }),
  );
});

test('any metadata gives a model or a problem that names a key', () => {
  const value: fc.Arbitrary<GgufValue> = fc.oneof(
    fc.record({ type: fc.constant('uint32' as const), value: fc.nat({ max: 2 ** 31 - 1 }) }),
    fc.record({ type: fc.constant('int32' as const), value: fc.integer() }),
    fc.record({ type: fc.constant('float32' as const), value: fc.float() }),
    fc.record({ type: fc.constant('string' as const), value: fc.string({ maxLength: 20 }) }),
    fc.record({
      type: fc.constant('int32[]' as const),
      value: fc.array(fc.integer({ min: -1, max: 9 }), { maxLength: 6 }),
    }),
  );
  const names = ['block_count', 'embedding_length', 'context_length', 'attention.head_count'];
  const more = ['attention.head_count_kv', 'attention.sliding_window', 'attention.key_length'];
  const architecture = fc.constantFrom('llama', 'gemma4', 'jamba', 'qwen35', 'deepseek2', 'new');
  const key = fc.constantFrom(...names, ...more, 'nextn_predict_layers', 'expert_count');
  fc.assert(
    fc.property(architecture, fc.dictionary(key, value), (name, values) => {
      const entries = Object.entries(values).map(([rest, told]) => [`${name}.${rest}`, told]);
      const state = readGguf(
        ggufBytes({
          'general.architecture': { type: 'string', value: name },
          ...Object.fromEntries(entries),
        }),
      );
      if (state.state !== 'done') throw new Error(state.state);
      const result = specFromGguf(state.header.metadata, 'any.gguf');
      if (result.ok) expect(result.spec.groups.every(({ layers }) => layers > 0)).toBe(true);
      else expect(result.field.startsWith(`${name}.`)).toBe(true);
    }),
  );
});
