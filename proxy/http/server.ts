/**
 * The routes of the listening servers, and nothing that could slip past
 * admission: a path is compared as it came, byte for byte, and what no list
 * names is refused, never forwarded.
 */
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Log } from '../state/log.ts';
import type { Pools } from '../state/pools.ts';
import type { Exchanges } from './exchanges.ts';
import { mayPass } from './forward-passthrough.ts';
import { guardedServer, LISTEN_LIMITS, pathOf, type Route, type Tls } from './guarded-server.ts';
import { isOpenPath, isOperatorPath } from './operator-routes.ts';
import { noBackend, refusal, shuttingDown } from './problem.ts';
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
  return guardedServer(parts.log, tls, limits, (message, response) => {
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
  return guardedServer(log, null, LISTEN_LIMITS, (message, response) => {
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

function notFound(response: ServerResponse, path: string): void {
  const shown = path.slice(0, 200);
  respondProblem(response, refusal(404, 'not_found', `kvgate does not serve ${shown}.`));
}
