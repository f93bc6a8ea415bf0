/**
 * The listening servers: method and route, and nothing that could slip past
 * admission. A path is compared as it came, byte for byte; what no list names
 * is refused, never forwarded.
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
import type { Log } from '../state/log.ts';
import type { Pools } from '../state/pools.ts';
import type { Exchanges } from './exchanges.ts';
import { mayPass } from './forward-passthrough.ts';
import { malformed, PIPELINED, refuseUnparsed } from './malformed.ts';
import { isOpenPath, isOperatorPath } from './operator-routes.ts';
import { ClientGone, noBackend, refusal, shuttingDown } from './problem.ts';
import { respondProblem } from './respond.ts';
import type { Tenants } from './tenants.ts';

export interface GateParts {
  readonly pools: Pools;
  readonly tenants: Tenants;
  readonly exchanges: Exchanges;
  readonly log: Log;
  readonly generate: Route;
  readonly operate: OperatorRoute;
  readonly pass: (target: string, message: IncomingMessage, response: ServerResponse) => void;
}

export interface Tls {
  readonly certPem: string;
  readonly keyPem: string;
}

type Route = (message: IncomingMessage, response: ServerResponse) => Promise<void> | void;
type OperatorRoute = (
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
) => Promise<void>;

/** Node's defaults let a slow client hold a connection for minutes. */
const LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 120_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 65_000,
};

/** @param operatorHere false when the operator's routes listen on a port of their own */
export function dataServer(
  parts: GateParts,
  tls: Tls | null,
  operatorHere: boolean,
  limits: ServerOptions = LIMITS,
): Server {
  return guarded(parts.log, tls, limits, (message, response) => {
    const path = pathOf(message);
    if (isOperatorPath(path)) {
      if (operatorHere || isOpenPath(path)) return parts.operate(path, message, response);
      return notFound(response, path);
    }
    if (parts.exchanges.draining) {
      respondProblem(response, shuttingDown());
      return;
    }
    const adapters = parts.pools.instances.flatMap(({ adapter }) => adapter ?? []);
    const generates = adapters.some(({ generationRoutes }) =>
      generationRoutes.some((route) => route.path === path),
    );
    if (generates) {
      if (message.method === 'POST') return parts.generate(message, response);
      respondProblem(response, refusal(405, 'method_not_allowed', `${path} takes POST.`));
      return;
    }
    return passOn(parts, path, message, response);
  });
}

/** The operator's routes on a port of their own. */
export function adminServer(operate: OperatorRoute, log: Log): Server {
  return guarded(log, null, LIMITS, (message, response) => {
    const path = pathOf(message);
    return isOperatorPath(path) ? operate(path, message, response) : notFound(response, path);
  });
}

function passOn(
  { pools, tenants, pass }: GateParts,
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
): void {
  if (tenants.tenantOf(message.headers) === null) {
    respondProblem(response, refusal(401, 'invalid_api_key', 'A valid API key is needed.'));
    return;
  }
  const { spokesman } = pools;
  if (spokesman === null) {
    respondProblem(response, noBackend());
    return;
  }
  if (!mayPass(spokesman.adapter.passthroughRoutes, message.method ?? '', path)) {
    notFound(response, path);
    return;
  }
  pass(spokesman.url, message, response);
}

function guarded(log: Log, tls: Tls | null, limits: ServerOptions, route: Route): Server {
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
  server.on('clientError', (error, socket: Socket) => {
    refuseUnparsed(error, socket, underWay.get(socket));
  });
  return server;
}

/** A handler that fails costs its own request, never the process. */
async function routed(
  log: Log,
  route: Route,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await route(message, response);
  } catch (error) {
    if (!(error instanceof ClientGone)) {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error('Unexpected fault', { path: pathOf(message).slice(0, 200), detail });
    }
    respondProblem(response, {
      ...refusal(500, 'internal_error', 'kvgate failed.'),
      retry: 'unsaid',
    });
  }
}

function pathOf(message: IncomingMessage): string {
  return (message.url ?? '').split('?', 1)[0] ?? '';
}

function notFound(response: ServerResponse, path: string): void {
  const shown = path.slice(0, 200);
  respondProblem(response, refusal(404, 'not_found', `kvgate does not serve ${shown}.`));
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
