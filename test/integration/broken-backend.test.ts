/** However a backend breaks, the client learns of it, nothing is replayed, and no lease is lost. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import {
  ANSWER,
  answerJson,
  answerRaw,
  beginStream,
  EVENTS,
  type Script,
} from '../support/stub-backend.ts';

let stub: GuardedStub;
beforeEach(async () => {
  stub = await startGuardedStub({ 'first-byte-timeout': 0.3, 'stream-idle-timeout': 0.3 });
});
afterEach(() => stub.stop());

const streaming = chat({ stream: true });
const WHOLE = EVENTS[2] ?? '';
const HALF = (EVENTS[3] ?? '').slice(0, 40);
const STREAM_HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n';
const chunked = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

async function expectProblem(answer: Response, status: number, code: string): Promise<void> {
  expect([answer.status, await answer.json()]).toEqual([
    status,
    { error: { message: expect.any(String), type: 'server_error', param: null, code } },
  ]);
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect(Number(answer.headers.get('retry-after-ms'))).toBeGreaterThanOrEqual(1000);
  expect(answer.headers.has('x-should-retry')).toBe(false);
}

/** The stream as it came, its chunks' sizes left out, to where the connection was cut. */
async function brokenStream(script: Script): Promise<string> {
  stub.backend.answerWith(script);
  const raw = await connectRaw(stub.url);
  raw.send(rawPost(CHAT, streaming));
  const text = await raw.rest;
  expect(text).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
  return text
    .slice(text.indexOf('\r\n\r\n') + 4)
    .replace(/[0-9a-f]+\r\n([\s\S]*?)\r\n(?=[0-9a-f]+\r\n|$)/g, '$1');
}

function errorEvent(code: string): string {
  return `data: {"error":{"message":"[^"]+","type":"server_error","param":null,"code":"${code}"}}\n\n`;
}

describe('before the first byte', () => {
  test('a refused connection is 502', async () => {
    await stub.backend.stop();
    await expectProblem(await stub.post(chat()), 502, 'backend_failed');
    expect(stub.test.leases()).toBe(0);
  });

  test('a reset is 502, and the request was sent once', async () => {
    stub.backend.answerWith(({ socket }) => void socket.resetAndDestroy());
    await expectProblem(await stub.post(chat()), 502, 'backend_failed');
    expect(stub.backend.received).toHaveLength(1);
    await stub.settled();
  });

  test('a regular close is 502', async () => {
    stub.backend.answerWith(({ socket }) => void socket.end());
    await expectProblem(await stub.post(chat()), 502, 'backend_failed');
  });

  test('silence is 504', async () => {
    stub.backend.answerWith(() => {});
    await expectProblem(await stub.post(chat()), 504, 'backend_timeout');
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });

  const nonsense: [string, string][] = [
    ['no HTTP', 'hello\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy'],
    ['a broken header', 'HTTP/1.1 200 OK\r\nbad header: x\r\n\r\n'],
    [
      'a switch of protocols',
      'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n',
    ],
  ];
  test.each(nonsense)('%s is 502', async (_name, bytes) => {
    stub.backend.answerWith(answerRaw(bytes));
    await expectProblem(await stub.post(chat()), 502, 'backend_failed');
  });
});

describe("an engine's own error", () => {
  test.each([
    [400, '{"error":{"code":400,"message":"bad template","type":"invalid_request_error"}}'],
    [422, '{"detail":"no"}'],
    [501, '{"error":"not supported"}'],
  ])('%d is passed as it is', async (status, text) => {
    stub.backend.answerWith(answerJson(status, text, { 'x-engine': 'stub' }));
    const answer = await stub.post(chat());
    expect([answer.status, await answer.text()]).toEqual([status, text]);
    expect(answer.headers.get('x-engine')).toBe('stub');
  });

  test('that quotes a long request is passed whole', async () => {
    const text = JSON.stringify({ error: 'x'.repeat(200_000) });
    stub.backend.answerWith(answerJson(400, text));
    expect(await (await stub.post(chat())).text()).toBe(text);
  });

  test('loading is 503', async () => {
    const loading = { error: { message: 'Loading model', type: 'unavailable_error', code: 503 } };
    stub.backend.answerWith(answerJson(503, JSON.stringify(loading)));
    await expectProblem(await stub.post(chat()), 503, 'server_is_overloaded');
  });

  test('429 is 503: it is not the fault of this client', async () => {
    stub.backend.answerWith(answerJson(429, '{}'));
    await expectProblem(await stub.post(chat()), 503, 'server_is_overloaded');
  });

  test('that breaks off is 502', async () => {
    stub.backend.answerWith(
      answerRaw('HTTP/1.1 400 Bad Request\r\ncontent-length: 99\r\n\r\n{"er'),
    );
    await expectProblem(await stub.post(chat()), 502, 'backend_failed');
  });

  test('that never ends is 504', async () => {
    stub.backend.answerWith(({ response }) => {
      response.writeHead(400, { 'content-length': 99 });
      response.write('{');
    });
    await expectProblem(await stub.post(chat()), 504, 'backend_timeout');
  });
});

