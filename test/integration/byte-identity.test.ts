/** What is not changed passes to the byte, in both directions; what is changed differs in its values alone. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import {
  ANSWER,
  answerJson,
  answerStream,
  beginStream,
  EVENTS,
  STREAM,
} from '../support/stub-backend.ts';

/** Everything that a parser would not give back: 64-bit integers, `1.0`, order, spaces, escapes. */
const PECULIAR =
  '{ "zeta":1.0 ,\t"seed":18446744073709551615,\n"messages":[{"content":"h\\u00e9 \u4e16 \\ud800","role":"user"}],' +
  '"max_tokens": 5e2 , "__proto__":{"x":1},"temperature":0.70,"unknown":[1e400,-0,{"a":null}], "stream":false\r\n}\n ';

let stub: GuardedStub;
beforeAll(async () => {
  stub = await startGuardedStub();
});
afterAll(() => stub.stop());
afterEach(() => stub.settled());

describe('the request', () => {
  test('arrives as it was sent, with its query', async () => {
    stub.backend.answerWith(answerJson(200, ANSWER));
    await fetch(`${stub.url}${CHAT}?trace=%2F&b`, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: PECULIAR,
    });
    const got = stub.backend.received.at(-1);
    expect(got?.body().toString()).toBe(PECULIAR);
    expect([got?.method, got?.url]).toEqual(['POST', `${CHAT}?trace=%2F&b`]);
    expect(got?.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(got?.headers['content-length']).toBe(String(Buffer.byteLength(PECULIAR)));
  });

  test('arrives as it was sent in chunks, cut inside its characters', async () => {
    const bytes = Buffer.from(PECULIAR);
    const pieces = [...bytes].map((byte) => Uint8Array.of(byte));
    const answer = await fetch(stub.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: ReadableStream.from(pieces),
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(200);
    expect(stub.backend.received.at(-1)?.body().equals(bytes)).toBe(true);
  });
});

describe('the answer', () => {
  test('as JSON', async () => {
    stub.backend.answerWith(answerJson(200, ANSWER, { 'x-engine': 'stub', 'set-cookie': 'a=b' }));
    const answer = await stub.post(PECULIAR);
    expect(await answer.text()).toBe(ANSWER);
    expect(answer.headers.get('x-engine')).toBe('stub');
    expect(answer.headers.get('set-cookie')).toBe('a=b');
    expect(answer.headers.get('x-kvgate-max-tokens')).toBe('requested=500; granted=500');
    expect(answer.headers.get('x-kvgate-changed')).toBeNull();
    expect(answer.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("of the engine's own 400", async () => {
    const refusal = '{"error": {"code":400, "message":"no such\\u0020template", "type":"x" } }\n';
    stub.backend.answerWith(answerJson(400, refusal));
    const answer = await stub.post(PECULIAR);
    expect([answer.status, await answer.text()]).toEqual([400, refusal]);
  });

  test.each([1, 2, 7, 1 << 20])('as a stream, in chunks of %d bytes', async (chunkBytes) => {
    stub.backend.answerWith(answerStream(STREAM, chunkBytes));
    const answer = await stub.post(PECULIAR.replace('false', 'true'));
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await answer.text()).toBe(STREAM);
  });

  test('as a stream, when a byte comes alone', async () => {
    const bytes = Buffer.from(STREAM);
    stub.backend.answerWith(
      beginStream('', ({ response }) => {
        const next = (at: number): void => {
          if (at === bytes.length) response.end();
          else response.write(bytes.subarray(at, at + 1), () => setImmediate(next, at + 1));
        };
        next(0);
      }),
    );
    const answer = await stub.post(PECULIAR.replace('false', 'true'));
    expect(await answer.text()).toBe(STREAM);
  });

  test('an event is passed on when it is whole, not when the next one comes', async () => {
    const [first = '', second = ''] = [EVENTS[1], EVENTS[2]];
    const half = second.length / 2;
    stub.backend.answerWith(beginStream(first + second.slice(0, half), () => {}));
    const answer = await stub.post(PECULIAR.replace('false', 'true'));
    const reader = answer.body?.getReader();
    const got = await reader?.read();
    expect(Buffer.from(got?.value ?? []).toString()).toBe(first);
    await reader?.cancel();
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });
});
