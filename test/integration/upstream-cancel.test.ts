/** A long body on its way to a backend that takes none of it: whoever cancels it gets everything back at once. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Upstream } from '../../proxy/http/upstream.ts';

const MIB = 1024 * 1024;

let upstream: Upstream;
let connected: Promise<[Socket]>;
const server = createServer({ pauseOnConnect: true });
beforeEach(async () => {
  connected = once(server, 'connection') as Promise<[Socket]>;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  upstream = new Upstream(
    `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    null,
    1_000,
  );
});
afterEach(async () => {
  await upstream.close();
  server.close();
});

function sent(signal: AbortSignal) {
  const body = [Buffer.alloc(32 * MIB, 'a'), Buffer.from('b')];
  const headers = { 'content-type': 'application/json' };
  return upstream.send({ method: 'POST', path: '/', headers, body, signal });
}

test('its connection is cut in the middle of the body', async () => {
  const abort = new AbortController();
  const sending = sent(abort.signal);
  const [socket] = await connected;
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    // It is under way: now it takes nothing more.
    if (bytes === chunk.length) socket.pause();
  });
  await new Promise<void>((resolve) => {
    socket.once('data', () => resolve());
    socket.resume();
  });
  abort.abort(new Error('left'));
  await expect(sending).rejects.toThrow('left');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'close');
  expect(bytes).toBeLessThan(32 * MIB);
});

test('one that was cancelled before it was sent is not begun', async () => {
  await expect(sent(AbortSignal.abort(new Error('left')))).rejects.toThrow('left');
});

test('a backend that goes away in the middle fails it, and it is not sent again', async () => {
  let connections = 0;
  const count = (socket: Socket): void => {
    connections += 1;
    socket.on('error', () => {});
    socket.once('data', () => socket.destroy());
    socket.resume();
  };
  server.on('connection', count);
  await expect(sent(new AbortController().signal)).rejects.toMatchObject({
    code: 'backend_failed',
    engineIsFree: false,
  });
  server.off('connection', count);
  expect(connections).toBe(1);
});
