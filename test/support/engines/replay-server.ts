/**
 * What the contract servers of engines have in common: a real HTTP server that
 * answers state routes at once and generation routes by the face it shows, and
 * that knows which requests it is at work on.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

export interface Received {
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Readonly<Record<string, unknown>>;
}

export interface Reply {
  readonly status: number;
  /** Whole, or in parts that are sent one after the other. */
  readonly body: string | readonly string[];
  readonly type?: string;
}

export interface Script<Face extends string> {
  /** The answer of a state route such as `GET /health`; null where there is none. */
  state(route: string, face: Face, running: readonly Received[]): Reply | null;
  /** The answer of a generation route; null where there is none. */
  generate(received: Received, face: Face): Reply | null;
  /** Faces under which a request is kept at work until another face is shown. */
  readonly working: readonly Face[];
  /** Faces under which a request stays at work after its client has left. */
  readonly clinging: readonly Face[];
}

export interface ReplayServer<Face extends string> {
  readonly url: string;
  readonly port: number;
  /** Generation requests, the whole of each. */
  readonly received: readonly Received[];
  /** How often each state route was asked so far. */
  asked(): ReadonlyMap<string, number>;
  running(): number;
  show(face: Face): void;
  stop(): Promise<void>;
}

export async function startReplayServer<Face extends string>(
  script: Script<Face>,
  face: Face,
  port = 0,
): Promise<ReplayServer<Face>> {
  let shown = face;
  const received: Received[] = [];
  const working = new Map<ServerResponse, Received>();
  const asked = new Map<string, number>();
  const sockets = new Set<Socket>();

  const server = createServer(async (request, response) => {
    const { url: path = '', method = '', headers } = request;
    const body = await bodyOf(request);
    const route = `${method} ${path}`;
    const state = script.state(route, shown, [...working.values()]);
    if (state !== null) {
      asked.set(route, (asked.get(route) ?? 0) + 1);
      await send(response, state);
      return;
    }
    const record = { path, headers, body };
    if (method !== 'POST' || script.generate(record, shown) === null) {
      await send(response, { status: 404, body: '{"detail":"Not Found"}' });
      return;
    }
    received.push(record);
    working.set(response, record);
    while (script.working.includes(shown) && isWanted(response, script, shown)) await delay(2);
    const reply = script.generate(record, shown);
    if (reply !== null && !response.destroyed) await send(response, reply);
    working.delete(response);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    received,
    asked: () => asked,
    running: () => working.size,
    show: (next) => {
      shown = next;
    },
    stop: () =>
      new Promise((resolve) => {
        // Whoever is still at work has to end, or its wait would outlive the test.
        script = { ...script, working: [] };
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function isWanted<Face extends string>(
  response: ServerResponse,
  { clinging }: Script<Face>,
  face: Face,
): boolean {
  return !response.destroyed || clinging.includes(face);
}

async function send(response: ServerResponse, { status, body, type }: Reply): Promise<void> {
  const isStream = typeof body !== 'string';
  const told = type ?? (isStream ? 'text/event-stream' : 'application/json');
  response.writeHead(status, { 'content-type': told });
  for (const part of isStream ? body : [body]) {
    if (response.destroyed) return;
    response.write(part);
    // Each event in a packet of its own, as an engine's are.
    await delay(1);
  }
  response.end();
}

async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? {} : JSON.parse(text);
}
