/**
 * A relay between a client and a backend that understands nothing: it passes
 * TCP bytes on as they come and keeps a copy of both directions, so that a test
 * can compare what one end sent with what the other end got.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Both directions of one connection, so far. */
export interface RecordedConnection {
  /** What the connecting side sent. */
  readonly requestBytes: Buffer;
  /** What the backend answered. */
  readonly responseBytes: Buffer;
}

export interface RecordingRelay {
  readonly url: string;
  readonly port: number;
  /** Connections in the order they came. */
  connections(): RecordedConnection[];
  /** Destroys every connection and stops listening. */
  stop(): Promise<void>;
}

/** A recording beyond this destroys its connection: no test needs more. */
const MAX_RECORDED_BYTES = 256 * 1024 * 1024;

/** Starts a relay on a free loopback port, in front of `backendUrl` (http, with its port). */
export async function startRecordingRelay(backendUrl: string): Promise<RecordingRelay> {
  const backend = new URL(backendUrl);
  const recordings: { readonly request: Buffer[]; readonly response: Buffer[] }[] = [];
  const sockets = new Set<Socket>();

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({
      host: backend.hostname,
      port: Number(backend.port),
      allowHalfOpen: true,
      noDelay: true,
    });
    const request: Buffer[] = [];
    const response: Buffer[] = [];
    recordings.push({ request, response });
    passOn(client, upstream, request);
    passOn(upstream, client, response);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}`,
    port,
    connections: () =>
      recordings.map(({ request, response }) => ({
        requestBytes: Buffer.concat(request),
        responseBytes: Buffer.concat(response),
      })),
    stop: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** One direction: bytes with backpressure, the end as an end, an abort as an abort. */
function passOn(from: Socket, to: Socket, recorded: Buffer[]): void {
  let bytes = 0;
  from.on('data', (chunk) => {
    recorded.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_RECORDED_BYTES) from.destroy();
  });
  from.pipe(to);
  from.on('error', () => to.resetAndDestroy());
  from.on('close', () => to.destroySoon());
}
