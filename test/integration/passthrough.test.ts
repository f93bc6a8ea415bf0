/** Routes that generate nothing pass by an allow-list; everything else ends here. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { answerJson, answerRaw, type Script } from '../support/stub-backend.ts';

const MAX_BODY_BYTES = 64 * 1024;
let stub: GuardedStub;
beforeEach(async () => {
  stub = await startGuardedStub({
    'max-body-mb': MAX_BODY_BYTES / 1024 ** 2,
    'first-byte-timeout': 0.3,
    'write-stall-timeout': 0.3,
  });
});
afterEach(() => stub.stop());

const tokenize = (body: NonNullable<RequestInit['body']>): Promise<Response> =>
  fetch(`${stub.url}/tokenize`, { method: 'POST', body, duplex: 'half' } as RequestInit);

async function inFlight(): Promise<unknown> {
  return ((await (await fetch(`${stub.url}/stats`)).json()) as Record<string, unknown>)
    .requests_in_flight;
}

describe('what is on the list passes as it is', () => {
  test('GET with its query', async () => {
    const text = '{ "object":"list", "seed":18446744073709551615 }\n';
    stub.backend.answerWith(answerJson(200, text, { 'x-engine': 'stub' }));
    const answer = await fetch(`${stub.url}/v1/models?limit=%31`);
    expect([answer.status, await answer.text()]).toEqual([200, text]);
    expect(answer.headers.get('x-engine')).toBe('stub');
    expect(stub.backend.received.map(({ url }) => url)).toEqual(['/v1/models?limit=%31']);
  });

  test('HEAD', async () => {
    stub.backend.answerWith(answerJson(200, '', { 'x-engine': 'stub' }));
    const answer = await fetch(`${stub.url}/v1/models?x`, { method: 'HEAD' });
    expect([answer.status, answer.headers.get('x-engine')]).toEqual([200, 'stub']);
    expect(stub.backend.received.map(({ method }) => method)).toEqual(['HEAD']);
  });

  test('POST with its body', async () => {
    const body = '{ "content":"h\\u00e9", "n":1.0 }';
    stub.backend.answerWith(answerJson(201, '{"tokens":[1]}'));
    const answer = await tokenize(body);
    expect([answer.status, await answer.text()]).toEqual([201, '{"tokens":[1]}']);
    expect(stub.backend.received[0]?.body().toString()).toBe(body);
  });

  test('POST with its body in chunks', async () => {
    const answer = await tokenize(
      ReadableStream.from([Buffer.from('{"con'), Buffer.from('t":1}')]),
    );
    expect(answer.status).toBe(200);
    expect(stub.backend.received[0]?.body().toString()).toBe('{"cont":1}');
  });

  test("the backend's own error", async () => {
    stub.backend.answerWith(answerJson(500, '{"error":"its own"}'));
    const answer = await tokenize('{}');
    expect([answer.status, await answer.text()]).toEqual([500, '{"error":"its own"}']);
  });

  test('a redirect, which is not followed', async () => {
    stub.backend.answerWith(answerJson(302, '', { location: 'http://elsewhere.test/' }));
    const answer = await fetch(`${stub.url}/v1/models?x`, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([
      302,
      'http://elsewhere.test/',
    ]);
  });
});

describe('what is not on the list is 404, and the backend sees nothing of it', () => {
  test.each([
    ['GET', '/metrics/'],
    ['POST', '/props'],
    ['GET', '/slots'],
    ['POST', '/slots/0?action=erase'],
    ['GET', '/tokenize'],
    ['POST', '/v1/models'],
    ['POST', '/lora-adapters'],
    ['POST', '/v1/audio/transcriptions'],
    ['GET', '/v1/models/'],
  ])('%s %s', async (method, path) => {
    const answer = await fetch(stub.url + path, { method });
    expect([answer.status, await answer.json()]).toMatchObject([
      404,
      { error: { type: 'invalid_request_error', code: 'not_found' } },
    ]);
    expect(stub.backend.received).toEqual([]);
  });
});

test('what is below /admin is never forwarded', async () => {
  const answer = await fetch(`${stub.url}/admin/debug/bundle`);
  expect(answer.status).toBe(403);
  expect(stub.backend.received).toEqual([]);
});

describe('a backend that breaks', () => {
  test('before its answer is 502', async () => {
    stub.backend.answerWith(({ socket }) => void socket.resetAndDestroy());
    const answer = await tokenize('{}');
    expect([answer.status, await answer.json()]).toMatchObject([
      502,
      { error: { code: 'backend_failed' } },
    ]);
    expect(answer.headers.has('retry-after')).toBe(true);
  });

  test('by its silence is 504', async () => {
    stub.backend.answerWith(() => {});
    expect((await tokenize('{}')).status).toBe(504);
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });

  const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
  const breaks: [string, Script][] = [
    ['too short', answerRaw(`${HEAD}content-length: 99\r\n\r\n{"tok`)],
    ['in the middle of a chunk', answerRaw(`${HEAD}transfer-encoding: chunked\r\n\r\n9\r\n{"tok`)],
    [
      'with a malformed chunk',
      answerRaw(`${HEAD}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n`),
    ],
    ['silent', ({ response }) => void response.writeHead(200, { 'content-length': 9 }).write('{')],
  ];
  test.each(breaks)('inside its answer (%s) cuts the client off', async (_name, script) => {
    stub.backend.answerWith(script);
    await expect(tokenize('{}').then((answer) => answer.text())).rejects.toThrow();
    await eventually(async () => expect(await inFlight()).toBe(0));
  });
});

describe('a client', () => {
  test('that leaves takes its request to the backend with it', async () => {
    stub.backend.answerWith(() => {});
    const leaving = new AbortController();
    const sent = fetch(`${stub.url}/v1/models?x`, { signal: leaving.signal });
    await eventually(() => expect(stub.backend.open()).toBe(1));
    leaving.abort();
    await expect(sent).rejects.toThrow();
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });

  test('that never reads is cut, and its backend with it', async () => {
    stub.backend.answerWith(answerJson(200, 'x'.repeat(30_000_000)));
    const raw = await connectRaw(stub.url);
    raw.pause();
    raw.send(rawPost('/tokenize', '{}'));
    await eventually(async () => expect(await inFlight()).toBe(1));
    await eventually(async () => expect(await inFlight()).toBe(0));
    expect(stub.backend.open()).toBe(0);
    raw.destroy();
  });

  test('whose body is too large is told so', async () => {
    const answer = await tokenize('x'.repeat(2 * MAX_BODY_BYTES));
    expect(answer.status).toBe(413);
    expect(stub.backend.received).toEqual([]);
  });

  test('whose body turns out too large is cut', async () => {
    const raw = await connectRaw(stub.url);
    raw.send('POST /tokenize HTTP/1.1\r\nHost: kvgate.test\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (let sent = 0; sent <= MAX_BODY_BYTES; sent += 4096) {
      raw.send(`1000\r\n${'x'.repeat(4096)}\r\n`);
    }
    expect(await raw.rest).toBe('');
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });
});
