/**
 * Routes that generate nothing, by allow-list, through http-proxy-3 (its only
 * importer) behind guards: it smuggles bodies of DELETE and OPTIONS, forwards
 * hop-by-hop headers, and leaves a client hanging when the backend dies in the
 * middle of an answer.
 */
import { Agent as HttpAgent, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import httpProxy from 'http-proxy-3';
import type { PassthroughRoute } from '../../backend-adapters/adapter.ts';
import { endToEnd } from './hop-headers.ts';
import { Fault, problemOfFault } from './problem.ts';
import { respondProblem } from './respond.ts';

export interface PassthroughOptions {
  readonly backendApiKey: string | null;
  readonly answerTimeoutMs: number;
  /** kvgate verified the client's key itself: it is not the backend's business. */
  readonly dropCredentials: boolean;
}

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
  readonly #proxy: ReturnType<typeof httpProxy.createProxyServer>;
  readonly #agents: readonly (HttpAgent | HttpsAgent)[];
  readonly #options: PassthroughOptions;

  constructor(options: PassthroughOptions) {
    this.#options = options;
    const keepAlive = { keepAlive: true, maxSockets: 64, timeout: 4_000 };
    this.#agents = [new HttpAgent(keepAlive), new HttpsAgent(keepAlive)];
    this.#proxy = httpProxy.createProxyServer({ xfwd: false, changeOrigin: true });
    this.#proxy.on('proxyRes', (answer, message, response) => {
      for (const name of Object.keys(answer.headers)) {
        if (!(name in endToEnd(answer.headers))) delete answer.headers[name];
      }
      // An answer that breaks off must not look complete, nor leave the client waiting.
      answer.once('close', () => {
        if (!answer.complete) response.destroy();
      });
      void message;
    });
  }

  /** Relays one request to the backend at `target`. */
  forward(target: string, message: IncomingMessage, response: ServerResponse): void {
    const { backendApiKey, answerTimeoutMs, dropCredentials } = this.#options;
    const [http, https] = this.#agents;
    // The library copies what it finds in the message, so what must not travel is taken out of it.
    const headers = endToEnd(message.headers, new Set(['expect']));
    if (dropCredentials) {
      delete headers.authorization;
      delete headers['x-api-key'];
    }
    if (backendApiKey !== null) headers.authorization = `Bearer ${backendApiKey}`;
    message.headers = headers;
    this.#proxy.web(
      message,
      response,
      { target, proxyTimeout: answerTimeoutMs, agent: target.startsWith('https:') ? https : http },
      (error) => {
        if (response.destroyed) return;
        respondProblem(response, problemOfFault(new Fault('backend_failed', 'no answer', error)));
      },
    );
  }

  close(): void {
    for (const agent of this.#agents) agent.destroy();
    this.#proxy.close();
  }
}
