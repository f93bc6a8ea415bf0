/** Nonsense gets a clear refusal in OpenAI's shape, and not a byte of it reaches a backend. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';

const MAX_BODY_BYTES = 64 * 1024;
let stub: GuardedStub;

beforeAll(async () => {
  stub = await startGuardedStub({ 'max-body-mb': MAX_BODY_BYTES / 1024 ** 2 });
});
afterAll(() => stub.stop());
afterEach(() => {
  expect(stub.backend.received).toEqual([]);
  expect(stub.test.leases()).toBe(0);
});

const messages = [{ role: 'user', content: 'hi' }];
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

async function expectRefusal(
  answer: Response,
  status: number,
  param: string | null,
  message: RegExp,
): Promise<void> {
  const body = await answer.json();
  expect([answer.status, body]).toEqual([
    status,
    {
      error: {
        message: expect.stringMatching(message),
        type: 'invalid_request_error',
        param,
        code: expect.stringMatching(/^[a-z_]+$/),
      },
    },
  ]);
  expect(answer.headers.get('content-type')).toBe('application/json');
  expect(answer.headers.get('x-should-retry')).toBe('false');
  expect(answer.headers.has('retry-after')).toBe(false);
}

describe('what is no JSON object is refused with 400', () => {
  const cases: [string, string | Buffer, RegExp][] = [
    ['an empty body', '', /ends before/],
    ['broken JSON', '{"messages":[}', /offset|byte/],
    ['JSON that ends too early', '{"messages":[{"role":"user"', /ends before/],
    ['text after the object', `${chat()} {}`, /byte/],
    ['a list', `[${chat()}]`, /not a JSON object/],
    ['a string', '"hi"', /not a JSON object/],
    ['null', 'null', /not a JSON object/],
    ['invalid UTF-8', Buffer.from([...Buffer.from('{"a":"'), 0xff, 0x22, 0x7d]), /UTF-8/],
    ['a byte order mark', `\ufeff${chat()}`, /byte/],
    ['a field named twice', '{"max_tokens":1,"max_tokens":2}', /max_tokens/],
    ['a field named twice by an escape', '{"n":1,"\\u006e":2}', /\bn\b/],
    ['a body too deep', `{"messages":${nested(80)}}`, /deeper/],
    ['NaN', '{"temperature":NaN}', /byte/],
  ];
  test.each(cases)('%s', async (_name, body, message) => {
    await expectRefusal(await stub.post(body), 400, null, message);
  });
});

describe('a field that makes no sense is named', () => {
  const cases: [string, Record<string, unknown> | string, string][] = [
    ['no messages', '{}', 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    ['messages of another type', { messages: 'hi' }, 'messages'],
    ['a message that is no object', { messages: ['hi'] }, 'messages'],
    ['a limit of 0', { messages, max_tokens: 0 }, 'max_tokens'],
    ['a negative limit', { messages, max_tokens: -2 }, 'max_tokens'],
    ['a fractional limit', { messages, max_tokens: 1.5 }, 'max_tokens'],
    ['a huge limit', { messages, max_tokens: 1e308 }, 'max_tokens'],
    ['a limit as text', { messages, max_tokens: '12' }, 'max_tokens'],
    ['an alias of the limit as a list', { messages, n_predict: [1] }, 'n_predict'],
    ['n 0', { messages, n: 0 }, 'n'],
    ['n as text', { messages, n: '1' }, 'n'],
    ['a huge n', { messages, n: 1_000_000 }, 'n'],
    ['a negative temperature', { messages, temperature: -1 }, 'temperature'],
    ['a temperature as text', { messages, temperature: 'hot' }, 'temperature'],
    ['a top_p above 1', { messages, top_p: 2 }, 'top_p'],
    ['stream as text', { messages, stream: 'yes' }, 'stream'],
    ['a model that is no text', { messages, model: 7 }, 'model'],
  ];
  test.each(cases)('%s', async (_name, fields, param) => {
    const body = typeof fields === 'string' ? fields : JSON.stringify(fields);
    await expectRefusal(await stub.post(body), 400, param, new RegExp(param));
  });

  test('a number beyond every float', async () => {
    const body = `{"messages":[{"role":"user","content":"hi"}],"max_tokens":1e999}`;
    await expectRefusal(await stub.post(body), 400, 'max_tokens', /max_tokens/);
  });

  test.each(['a b', 'x'.repeat(129), '../etc', 'caf\u00e9'])('session id %j', async (id) => {
    const answer = await stub.post(chat(), { 'x-session-id': id });
    await expectRefusal(answer, 400, 'x-session-id', /1 to 128/);
  });

  test('a session id given twice', async () => {
    const raw = await connectRaw(stub.url);
    const twice = ['X-Session-ID: a', 'X-Session-ID: b', 'Connection: close'];
    raw.send(rawPost(CHAT, chat(), twice));
    expect(await raw.rest).toMatch(/^HTTP\/1.1 400 .*"param":"x-session-id"/s);
  });
});

describe('another kind of body is refused with 415', () => {
  test.each([
    [{ 'content-encoding': 'gzip' }, /Content-Encoding/],
    [{ 'content-type': 'text/plain' }, /application\/json/],
    [{ 'content-type': 'multipart/form-data; boundary=x' }, /application\/json/],
    [{ 'content-type': 'application/x-www-form-urlencoded' }, /application\/json/],
  ])('%j', async (headers, message) => {
    await expectRefusal(await stub.post(chat(), headers), 415, null, message);
  });
});

describe('a body too large is refused with 413', () => {
  const tooLong = chat({ user: 'x'.repeat(2 * MAX_BODY_BYTES) });

  test('by its declared length, before a byte of it is read', async () => {
    const raw = await connectRaw(stub.url);
    raw.send(rawPost(CHAT, '', []).replace('Content-Length: 0', 'Content-Length: 999999999'));
    expect(await raw.until('"code":"request_too_large"')).toMatch(/^HTTP\/1.1 413 /);
    raw.destroy();
  });

  test('whoever expects "100 Continue" gets the refusal instead', async () => {
    const raw = await connectRaw(stub.url);
    raw.send(
      rawPost(CHAT, '', ['Expect: 100-continue']).replace(': 0', `: ${10 * MAX_BODY_BYTES}`),
    );
    const text = await raw.rest;
    expect(text).toMatch(/^HTTP\/1.1 413 /);
    expect(text).not.toContain('100 Continue');
  });

  test('by its chunks', async () => {
    const halves = [tooLong.slice(0, MAX_BODY_BYTES), tooLong.slice(MAX_BODY_BYTES)];
    const answer = await fetch(stub.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: ReadableStream.from(halves.map((half) => Buffer.from(half))),
      duplex: 'half',
    } as RequestInit);
    await expectRefusal(answer, 413, null, /larger than/);
  });

  test('a client that reads only when it has sent everything gets to read its answer', async () => {
    const raw = await connectRaw(stub.url);
    raw.pause();
    await raw.send(rawPost(CHAT, 'x'.repeat(16 * 1024 * 1024)));
    raw.resume();
    await expect(raw.rest).resolves.toMatch(/^HTTP\/1.1 413 .*\}\}$/s);
  });
});

test('the next request on the same connection is served after a refusal', async () => {
  const raw = await connectRaw(stub.url);
  raw.send(rawPost(CHAT, '{}'));
  await raw.until('"param":"messages"');
  raw.send('GET /health HTTP/1.1\r\nHost: kvgate.test\r\nConnection: close\r\n\r\n');
  expect(await raw.rest).toMatch(/HTTP\/1.1 400 .*HTTP\/1.1 200 /s);
});
