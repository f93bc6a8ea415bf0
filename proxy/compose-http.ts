/** Builds the HTTP rooms around the state rooms, and the servers that listen. */
import type { Server } from 'node:http';
import type { StateRooms } from './compose-state.ts';
import type { Config } from './config/config.ts';
import { packageVersion } from './config/version.ts';
import { Exchanges } from './http/exchanges.ts';
import { Passthrough } from './http/forward-passthrough.ts';
import type { GenerationParts } from './http/generation-parts.ts';
import { handleExplain } from './http/handle-explain.ts';
import { handleGeneration } from './http/handle-generation.ts';
import { LoopShare } from './http/loop-share.ts';
import { handleOperator, type OperatorParts } from './http/operator-routes.ts';
import { BufferBudget } from './http/read-body.ts';
import { Recalls } from './http/recalls.ts';
import { adminServer, dataServer } from './http/server.ts';
import { Settlement } from './http/settle.ts';
import { Tenants } from './http/tenants.ts';
import type { Upstream } from './http/upstream.ts';
import type { Log } from './state/log.ts';
import { backendOf } from './state/pools.ts';

export interface HttpRooms {
  readonly exchanges: Exchanges;
  readonly passthrough: Passthrough;
  readonly data: Server;
  /** null when the operator's routes are on the data port. */
  readonly admin: Server | null;
}

export function composeHttp(
  config: Config,
  log: Log,
  rooms: StateRooms,
  upstreamOf: (name: string) => Upstream,
): HttpRooms {
  const { server, engine } = config;
  const { metrics, learners, clock, pools } = rooms;
  const exchanges = new Exchanges();
  const tenants = new Tenants(server.apiKeys, server.maxPriority);
  const passthrough = new Passthrough({
    tenants,
    exchanges,
    backendApiKey: engine.backendApiKey,
    answerTimeoutMs: engine.firstByteTimeoutMs,
    writeStallTimeoutMs: engine.writeStallTimeoutMs,
    maxBodyBytes: server.maxBodyBytes,
  });
  const recalls = new Recalls();
  rooms.brake.actThrough(recalls);
  const generation: GenerationParts = {
    ...rooms,
    exchanges,
    recalls,
    tenants,
    log,
    upstreamOf: (instance) => upstreamOf(backendOf(instance)),
    budget: new BufferBudget(server.maxBufferedBytes),
    share: new LoopShare(),
    settlement: new Settlement({ metrics, clock, learners }),
    timeouts: engine,
    maxBodyBytes: server.maxBodyBytes,
    responseMetadata: server.responseMetadata,
  };
  const operator: OperatorParts = {
    ...rooms,
    exchanges,
    tenants,
    adminToken: server.adminToken,
    version: packageVersion(),
    explain: (message, response) => handleExplain(generation, message, response),
  };
  const operate = (path: string, ...exchange: Parameters<OperatorParts['explain']>) =>
    handleOperator(operator, path, ...exchange);
  const data = dataServer(
    {
      pools,
      tenants,
      exchanges,
      log,
      generate: (route, message, response) =>
        handleGeneration(generation, route, message, response),
      operate,
      pass: (target, message, response) => passthrough.forward(target, message, response),
      upgrade: (target, ...upgrade) => passthrough.upgrade(target, ...upgrade),
      passthroughRoutes: server.passthroughPaths.flatMap((path) => [
        { method: 'GET', path } as const,
        { method: 'WEBSOCKET', path } as const,
      ]),
    },
    server.tls,
    server.adminListen === null,
  );
  const admin = server.adminListen === null ? null : adminServer(operate, log);
  return { exchanges, passthrough, data, admin };
}
