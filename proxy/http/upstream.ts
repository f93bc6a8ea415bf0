/**
 * Connections to one backend (the only importer of undici). undici's own
 * 300 s timeouts are off: who waits for tokens decides how long.
 */
import { Pool } from 'undici';
import { Fault } from './fault.ts';
import { sentBody, type UpstreamBody } from './upstream-body.ts';

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query, below the backend's own prefix. */
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: UpstreamBody;
  readonly signal: AbortSignal;
  /** Whether the connection is not used again. */
  readonly isLast?: boolean;
}

export interface UpstreamResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Must be read to its end or destroyed. */
  readonly body: AsyncIterable<Buffer> & { destroy(error?: Error): unknown };
}

/** Ends before uvicorn's 5 s keep-alive, so that no request meets a closing socket. */
const KEEP_ALIVE_MS = 4_000;

/** Errors after which the backend can't have seen the request. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_INVALID_ARG',
]);

export class Upstream {
  readonly #pool: Pool;
  readonly #prefix: string;
  readonly #authorization: string | null;

  /**
   * @param url origin and optional path prefix
   * @param apiKey sent as a bearer token in place of what the client sent; null leaves it
   */
  constructor(url: string, apiKey: string | null, connectTimeoutMs: number) {
    const { origin, pathname } = new URL(url);
    this.#prefix = pathname.replace(/\/$/, '');
    this.#authorization = apiKey === null ? null : `Bearer ${apiKey}`;
    this.#pool = new Pool(origin, {
      connect: { timeout: connectTimeoutMs },
      headersTimeout: 0,
      bodyTimeout: 0,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
  }

  /**
   * Sends a request and returns with the response's head.
   * @throws Fault `backend_failed` when it can't be sent or no head arrives; the
   *   signal's reason when it aborts
   */
  async send(request: UpstreamRequest): Promise<UpstreamResponse> {
    const sent = sentBody(request.body);
    const headers = {
      ...request.headers,
      ...sent.headers,
      ...(this.#authorization === null ? {} : { authorization: this.#authorization }),
    };
    try {
      const response = await this.#pool.request({
        method: request.method,
        path: this.#prefix + request.path,
        headers,
        body: sent.body,
        signal: request.signal,
        reset: request.isLast ?? false,
      });
      // Whoever reads the body learns of its errors by reading.
      response.body.on('error', () => {});
      return { status: response.statusCode, headers: response.headers, body: response.body };
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      throw new Fault('backend_failed', 'no answer from the backend', {
        cause: error,
        engineIsFree: neverSent(error),
      });
    }
  }

  /** Breaks what is still open. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

/** Whether the backend can't have received the request whose sending failed so. */
function neverSent(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
  return typeof code === 'string' && NEVER_SENT.has(code);
}
