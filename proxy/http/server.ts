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
import type { Pools } from '../state/pools.ts';
import { mayPass } from './forward-passthrough.ts';
import { isOpenPath, isOperatorPath } from './operator-routes.ts';
import { type Problem, refusal } from './problem.ts';
import { respondProblem } from './respond.ts';
import type { Tenants } from './tenants.ts';

export interface GateParts {
  readonly pools: Pools;
  readonly tenants: Tenants;
  readonly generate: (message: IncomingMessage, response: ServerResponse) => Promise<void>;
  readonly operate: (
    path: string,
    message: IncomingMessage,
    response: ServerResponse,
  ) => Promise<void>;
  readonly pass: (target: string, message: IncomingMessage, response: ServerResponse) => void;
}

export interface Tls {
  readonly certPem: string;
  readonly keyPem: string;
}

type Route = (message: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Node's defaults let a slow client hold a connection for minutes. */
const LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 120_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 65_000,
};

/** @param operatorHere false when the operator's routes listen on a port of their own */
export function dataServer(parts: GateParts, tls: Tls | null, operatorHere: boolean): Server {
  return guarded(tls, (message, response) => {
    const path = pathOf(message);
    if (isOperatorPath(path)) {
      if (operatorHere || isOpenPath(path)) return parts.operate(path, message, response);
      return notFound(response, path);
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
export function adminServer(operate: GateParts['operate']): Server {
  return guarded(null, (message, response) => {
    const path = pathOf(message);
    return isOperatorPath(path) ? operate(path, message, response) : notFound(response, path);
  });
}

function passOn(
  parts: GateParts,
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
): void {
  if (parts.tenants.tenantOf(message.headers) === null) {
    respondProblem(response, refusal(401, 'invalid_api_key', 'A valid API key is needed.'));
    return;
  }
  const { spokesman } = parts.pools;
  if (spokesman === null) {
    respondProblem(response, {
      ...refusal(503, 'server_is_overloaded', 'No backend is healthy at the moment.'),
      retry: { afterMs: 5_000 },
    });
    return;
  }
  if (!mayPass(spokesman.adapter.passthroughRoutes, message.method ?? '', path)) {
    notFound(response, path);
    return;
  }
  if (message.headers.expect !== undefined) response.writeContinue();
  parts.pass(spokesman.url, message, response);
}

function guarded(tls: Tls | null, route: Route): Server {
  const busy = new WeakSet<Socket>();
  const listener = (message: IncomingMessage, response: ServerResponse) => {
    const problem = malformed(message) ?? (busy.has(message.socket) ? PIPELINED : null);
    if (problem !== null) {
      respondProblem(response, problem, { connection: 'close' });
      return;
    }
    busy.add(message.socket);
    response.once('close', () => busy.delete(message.socket));
    void route(message, response);
  };
  const server =
    tls === null
      ? createServer(LIMITS, listener)
      : createTlsServer({ ...LIMITS, cert: tls.certPem, key: tls.keyPem }, listener);
  server.on('checkContinue', listener);
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  });
  return server;
}

const PIPELINED = refusal(400, 'pipelining', 'Send one request at a time on a connection.');
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);

/** What HTTP allows but nobody honest sends: each has been a way past some proxy. */
function malformed(message: IncomingMessage): Problem | null {
  const { headers, headersDistinct, method = '', url = '' } = message;
  if (!METHODS.has(method)) return refusal(405, 'method_not_allowed', 'Use GET, HEAD or POST.');
  if (!url.startsWith('/')) return refusal(400, 'invalid_request_error', 'Use a path as target.');
  if ((headersDistinct.host ?? []).length !== 1) {
    return refusal(400, 'invalid_request_error', 'Send exactly one Host header.');
  }
  if (headers.upgrade !== undefined) {
    return refusal(426, 'upgrade_not_supported', 'Upgrade is not supported here.');
  }
  const hasBody =
    headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
  if (method !== 'POST' && hasBody && headers['content-length'] !== '0') {
    return refusal(400, 'invalid_request_error', `A ${method} request takes no body.`);
  }
  return null;
}

function pathOf(message: IncomingMessage): string {
  return (message.url ?? '').split('?', 1)[0] ?? '';
}

function notFound(response: ServerResponse, path: string): void {
  const shown = path.slice(0, 200);
  respondProblem(response, refusal(404, 'not_found', `kvgate does not serve ${shown}.`));
}

/** Listens, and resolves with the port. Rejects when the address can't be had. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(
        typeof address === 'object' && address !== null ? (address as AddressInfo).port : port,
      );
    });
  });
}
