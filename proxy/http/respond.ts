/** Writes answers of our own: JSON, and problems in the caller's dialect. */
import type { ServerResponse } from 'node:http';
import type { Problem } from './problem.ts';

export type Headers = Readonly<Record<string, string>>;

const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Spreads clients that were refused together, so that they do not come back together. */
const JITTER = 0.2;

export function respondJson(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Headers = {},
): void {
  respondText(response, status, JSON.stringify(value), 'application/json', headers);
}

export function respondText(
  response: ServerResponse,
  status: number,
  text: string,
  contentType: string,
  headers: Headers = {},
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    ...headers,
    'content-type': contentType,
    'content-length': body.length,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

/** The error body in OpenAI's dialect. */
export function errorBody(problem: Problem): { error: Record<string, string | null> } {
  const { message, param, code } = problem;
  return { error: { message, type: errorType(problem.status), param, code } };
}

function errorType(status: number): string {
  if (status === 429) return 'rate_limit_error';
  if (status === 401) return 'authentication_error';
  if (status === 403) return 'permission_error';
  return status >= 500 ? 'server_error' : 'invalid_request_error';
}

/**
 * Retry headers as the official SDKs read them. Retry-After is at least the
 * predicted wait, so that whoever obeys it does not come too early.
 * @param random in [0, 1)
 */
export function retryHeaders(retry: Problem['retry'], random: number): Headers {
  if (retry === 'unsaid') return {};
  if (retry === 'never') return { 'x-should-retry': 'false' };
  const spreadMs = retry.afterMs * (1 + JITTER * random);
  const waitMs = Math.ceil(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, spreadMs)));
  return { 'retry-after': String(Math.ceil(waitMs / 1000)), 'retry-after-ms': String(waitMs) };
}

export function respondProblem(
  response: ServerResponse,
  problem: Problem,
  headers: Headers = {},
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const retry = retryHeaders(problem.retry, Math.random());
  respondJson(response, problem.status, errorBody(problem), { ...headers, ...retry });
}
