/** What contract servers share: a port, the generation requests they got, and a face to show. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Received {
  readonly path: string;
  readonly body: unknown;
}

/** One request, its body read; a body that is no JSON is undefined. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly response: ServerResponse;
}

export interface ContractServer<Face extends string> {
  readonly url: string;
  readonly port: number;
  readonly received: readonly Received[];
  /** Requests in the works. */
  running(): number;
  show(face: Face | 'answers' | 'works'): void;
  stop(): Promise<void>;
}

/** How a server of one kind behaves. */
export interface Behaviour<Face extends string> {
  /** Routes that tell of its state: true when it has answered. */
  readonly state: (exchange: Exchange, running: number) => boolean;
  readonly generates: (path: string) => boolean;
  /** Called when the request is no longer `works`. */
  readonly generate: (exchange: Exchange, face: Face | 'answers') => void;
  readonly notFound: string;
}

/** `works` is a request in flight: nothing is said until another face is shown. */
export async function startContractServer<Face extends string>(
  behaviour: Behaviour<Face>,
  port = 0,
): Promise<ContractServer<Face>> {
  const received: Received[] = [];
  const working = new Set<ServerResponse>();
  const sockets = new Set<Socket>();
  let face: Face | 'answers' | 'works' = 'answers';
  const shown = (): Face | 'answers' | 'works' => face;

  const server = createServer(async (request, response) => {
    const { url: path = '', method = '' } = request;
    const exchange = { method, path, body: await bodyOf(request), response };
    if (behaviour.state(exchange, working.size)) return;
    if (method !== 'POST' || !behaviour.generates(path)) {
      respond(response, 404, behaviour.notFound);
      return;
    }
    received.push({ path, body: exchange.body });
    working.add(response);
    response.once('close', () => working.delete(response));
    let now = shown();
    while (now === 'works' && !response.destroyed) {
      await delay(2);
      now = shown();
    }
    if (now !== 'works' && !response.destroyed) behaviour.generate(exchange, now);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    received,
    running: () => working.size,
    show: (next) => {
      face = next;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export function respond(
  response: ServerResponse,
  status: number,
  body: string | object,
  type = 'application/json',
): void {
  response.writeHead(status, { 'content-type': type });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Member `name` of a body; undefined where it has none. */
export function member(body: unknown, name: string): unknown {
  return typeof body === 'object' && body !== null
    ? (body as Readonly<Record<string, unknown>>)[name]
    : undefined;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}
