/** Requests that are refused for their HTTP alone, before any route sees them. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Api } from '../../backend-adapters/adapter.ts';
import { errorBody } from './api-errors.ts';
import { type Problem, refusal } from './problem.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);

/** For an `Upgrade` header outside a real upgrade: whoever sends it hopes for another reading of it. */
const STRAY_UPGRADE = refusal(426, 'upgrade_not_supported', 'Upgrade is not supported here.');

/**
 * What HTTP allows but nobody honest sends: each has been a way past some proxy.
 * @param upgrades whether Node's parser took the request for an upgrade
 */
export function malformed(message: IncomingMessage, upgrades = false): Problem | null {
  const { headers, headersDistinct, method = '', url = '' } = message;
  if (!METHODS.has(method)) return refusal(405, 'method_not_allowed', 'Use GET, HEAD or POST.');
  if (!url.startsWith('/')) return refusal(400, 'invalid_request_error', 'Use a path as target.');
  if ((headersDistinct.host ?? []).length !== 1) {
    return refusal(400, 'invalid_request_error', 'Send exactly one Host header.');
  }
  if (!upgrades && headers.upgrade !== undefined) return STRAY_UPGRADE;
  const hasBody =
    headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
  if (method !== 'POST' && hasBody && headers['content-length'] !== '0') {
    return refusal(400, 'invalid_request_error', `A ${method} request takes no body.`);
  }
  return null;
}

export const PIPELINED = refusal(400, 'pipelining', 'Send one request at a time on a connection.');

/** By the codes of Node's parser and timers. */
const UNPARSED: ReadonlyMap<string, Problem> = new Map([
  ['HPE_HEADER_OVERFLOW', refusal(431, 'headers_too_large', 'The headers are too large.')],
  [
    'HPE_CHUNK_EXTENSIONS_OVERFLOW',
    refusal(413, 'request_too_large', 'The chunk extensions are too large.'),
  ],
  [
    'ERR_HTTP_REQUEST_TIMEOUT',
    refusal(408, 'request_timeout', 'The request did not arrive in time.'),
  ],
]);

const BROKEN = refusal(400, 'invalid_request_error', 'This is not HTTP as it should be.');

/**
 * Answers bytes that are no request, or came too slowly, and cuts the
 * connection. In the middle of an answer there is nothing to be said: any byte
 * would be taken as part of it.
 */
export function refuseUnparsed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  underWay: ServerResponse | undefined,
): void {
  if (underWay?.headersSent) socket.destroy();
  else refuseOnSocket(socket, UNPARSED.get(error.code ?? '') ?? BROKEN, 'openai');
}

/** Answers where there is no response object to answer with, and closes the connection. */
export function refuseOnSocket(socket: Duplex, problem: Problem, api: Api): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status } = problem;
  const body = JSON.stringify(errorBody(problem, api));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(problem.retry === 'never' ? ['x-should-retry: false'] : []),
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
