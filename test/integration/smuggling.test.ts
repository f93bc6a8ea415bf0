/**
 * What an attacker gains by a request that kvgate and the backend read
 * differently: work that was never admitted. So whatever is not plainly one
 * request to one known route ends here, and the backend sees nothing of it.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { ANSWER, answerJson } from '../support/stub-backend.ts';

let stub: GuardedStub;
beforeAll(async () => {
  stub = await startGuardedStub();
});
afterAll(() => stub.stop());

/** Sends bytes, and gives the status codes that came back until the connection was closed. */
async function statusesOf(bytes: string): Promise<number[]> {
  const raw = await connectRaw(stub.url);
  raw.send(bytes);
  const text = await raw.rest;
  return [...text.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map((match) => Number(match[1]));
}

const HIDDEN = rawPost(CHAT, chat(), ['X-Hidden: yes']);
const head = (requestLine: string, ...lines: string[]) =>
  `${[requestLine, 'Host: kvgate.test', ...lines].join('\r\n')}\r\n\r\n`;
const withBody = (requestLine: string) =>
  head(requestLine, `Content-Length: ${HIDDEN.length}`, 'Connection: close') + HIDDEN;
const inChunks = (requestLine: string) =>
  head(requestLine, 'Transfer-Encoding: chunked', 'Connection: close') +
  `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`;

const refused: [string, string, number][] = [
  ...['DELETE', 'OPTIONS', 'PUT', 'PATCH'].flatMap((method): [string, string, number][] => [
    [`${method} with a body`, withBody(`${method} ${CHAT} HTTP/1.1`), 405],
    [`${method} with a body in chunks`, inChunks(`${method} ${CHAT} HTTP/1.1`), 405],
    [`${method} with a body to a route passed on`, inChunks(`${method} /v1/models HTTP/1.1`), 405],
  ]),
  ['TRACE', head(`TRACE ${CHAT} HTTP/1.1`, 'Connection: close'), 405],
  ['GET with a body', withBody('GET /v1/models HTTP/1.1'), 400],
  ['GET with a body in chunks', inChunks('GET /v1/models HTTP/1.1'), 400],
  ['HEAD with a body', withBody('HEAD /v1/models HTTP/1.1'), 400],
  ['GET of a generation', head(`GET ${CHAT} HTTP/1.1`, 'Connection: close'), 405],
  ['an absolute target', withBody('POST http://backend.test/v1/chat/completions HTTP/1.1'), 400],
  ['a target that is an asterisk', withBody('POST * HTTP/1.1'), 400],
  ['two Host headers', rawPost(CHAT, chat(), ['Host: other.test', 'Connection: close']), 400],
  ['no Host header', `POST ${CHAT} HTTP/1.1\r\nContent-Length: 0\r\n\r\n`, 400],
  ['Upgrade', rawPost(CHAT, chat(), ['Connection: upgrade', 'Upgrade: websocket']), 426],
  ['two framings', rawPost(CHAT, chat(), ['Transfer-Encoding: chunked']), 400],
  ['two lengths', rawPost(CHAT, chat(), ['Content-Length: 5']), 400],
  ['an unknown framing', head(`POST ${CHAT} HTTP/1.1`, 'Transfer-Encoding: xchunked'), 400],
  ['a length with a sign', `${head(`POST ${CHAT} HTTP/1.1`, 'Content-Length: +5')}hello`, 400],
  ['a folded header', head(`POST ${CHAT} HTTP/1.1`, 'X-A: b', ' c', 'Content-Length: 0'), 400],
  ['a space before the colon', `${head(`POST ${CHAT} HTTP/1.1`, 'Content-Length : 5')}hello`, 400],
  [
    'a malformed chunk',
    `${head(`POST ${CHAT} HTTP/1.1`, 'Transfer-Encoding: chunked')}zz\r\n`,
    400,
  ],
  ['headers that are too large', head(`POST ${CHAT} HTTP/1.1`, `X-A: ${'a'.repeat(20_000)}`), 431],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n', 400],
];

describe('is refused, and nothing of it reaches the backend:', () => {
  test.each(refused)('%s', async (_name, bytes, status) => {
    const before = stub.backend.received.length;
    expect(await statusesOf(bytes)).toEqual([status]);
    expect(stub.backend.received.slice(before)).toEqual([]);
  });

  test('CONNECT', async () => {
    const before = stub.backend.received.length;
    expect(await statusesOf(head('CONNECT backend.test:80 HTTP/1.1'))).toEqual([]);
    expect(stub.backend.received.slice(before)).toEqual([]);
  });
});

describe('another spelling of a path is another path:', () => {
  const spellings = [
    '//v1/chat/completions',
    '/v1//chat/completions',
    '/v1/%63hat/completions',
    '/V1/chat/completions',
    '/v1/chat/completions/',
    '/v1/chat/completions;x',
    '/v1/chat/completions%20',
    '/v1/chat/completions%00',
    '/v1/./chat/completions',
    '/v1/models/../chat/completions',
    '/v1/chat/completions#x',
    '/v1/chat\\completions',
    '/v1/models/..%2fchat/completions',
    '/predict',
    '/v1/audio/transcriptions',
    '/lora-adapters',
    '/slots/0?action=erase',
    '/props',
  ];
  test.each(spellings)('%s', async (path) => {
    const before = stub.backend.received.length;
    expect(await statusesOf(rawPost(path, chat(), ['Connection: close']))).toEqual([404]);
    expect(stub.backend.received.slice(before)).toEqual([]);
  });
});

describe('requests sent ahead on one connection', () => {
  test('are not served: one is in flight at a time', async () => {
    stub.backend.answerWith(answerJson(200, ANSWER));
    const before = stub.backend.received.length;
    const statuses = await statusesOf(HIDDEN + HIDDEN + HIDDEN);
    expect(statuses).toEqual([200, 400]);
    expect(stub.backend.received.slice(before)).toHaveLength(1);
  });

  test('one after the other are served', async () => {
    stub.backend.answerWith(answerJson(200, ANSWER));
    const raw = await connectRaw(stub.url);
    for (const count of [1, 2, 3]) {
      raw.send(HIDDEN);
      await eventually(() => expect(raw.text().split(ANSWER)).toHaveLength(1 + count));
    }
    raw.destroy();
  });
});
