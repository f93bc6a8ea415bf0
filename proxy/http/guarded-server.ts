/**
 * A listening server that no request can get past half-read: malformed ones,
 * pipelined ones and slow ones end here, and a handler that fails costs its own
 * request alone.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from '../state/log.ts';
import { apiOfPath } from './api-errors.ts';
import { ClientGone } from './fault.ts';
import { malformed, PIPELINED, refuseOnSocket, refuseUnparsed } from './malformed.ts';
import { refusal } from './problem.ts';
import { pathOf, respondProblem } from './respond.ts';

export interface Tls {
  readonly certPem: string;
  readonly keyPem: string;
}

export type Route = (message: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Takes over a connection whose client asks for another protocol. */
export type UpgradeRoute = (message: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** For servers that have nothing to upgrade to. */
export const refuseUpgrade: UpgradeRoute = (message, socket) => {
  const problem = refusal(426, 'upgrade_not_supported', 'Upgrade is not supported here.');
  refuseOnSocket(socket, problem, apiOfPath(pathOf(message)));
};

/** Node's defaults let a slow client hold a connection for minutes. */
export const LISTEN_LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 120_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 65_000,
};

/** @param limits how long a client may take for what, and how often that is checked */
export function guardedServer(
  log: Log,
  tls: Tls | null,
  limits: ServerOptions,
  route: Route,
  upgrade: UpgradeRoute = refuseUpgrade,
): Server {
  const underWay = new WeakMap<Socket, ServerResponse>();
  const listener = (message: IncomingMessage, response: ServerResponse) => {
    const { socket } = message;
    if (underWay.has(socket)) {
      respondProblem(response, PIPELINED, { connection: 'close' });
      return;
    }
    underWay.set(socket, response);
    response.once('close', () => underWay.delete(socket));
    const problem = malformed(message);
    if (problem === null) void routed(log, route, message, response);
    else respondProblem(response, problem, { connection: 'close' });
  };
  const server =
    tls === null
      ? createServer(limits, listener)
      : createTlsServer({ ...limits, cert: tls.certPem, key: tls.keyPem }, listener);
  server.on('checkContinue', listener);
  server.on('upgrade', (message: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const problem = underWay.has(socket) ? PIPELINED : malformed(message, true);
    if (problem === null) upgrade(message, socket, head);
    else refuseOnSocket(socket, problem, apiOfPath(pathOf(message)));
  });
  server.on('clientError', (error, socket: Socket) => {
    refuseUnparsed(error, socket, underWay.get(socket));
  });
  return server;
}

async function routed(
  log: Log,
  route: Route,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await route(message, response);
  } catch (error) {
    if (error instanceof ClientGone) return;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error('Unexpected fault', { path: pathOf(message).slice(0, 200), detail });
    respondProblem(response, {
      ...refusal(500, 'internal_error', 'kvgate failed.'),
      retry: 'unsaid',
    });
  }
}

/** Listens, and resolves with the port. Rejects when the address can't be had. */
export function listen(server: Server, host: string, port: number, log: Log): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      // Such as no file descriptor left for a new connection: those there are go on.
      server.on('error', (error) => log.error('Server fault', { detail: error.message }));
      const address = server.address();
      resolve(
        typeof address === 'object' && address !== null ? (address as AddressInfo).port : port,
      );
    });
  });
}
