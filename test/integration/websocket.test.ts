/**
 * A WebSocket passes by the list alone, and neither side is left behind when the
 * other goes. What travels in it, nobody here reads: it is bytes to the test too.
 */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { CHAT, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';

const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n';

let stub: GuardedStub;
beforeEach(async () => {
  stub = await startGuardedStub({
    'passthrough-path': ['/ws', '/live/*'],
    'first-byte-timeout': 0.3,
  });
});
afterEach(() => stub.stop());

type Outcome =
  | { readonly how: 'upgraded'; readonly socket: Duplex }
  | { readonly how: 'answered'; readonly status: number; readonly text: string }
  | { readonly how: 'cut' };

function ask(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  { method = 'GET', body = '' } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const asked = request(stub.url + path, {
      method,
      headers: { connection: 'Upgrade', upgrade: 'websocket', ...headers },
    });
    asked.on('upgrade', (_answer, socket, head) => {
      socket.unshift(head);
      resolve({ how: 'upgraded', socket });
    });
    asked.on('response', async (answer) => {
      let text = '';
      for await (const chunk of answer) text += chunk;
      resolve({ how: 'answered', status: answer.statusCode ?? 0, text });
    });
    asked.on('error', () => resolve({ how: 'cut' }));
    asked.end(body);
  });
}

async function upgraded(path = '/ws', headers = {}): Promise<Duplex> {
  const outcome = await ask(path, headers);
  if (outcome.how !== 'upgraded') throw new Error(JSON.stringify(outcome));
  outcome.socket.on('error', () => {});
  return outcome.socket;
}

async function inFlight(): Promise<unknown> {
  const stats = (await (await fetch(`${stub.url}/stats`)).json()) as Record<string, unknown>;
  return stats.requests_in_flight;
}

/** The backend agrees, greets, and sends back whatever it gets. */
function echoing(): { readonly seen: IncomingHttpHeaders[]; readonly sockets: Duplex[] } {
  const seen: IncomingHttpHeaders[] = [];
  const sockets: Duplex[] = [];
  stub.backend.upgradeWith((message, socket) => {
    seen.push(message.headers);
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write(`${SWITCHING}hello`);
    socket.pipe(socket);
  });
  return { seen, sockets };
}

async function nextText(socket: Duplex): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString();
}

describe('on a path of the list', () => {
  test('bytes go both ways until the client leaves', async () => {
    const { sockets } = echoing();
    const socket = await upgraded('/live/room-1');
    expect(await nextText(socket)).toBe('hello');
    socket.write('ping');
    expect(await nextText(socket)).toBe('ping');
    expect(await inFlight()).toBe(1);
    socket.destroy();
    await eventually(() => expect(sockets[0]?.destroyed).toBe(true));
    await eventually(async () => expect(await inFlight()).toBe(0));
  });

  test('a backend that leaves takes the client with it', async () => {
    const { sockets } = echoing();
    const socket = await upgraded();
    await nextText(socket);
    const closed = once(socket, 'close');
    socket.resume();
    sockets[0]?.destroy();
    await closed;
    await eventually(async () => expect(await inFlight()).toBe(0));
  });

  test('headers of the one connection do not travel on the other', async () => {
    const { seen } = echoing();
    const headers = {
      connection: 'Upgrade, X-Secret',
      'x-secret': '1',
      te: 'trailers',
      'x-kept': '2',
    };
    (await upgraded('/ws', headers)).destroy();
    expect(seen[0]).toMatchObject({ connection: 'Upgrade', upgrade: 'websocket', 'x-kept': '2' });
    expect(seen[0]).not.toHaveProperty('x-secret');
    expect(seen[0]).not.toHaveProperty('te');
  });

  test('a backend that does not agree is heard', async () => {
    stub.backend.upgradeWith((_message, socket) => {
      socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno');
    });
    expect(await ask('/ws')).toEqual({ how: 'answered', status: 403, text: 'no' });
    await eventually(async () => expect(await inFlight()).toBe(0));
  });

  test('a backend that says nothing is given up', async () => {
    stub.backend.upgradeWith(() => {});
    expect(await ask('/ws')).toEqual({ how: 'cut' });
    await eventually(async () => expect(await inFlight()).toBe(0));
  });

  test('a client that leaves before the backend agreed is not left standing there', async () => {
    const waiting: Duplex[] = [];
    stub.backend.upgradeWith((_message, socket) => {
      waiting.push(socket);
      socket.on('error', () => {});
    });
    const asked = request(`${stub.url}/ws`, {
      headers: { connection: 'Upgrade', upgrade: 'websocket' },
    });
    asked.on('error', () => {});
    asked.end();
    await eventually(() => expect(waiting).toHaveLength(1));
    asked.destroy();
    await eventually(() => expect(waiting[0]?.destroyed || waiting[0]?.readableEnded).toBe(true));
    await eventually(async () => expect(await inFlight()).toBe(0));
  });

  test('a shutdown ends it', async () => {
    echoing();
    const socket = await upgraded();
    const closed = once(socket, 'close');
    socket.resume();
    await stub.test.stop();
    await closed;
  });
});

describe('is refused, and the backend sees nothing of it', () => {
  test.each([
    ['a path that is not on the list', '/other', {}, {}, 426],
    ['a route that generates', CHAT, {}, {}, 426],
    ['a route that generates, with a body', CHAT, {}, { method: 'POST', body: '{}' }, 426],
    ['a way out of the list', '/live/../v1/chat/completions', {}, {}, 426],
    ['a way out of it in disguise', '/live/%2e%2e/v1/models', {}, {}, 426],
    ['another protocol', '/ws', { upgrade: 'h2c' }, {}, 426],
    ['a body', '/ws', { 'content-length': '2' }, { body: '{}' }, 400],
  ])('%s', async (_, path, headers, rest, status) => {
    const { seen } = echoing();
    // A URL object would resolve the dots before they are sent.
    expect(await ask(path, headers, rest)).toMatchObject({ how: 'answered', status });
    expect(seen).toEqual([]);
    expect(stub.backend.received).toEqual([]);
    expect(await inFlight()).toBe(0);
  });
});
