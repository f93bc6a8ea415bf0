/**
 * Routes that generate nothing, by allow-list, through http-proxy-3 (its only
 * importer) behind guards: left to itself it smuggles bodies of DELETE and
 * OPTIONS, forwards hop-by-hop headers, and leaves a client hanging when the
 * backend dies in the middle of an answer.
 */
import { randomUUID } from 'node:crypto';
import {
  type ClientRequest,
  Agent as HttpAgent,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { type Duplex, pipeline } from 'node:stream';
import httpProxy from 'http-proxy-3';
import type { PassthroughRoute } from '../../backend-adapters/adapter.ts';
import type { Exchanges } from './exchanges.ts';
import { Fault } from './fault.ts';
import { endToEnd } from './hop-headers.ts';
import { refuseOnSocket } from './malformed.ts';
import { problemOfFault, tooManyUpgrades } from './problem.ts';
import { bodyTooLarge } from './read-body.ts';
import { invite, respondProblem } from './respond.ts';
import type { Tenants } from './tenants.ts';
import { Watchdog } from './watchdog.ts';

export interface PassthroughParts {
  readonly tenants: Tenants;
  readonly exchanges: Exchanges;
  readonly backendApiKey: string | null;
  readonly answerTimeoutMs: number;
  readonly writeStallTimeoutMs: number;
  readonly maxBodyBytes: number;
}

const MAX_SOCKETS = 64;

/** Plain names only: nothing that another server might read as the way to another place. */
const BELOW = /^(?!.*\/\/)(?!(?:.*\/)?\.\.?(?:\/|$))[A-Za-z0-9._~/-]+$/;

/**
 * Whether this method and path may pass. HEAD goes where GET does, and nothing
 * with a body goes everywhere below a path.
 */
export function mayPass(
  routes: readonly PassthroughRoute[],
  method: string,
  path: string,
): boolean {
  const wanted = method === 'HEAD' ? 'GET' : method;
  return routes.some((route) => {
    if (route.method !== wanted) return false;
    if (!route.path.endsWith('/*')) return route.path === path;
    const parent = route.path.slice(0, -1);
    const isBelow = path.startsWith(parent) && BELOW.test(path.slice(parent.length));
    return isBelow && wanted !== 'POST';
  });
}

export class Passthrough {
  readonly #parts: PassthroughParts;
  readonly #proxy: ReturnType<typeof httpProxy.createProxyServer>;
  /** A connection for each request: one that was kept may be closing just as it is used again. */
  readonly #http = new HttpAgent({ maxSockets: MAX_SOCKETS });
  readonly #https = new HttpsAgent({ maxSockets: MAX_SOCKETS });
  #upgraded = 0;

  constructor(parts: PassthroughParts) {
    this.#parts = parts;
    this.#proxy = httpProxy.createProxyServer({ changeOrigin: true, selfHandleResponse: true });
    this.#proxy.on('proxyRes', (answer, _message, response) => {
      response.writeHead(answer.statusCode ?? 502, endToEnd(answer.headers));
      // An answer that breaks off must not look complete, nor leave the client waiting:
      // the pipeline destroys the one end with the other.
      pipeline(answer, response, () => {});
    });
  }

  /** Relays one request to the backend at `target`. */
  forward(target: string, message: IncomingMessage, response: ServerResponse): void {
    const { exchanges, tenants, answerTimeoutMs, maxBodyBytes } = this.#parts;
    if (Number(message.headers['content-length'] ?? 0) > maxBodyBytes) {
      respondProblem(response, bodyTooLarge(maxBodyBytes));
      return;
    }
    const leave = exchanges.add({
      id: randomUUID(),
      tenant: tenants.tenantOf(message.headers) ?? '',
      cancel: () => response.destroy(),
    });
    response.once('close', leave);
    invite(response);
    this.#bound(message, response);
    // The library copies what it finds in the message, so what must not travel is taken out of it.
    message.headers = this.#forwardedHeaders(message);
    const agent = target.startsWith('https:') ? this.#https : this.#http;
    const askedAtMs = performance.now();
    const failed = (error: unknown): void => {
      if (response.destroyed) return;
      // The library reports a timeout as just another lost connection.
      const timedOut = performance.now() - askedAtMs >= answerTimeoutMs;
      const code = timedOut ? 'backend_timeout' : 'backend_failed';
      respondProblem(response, problemOfFault(new Fault(code, 'no answer', { cause: error })));
    };
    const options = { target, proxyTimeout: answerTimeoutMs, agent };
    this.#proxy.web(message, response, options, failed);
  }

  /** Joins a client that asks for a WebSocket with the backend at `target`, until either leaves. */
  upgrade(target: string, message: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { exchanges, tenants, answerTimeoutMs } = this.#parts;
    if (this.#upgraded >= MAX_SOCKETS) {
      refuseOnSocket(socket, tooManyUpgrades(), 'openai');
      return;
    }
    this.#upgraded += 1;
    const leave = exchanges.add({
      id: randomUUID(),
      tenant: tenants.tenantOf(message.headers) ?? '',
      cancel: () => socket.destroy(),
    });
    // Until the backend has agreed, the library would leave the one side open when the other goes.
    const impatience = new Watchdog(answerTimeoutMs, () => socket.destroy());
    socket.once('close', () => {
      impatience.pause();
      this.#upgraded -= 1;
      leave();
    });
    message.headers = {
      ...this.#forwardedHeaders(message),
      connection: 'Upgrade',
      upgrade: 'websocket',
    };
    const agent = target.startsWith('https:') ? this.#https : this.#http;
    const onRequest = (request: ClientRequest, ours: IncomingMessage): void => {
      if (ours !== message) return;
      this.#proxy.off('proxyReqWs', onRequest);
      request.once('upgrade', () => impatience.pause());
      socket.once('close', () => request.destroy());
    };
    this.#proxy.on('proxyReqWs', onRequest);
    this.#proxy.ws(message, socket, head, { target, agent }, () => socket.destroy());
  }

  close(): void {
    this.#http.destroy();
    this.#https.destroy();
    this.#proxy.close();
  }

  /** Cuts off a body that turns out too large, and a client that does not take its answer. */
  #bound(message: IncomingMessage, response: ServerResponse): void {
    const { maxBodyBytes, writeStallTimeoutMs } = this.#parts;
    let bytes = 0;
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > maxBodyBytes) response.destroy();
    });
    response.setTimeout(writeStallTimeoutMs, () => {
      if (message.socket.writableLength > 0) response.destroy();
    });
  }

  #forwardedHeaders({ headers }: IncomingMessage): Record<string, string | string[]> {
    const { tenants, backendApiKey } = this.#parts;
    const kept = endToEnd(headers);
    // A key that kvgate itself verified is not the backend's business.
    if (tenants.verifies) {
      delete kept.authorization;
      delete kept['x-api-key'];
    }
    return backendApiKey === null ? kept : { ...kept, authorization: `Bearer ${backendApiKey}` };
  }
}
