/**
 * Routes that generate nothing, by allow-list, through http-proxy-3 (its only
 * importer) behind guards: left to itself it smuggles bodies of DELETE and
 * OPTIONS, forwards hop-by-hop headers, and leaves a client hanging when the
 * backend dies in the middle of an answer.
 */
import { randomUUID } from 'node:crypto';
import { Agent as HttpAgent, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { pipeline } from 'node:stream';
import httpProxy from 'http-proxy-3';
import type { PassthroughRoute } from '../../backend-adapters/adapter.ts';
import type { Exchanges } from './exchanges.ts';
import { endToEnd } from './hop-headers.ts';
import { Fault, problemOfFault } from './problem.ts';
import { bodyTooLarge } from './read-body.ts';
import { invite, respondProblem } from './respond.ts';
import type { Tenants } from './tenants.ts';

export interface PassthroughParts {
  readonly tenants: Tenants;
  readonly exchanges: Exchanges;
  readonly backendApiKey: string | null;
  readonly answerTimeoutMs: number;
  readonly writeStallTimeoutMs: number;
  readonly maxBodyBytes: number;
}

const MAX_SOCKETS = 64;

/** Whether the adapter lets this method and path through. HEAD goes where GET does. */
export function mayPass(
  routes: readonly PassthroughRoute[],
  method: string,
  path: string,
): boolean {
  const wanted = method === 'HEAD' ? 'GET' : method;
  return routes.some((route) => route.method === wanted && route.path === path);
}

export class Passthrough {
  readonly #parts: PassthroughParts;
  readonly #proxy: ReturnType<typeof httpProxy.createProxyServer>;
  /** A connection for each request: one that was kept may be closing just as it is used again. */
  readonly #http = new HttpAgent({ maxSockets: MAX_SOCKETS });
  readonly #https = new HttpsAgent({ maxSockets: MAX_SOCKETS });

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
