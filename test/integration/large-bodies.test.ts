/** Long bodies: to the byte, in any chunks, changed or not; and what was held of them is given back. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw } from '../support/raw-connection.ts';

const MIB = 1024 * 1024;
/** So that each body grows out of its first buffers, and goes on in portions. */
const LONG_BYTES = 3 * MIB;

function longChat(fields: string): Buffer {
  const text = '\u4e16 "quoted" \ud83d\ude00 '.repeat(LONG_BYTES / 24);
  return Buffer.from(`{"messages":[{"role":"user","content":${JSON.stringify(text)}}]${fields}}`);
}

let stub: GuardedStub;
beforeAll(async () => {
  stub = await startGuardedStub(
    { 'max-body-mb': 6, 'max-buffered-mb': 8, 'kv-layout': 'unified' },
    { contextTokens: 100_000_000 },
  );
});
afterAll(() => stub.stop());
afterEach(() => stub.settled());

const lastBody = () => stub.backend.received.at(-1)?.body() ?? Buffer.alloc(0);

async function postInChunks(body: Buffer, chunkBytes: number): Promise<Response> {
  const count = Math.ceil(body.length / chunkBytes);
  const chunks = Array.from({ length: count }, (_, index) =>
    body.subarray(index * chunkBytes, (index + 1) * chunkBytes),
  );
  return fetch(stub.url + CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: ReadableStream.from(chunks),
    duplex: 'half',
  } as RequestInit);
}

describe('a long body', () => {
  const body = longChat(',"max_tokens":16 }\n '.slice(0, -3));

  test('arrives as it was sent', async () => {
    const answer = await stub.post(body);
    expect([answer.status, await answer.text()]).toEqual([200, expect.any(String)]);
    expect(lastBody().equals(body)).toBe(true);
    expect(stub.backend.received.at(-1)?.headers['content-length']).toBe(String(body.length));
    expect(stub.backend.received.at(-1)?.headers).not.toHaveProperty('transfer-encoding');
  });

  test.each([[1_000], [65_537]])('arrives as it was sent in chunks of %d', async (chunkBytes) => {
    expect((await postInChunks(body, chunkBytes)).status).toBe(200);
    expect(lastBody().equals(body)).toBe(true);
  });

  test('that is changed differs in what was added alone', async () => {
    const unlimited = longChat('');
    const answer = await stub.post(unlimited);
    expect(answer.headers.get('x-kvgate-changed')).toBe('max_tokens');
    const sent = lastBody();
    const same = unlimited.length - 1;
    expect(sent.subarray(0, same).equals(unlimited.subarray(0, same))).toBe(true);
    expect(sent.subarray(same).toString()).toMatch(/^,"max_tokens":\d+\}$/);
  });

  test('that is broken at its end is refused', async () => {
    const answer = await stub.post(Buffer.concat([body.subarray(0, -3), Buffer.of(0xff)]));
    expect(answer.status).toBe(400);
  });
});

describe('what is held of bodies', () => {
  test('is given back when a client leaves in the middle', async () => {
    // More than all may hold together, were any of them kept.
    for (let round = 0; round < 4; round += 1) {
      const raw = await connectRaw(stub.url);
      const head = `POST ${CHAT} HTTP/1.1\r\nHost: kvgate.test\r\nContent-Length: ${6 * MIB}\r\n\r\n`;
      await raw.send(head + '{"messages":[{"role":"user","content":"'.padEnd(LONG_BYTES, 'x'));
      raw.destroy();
    }
    await eventually(async () => expect((await stub.post(longChat(''))).status).toBe(200));
  });

  test('is bounded over all of them', async () => {
    const raws = await Promise.all([1, 2, 3].map(() => connectRaw(stub.url)));
    const head = `POST ${CHAT} HTTP/1.1\r\nHost: kvgate.test\r\nContent-Length: ${6 * MIB}\r\n\r\n`;
    const part = head + '{"messages":[{"role":"user","content":"'.padEnd(LONG_BYTES, 'x');
    for (const raw of raws) void raw.send(part);
    await eventually(() => expect(raws.map((raw) => raw.text()).join()).toMatch(/HTTP\/1\.1 503 /));
    for (const raw of raws) raw.destroy();
  });
});
