/** Bodies come back as they came, whatever they were cut into and whatever length was told. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BodyBuffer } from '../../proxy/http/body-buffer.ts';

const MIB = 1024 * 1024;

function filled(mostBytes: number, chunks: readonly Buffer[]): BodyBuffer {
  const body = new BodyBuffer(mostBytes);
  for (const chunk of chunks) body.append(chunk);
  return body;
}

test('any chunks make up the body', () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 60 });
  fc.assert(
    fc.property(chunks, fc.nat({ max: 200_000 }), (arrays, spare) => {
      const pieces = arrays.map((array) => Buffer.from(array));
      const whole = Buffer.concat(pieces);
      for (const mostBytes of [whole.length, whole.length + spare]) {
        const body = filled(mostBytes, pieces);
        expect(body.length).toBe(whole.length);
        expect(body.whole().equals(whole)).toBe(true);
      }
    }),
  );
});

test.each([
  ['its length', 5 * MIB],
  ['the limit alone', 64 * MIB],
])('a long body is whole where %s is known', (_what, mostBytes) => {
  const chunks = Array.from({ length: 5 * 32 }, (_, index) => Buffer.alloc(MIB / 32, index));
  expect(filled(mostBytes, chunks).whole().equals(Buffer.concat(chunks))).toBe(true);
});

test('a body that comes whole is not copied', () => {
  const chunk = Buffer.from('{}');
  expect(filled(2, [chunk]).whole().buffer).toBe(chunk.buffer);
});

test('more than was told is taken all the same: whoever reads has the limit', () => {
  const chunks = [Buffer.alloc(10, 1), Buffer.alloc(200_000, 2)];
  expect(filled(5, chunks).whole().equals(Buffer.concat(chunks))).toBe(true);
});
