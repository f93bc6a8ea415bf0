/** Writes answers of our own: JSON, and problems in the caller's dialect. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { finished } from 'node:stream';
import type { Api } from '../../backend-adapters/adapter.ts';
import { apiOfPath, errorBody } from './api-errors.ts';
import type { Problem } from './problem.ts';

export type Headers = Readonly<Record<string, string>>;

/** How long a client that is still sending may take to notice its answer. */
const LINGER_MS = 2_000;
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
  writeText(response, status, text, contentType, headers);
  response.end();
}

function writeText(
  response: ServerResponse,
  status: number,
  text: string,
  contentType: string,
  headers: Headers,
): void {
  const body = Buffer.from(text);
  response.writeHead(status, {
    ...headers,
    'content-type': contentType,
    'content-length': body.length,
  });
  if (response.req.method !== 'HEAD') response.write(body);
}

/**
 * Retry headers as the official SDKs read them. Retry-After is at least the
 * predicted wait, so that whoever obeys it does not come too early.
 * @param random in [0, 1)
 */
function retryHeaders(retry: Problem['retry'], random: number): Headers {
  if (retry === 'unsaid') return {};
  if (retry === 'never') return { 'x-should-retry': 'false' };
  const spreadMs = retry.afterMs * (1 + JITTER * random);
  const waitMs = Math.ceil(Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, spreadMs)));
  return { 'retry-after': String(Math.ceil(waitMs / 1000)), 'retry-after-ms': String(waitMs) };
}

/** The path as it came, without its query. */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? '';
}

/**
 * Answers with a problem in the words of `api`; an answer that has begun is cut. While the request's
 * body is still coming, the connection closes with the answer.
 */
export function respondProblem(
  response: ServerResponse,
  problem: Problem,
  headers: Headers = {},
  api: Api = apiOfPath(pathOf(response.req)),
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const unread = hasBody(response.req) && !response.req.complete;
  const text = JSON.stringify(errorBody(problem, api));
  writeText(response, problem.status, text, 'application/json', {
    ...headers,
    ...retryHeaders(problem.retry, Math.random()),
    ...(unread ? { connection: 'close' } : {}),
  });
  if (unread) endOnceRead(response);
  else response.end();
}

/** Tells a client that asked whether to send its body to do so. */
export function invite(response: ServerResponse): void {
  const { headers } = response.req;
  if (headers.expect === undefined) return;
  response.writeContinue();
  delete headers.expect;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/**
 * Closes when the client has stopped sending or had time to read its answer: a
 * close under unread data is a reset, which would void the answer.
 */
function endOnceRead(response: ServerResponse): void {
  const { req: message } = response;
  const end = () => response.end();
  // Whoever waits to be invited sends nothing.
  if (message.headers.expect !== undefined) return void end();
  const impatience = setTimeout(end, LINGER_MS).unref();
  finished(message, { writable: false }, () => {
    clearTimeout(impatience);
    end();
  });
  message.resume();
}
