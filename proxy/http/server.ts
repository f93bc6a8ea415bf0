/**
 * The routes of the listening servers, and nothing that could slip past
 * admission: a path is compared as it came, byte for byte, and what no list
 * names is refused, never forwarded.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GenerationRoute, PassthroughRoute } from '../../backend-adapters/adapter.ts';
import type { Log } from '../state/log.ts';
import type { Pools } from '../state/pools.ts';
import { apiOfPath } from './api-errors.ts';
import type { Exchanges } from './exchanges.ts';
import { mayPass } from './forward-passthrough.ts';
import {
  guardedServer,
  LISTEN_LIMITS,
  refuseUpgrade,
  type Tls,
  type UpgradeRoute,
} from './guarded-server.ts';
import { refuseOnSocket } from './malformed.ts';
import { isOpenPath, isOperatorPath } from './operator-routes.ts';
import { noBackend, type Problem, refusal, shuttingDown } from './problem.ts';
import { pathOf, respondProblem } from './respond.ts';
import type { Tenants } from './tenants.ts';

export interface GateParts {
  readonly pools: Pools;
  readonly tenants: Tenants;
  readonly exchanges: Exchanges;
  readonly log: Log;
  readonly generate: GenerationHandler;
  readonly operate: OperatorRoute;
  readonly pass: (target: string, message: IncomingMessage, response: ServerResponse) => void;
  readonly upgrade: (target: string, ...upgrade: Parameters<UpgradeRoute>) => void;
  /** Paths that may pass besides those the adapters name. */
  readonly passthroughRoutes: readonly PassthroughRoute[];
}

type GenerationHandler = (
  route: GenerationRoute,
  message: IncomingMessage,
  response: ServerResponse,
) => Promise<void>;

type OperatorRoute = (
  path: string,
  message: IncomingMessage,
  response: ServerResponse,
) => Promise<void>;

/** @param operatorHere false when the operator's routes listen on a port of their own */
export function dataServer(
  parts: GateParts,
  tls: Tls | null,
  operatorHere: boolean,
  limits: ServerOptions = LISTEN_LIMITS,
): Server {
  const route = (message: IncomingMessage, response: ServerResponse) => {
    const path = pathOf(message);
    if (isOperatorPath(path)) {
      if (operatorHere || isOpenPath(path)) return parts.operate(path, message, response);
      return notFound(response, path);
    }
    if (parts.exchanges.draining) {
      respondProblem(response, shuttingDown());
      return;
    }
    const generation = parts.pools.routeOf(path);
    if (generation !== null) {
      if (message.method === 'POST') return parts.generate(generation, message, response);
      const problem = refusal(405, 'method_not_allowed', `${path} takes POST.`);
      respondProblem(response, problem, {}, generation.api);
      return;
    }
    return passOn(parts, path, message, response);
  };
  return guardedServer(parts.log, tls, limits, route, (message, socket, head) =>
    passUpgrade(parts, message, socket, head),
  );
}

/** The operator's routes on a port of their own. */
export function adminServer(operate: OperatorRoute, log: Log): Server {
  return guardedServer(log, null, LISTEN_LIMITS, (message, response) => {
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
  const target = targetOf(parts, message.method ?? '', path, message);
  if (typeof target === 'string') parts.pass(target, message, response);
  else respondProblem(response, target);
}

/** Another protocol goes by the list as well: what it carries, nobody here can read. */
function passUpgrade(
  parts: GateParts,
  message: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const path = pathOf(message);
  const isWebSocket = message.headers.upgrade?.toLowerCase() === 'websocket';
  const target = parts.exchanges.draining
    ? shuttingDown()
    : targetOf(parts, 'WEBSOCKET', path, message);
  if (!isWebSocket || (typeof target !== 'string' && target.status === 404)) {
    refuseUpgrade(message, socket, head);
  } else if (typeof target === 'string') parts.upgrade(target, message, socket, head);
  else refuseOnSocket(socket, target, apiOfPath(path));
}

/** The backend that a request which generates nothing goes to, or why it goes nowhere. */
function targetOf(
  { pools, tenants, passthroughRoutes }: GateParts,
  method: string,
  path: string,
  { headers }: IncomingMessage,
): string | Problem {
  if (tenants.tenantOf(headers) === null) {
    return refusal(401, 'invalid_api_key', 'A valid API key is needed.');
  }
  const { spokesman } = pools;
  if (spokesman === null) return noBackend();
  const routes = [...spokesman.adapter.passthroughRoutes, ...passthroughRoutes];
  return mayPass(routes, method, path) ? spokesman.url : unknownPath(path);
}

function unknownPath(path: string): Problem {
  return refusal(404, 'not_found', `kvgate does not serve ${path.slice(0, 200)}.`);
}

function notFound(response: ServerResponse, path: string): void {
  respondProblem(response, unknownPath(path));
}