describe('a stream', () => {
  const breaks: [string, Script][] = [
    ['ends without its end', beginStream(WHOLE, ({ response }) => void response.end())],
    [
      'is closed in the middle of an event',
      beginStream(WHOLE + HALF, ({ socket }) => void socket.end()),
    ],
    [
      'is reset in the middle of an event',
      beginStream(
        WHOLE + HALF,
        ({ socket }) => void setTimeout(() => socket.resetAndDestroy(), 20),
      ),
    ],
    [
      'has a malformed chunk',
      answerRaw(`${STREAM_HEAD}transfer-encoding: chunked\r\n\r\n${chunked(WHOLE)}zz\r\n`),
    ],
    ['is shorter than announced', answerRaw(`${STREAM_HEAD}content-length: 999\r\n\r\n${WHOLE}`)],
  ];
  test.each(breaks)(
    'that %s ends in one error event and a cut connection',
    async (_name, script) => {
      const stream = await brokenStream(script);
      expect(stream).toMatch(new RegExp(`^${escaped(WHOLE)}${errorEvent('backend_failed')}$`));
    },
  );

  test('that falls silent ends likewise', async () => {
    const stream = await brokenStream(beginStream(WHOLE, () => {}));
    expect(stream).toMatch(new RegExp(`^${escaped(WHOLE)}${errorEvent('backend_timeout')}$`));
    await eventually(() => expect(stub.backend.open()).toBe(0));
  });

  const ENGINE_ERROR =
    'data: {"error":{"code":500,"message":"Context size has been exceeded."}}\n\n';
  test.each([
    ['and ends', beginStream(WHOLE + ENGINE_ERROR, ({ response }) => void response.end())],
    ['and breaks off', beginStream(WHOLE + ENGINE_ERROR + HALF, ({ socket }) => void socket.end())],
  ])(
    "that reports an error %s gets the engine's event alone, and a cut connection",
    async (_name, script) => {
      expect(await brokenStream(script)).toBe(WHOLE + ENGINE_ERROR);
    },
  );

  test('that broke is counted as cut by the backend', async () => {
    await brokenStream(beginStream(WHOLE, ({ socket }) => void socket.end()));
    const page = await (await fetch(`${stub.url}/metrics`)).text();
    expect(page).toContain('kvgate_streams_cancelled_total{by="backend"} 1');
  });

  test('that the engine ended, however badly, leaves no lease to drain', async () => {
    await brokenStream(beginStream(WHOLE, ({ response }) => void response.end()));
    expect(stub.test.leases()).toBe(0);
  });
});

describe('a JSON answer', () => {
  const breaks: [string, Script][] = [
    [
      'is shorter than announced',
      answerRaw(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n${ANSWER}`,
      ),
    ],
    [
      'falls silent',
      ({ response }) => void response.writeHead(200, { 'content-length': 99 }).write('{'),
    ],
    [
      'has a malformed chunk',
      answerRaw('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n'),
    ],
  ];
  test.each(breaks)('that %s does not look whole', async (_name, script) => {
    stub.backend.answerWith(script);
    const answer = await stub.post(chat());
    await expect(answer.text()).rejects.toThrow();
  });
});

test('no fault of a backend is a fault of kvgate', async () => {
  stub.backend.answerWith(({ socket }) => void socket.resetAndDestroy());
  await stub.post(chat());
  await brokenStream(beginStream(WHOLE + HALF, ({ socket }) => void socket.end()));
  expect(stub.test.logged.filter(({ level }) => level === 'error')).toEqual([]);
});

function escaped(text: string): string {
  return text.replace(/[{}[\]().*+?^$\\|]/g, '\\$&');
}
