/** What a backend is sent: the same bytes, whole or in portions. */
import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { sentBody } from '../../proxy/http/upstream-body.ts';

const MIB = 1024 * 1024;

async function bytesOf(body: ReturnType<typeof sentBody>['body']): Promise<Buffer> {
  if (!(body instanceof Readable)) return Buffer.from(body ?? '');
  return Buffer.concat(await body.toArray());
}

test('a short body goes whole, as it is', () => {
  const bytes = Buffer.from('{"a":1}');
  expect(sentBody([bytes])).toEqual({ body: bytes, headers: {} });
  expect(sentBody([bytes]).body).toBe(bytes);
});

test('pieces of a short body are joined', () => {
  const { body, headers } = sentBody([Buffer.from('{"a":'), Buffer.from('1'), Buffer.from('}')]);
  expect(String(body)).toBe('{"a":1}');
  expect(headers).toEqual({});
});

test('a long body goes in portions, with its length told', async () => {
  const pieces = [Buffer.alloc(MIB, 'a'), Buffer.from('1'), Buffer.alloc(MIB, 'b')];
  const { body, headers } = sentBody(pieces);
  expect(headers).toEqual({ 'content-length': String(2 * MIB + 1) });
  const portions = body instanceof Readable ? await body.toArray() : [];
  expect(Math.max(...portions.map((portion: Uint8Array) => portion.length))).toBe(MIB / 4);
  expect(Buffer.concat(portions).equals(Buffer.concat(pieces))).toBe(true);
});

test.each([[null], ['{}'], [[]]])('%p is nothing to be cut', async (given) => {
  const { body, headers } = sentBody(given);
  expect(headers).toEqual({});
  expect(String(await bytesOf(body))).toBe(given === '{}' ? '{}' : '');
});
