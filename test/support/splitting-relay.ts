/** A TCP relay that passes the backend's bytes on one at a time: whatever can be split, is. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface SplittingRelay {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a relay on a free loopback port, in front of `backendUrl`. */
export async function startSplittingRelay(backendUrl: string): Promise<SplittingRelay> {
  const { hostname, port } = new URL(backendUrl);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const backend = connect({ host: hostname, port: Number(port), noDelay: true });
    for (const socket of [client, backend]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      socket.on('error', () => socket.destroy());
    }
    client.pipe(backend);
    void passByteByByte(backend, client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

async function passByteByByte(from: Socket, to: Socket): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length && !to.destroyed; at++) {
        to.write(chunk.subarray(at, at + 1));
        await nextTurn();
      }
    }
    to.end();
  } catch {
    to.destroy();
  }
}
