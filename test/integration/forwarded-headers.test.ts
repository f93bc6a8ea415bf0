/** Headers of one connection stay on it, and a key goes only to whom it is meant for. */
import type { IncomingHttpHeaders } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { ANSWER, answerJson, type Received } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const HOP_BY_HOP_LINES = [
  'Connection: close, X-Nominated',
  'X-Nominated: secret',
  'Keep-Alive: timeout=5',
  'Proxy-Authorization: Basic c2VjcmV0',
  'Proxy-Connection: keep-alive',
  'TE: trailers',
  'Trailer: X-Checksum',
];
const HOP_BY_HOP = [
  'x-nominated',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
];

function sentTo(stub: GuardedStub): Received | undefined {
  return stub.backend.received.at(-1);
}

describe('headers of one connection', () => {
  let stub: GuardedStub;
  beforeAll(async () => {
    stub = await startGuardedStub();
  });
  afterAll(() => stub.stop());

  const requests: [string, string, string][] = [
    ['a generation', CHAT, chat()],
    ['a request passed on', '/tokenize', '{"content":"hi"}'],
  ];

  test.each(requests)('do not reach the backend with %s', async (_name, path, body) => {
    stub.backend.answerWith(answerJson(200, ANSWER));
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(path, body, [...HOP_BY_HOP_LINES, 'X-Kept: yes']));
    expect(await raw.rest).toMatch(/^HTTP\/1.1 200 /);
    const headers: IncomingHttpHeaders = sentTo(stub)?.headers ?? {};
    expect(Object.keys(headers).filter((name) => HOP_BY_HOP.includes(name))).toEqual([]);
    expect(headers['x-kept']).toBe('yes');
    expect(headers.host).toBe(new URL(stub.backend.url).host);
  });

  test.each(requests)('do not reach the client with %s', async (_name, path, body) => {
    stub.backend.answerWith(
      answerJson(200, ANSWER, {
        connection: 'close, x-nominated',
        'x-nominated': 'secret',
        'proxy-authenticate': 'Basic',
        trailer: 'x-checksum',
        'transfer-encoding': 'chunked',
        'x-kept': 'yes',
      }),
    );
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(path, body));
    const head = (await raw.until('\r\n\r\n')).toLowerCase();
    raw.destroy();
    expect(head).toContain('x-kept: yes');
    for (const name of ['x-nominated', 'proxy-authenticate', 'trailer']) {
      expect(head).not.toContain(name);
    }
    expect(head).toContain('connection: keep-alive');
  });

  test('a generation asks for an answer that can be read', async () => {
    await stub.post(chat(), { 'accept-encoding': 'gzip, br' });
    expect(sentTo(stub)?.headers['accept-encoding']).toBe('identity');
  });

  test('a header by which llama-server would outlive its client is left out', async () => {
    await stub.post(chat(), { 'x-conversation-id': 'c1' });
    expect(sentTo(stub)?.headers).not.toHaveProperty('x-conversation-id');
  });

  test('"Expect: 100-continue" is met here and goes no further', async () => {
    for (const [, path, body] of requests) {
      const raw = await connectRaw(stub.url);
      const [head = '', rest = ''] = rawPost(path, body, ['Expect: 100-continue']).split(
        '\r\n\r\n',
      );
      raw.send(`${head}\r\n\r\n`);
      await raw.until('HTTP/1.1 100 Continue\r\n\r\n');
      raw.send(rest);
      await raw.until('HTTP/1.1 200 OK');
      raw.destroy();
      expect(sentTo(stub)?.headers).not.toHaveProperty('expect');
    }
  });
});

describe('keys', () => {
  let stub: GuardedStub;
  afterEach(() => stub.stop());
  const asked = (key: string | null, path = CHAT) =>
    fetch(stub.url + path, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      },
      body: chat(),
    });

  test("without keys of our own the client's goes to the backend", async () => {
    stub = await startGuardedStub();
    for (const path of [CHAT, '/tokenize']) {
      await asked('sk-client', path);
      expect(sentTo(stub)?.headers.authorization).toBe('Bearer sk-client');
    }
  });

  test('a key that kvgate verified does not', async () => {
    const keys = files.write('keys', '# callers\nsk-one\nsk-two\n');
    stub = await startGuardedStub({ 'api-key-file': keys });
    for (const path of [CHAT, '/tokenize']) {
      expect((await asked('sk-two', path)).status).toBe(200);
      expect(sentTo(stub)?.headers).not.toHaveProperty('authorization');
    }
    const answer = await fetch(stub.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': 'sk-one' },
      body: chat(),
    });
    expect(answer.status).toBe(200);
    expect(sentTo(stub)?.headers).not.toHaveProperty('x-api-key');
  });

  test.each([null, 'sk-wrong', ''])('key %j is refused, and nothing is forwarded', async (key) => {
    stub = await startGuardedStub({ 'api-key-file': files.write('keys', 'sk-one\n') });
    for (const path of [CHAT, '/tokenize']) {
      const answer = await asked(key, path);
      expect([answer.status, await answer.json()]).toMatchObject([
        401,
        { error: { type: 'authentication_error', code: 'invalid_api_key' } },
      ]);
      expect(answer.headers.get('x-should-retry')).toBe('false');
    }
    expect(stub.backend.received).toEqual([]);
  });

  test("the backend's key takes the place of the client's", async () => {
    const key = files.write('backend-key', 'sk-backend\n');
    stub = await startGuardedStub({ 'backend-api-key-file': key });
    for (const path of [CHAT, '/tokenize']) {
      await asked('sk-client', path);
      expect(sentTo(stub)?.headers.authorization).toBe('Bearer sk-backend');
    }
  });
});
