/** Requests that are refused for their HTTP alone, before any route sees them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Problem, refusal } from './problem.ts';
import { errorBody } from './respond.ts';

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST']);

/** What HTTP allows but nobody honest sends: each has been a way past some proxy. */
export function malformed(message: IncomingMessage): Problem | null {
  const { headers, headersDistinct, method = '', url = '' } = message;
  if (!METHODS.has(method)) return refusal(405, 'method_not_allowed', 'Use GET, HEAD or POST.');
  if (!url.startsWith('/')) return refusal(400, 'invalid_request_error', 'Use a path as target.');
  if ((headersDistinct.host ?? []).length !== 1) {
    return refusal(400, 'invalid_request_error', 'Send exactly one Host header.');
  }
  if (headers.upgrade !== undefined) {
    return refusal(426, 'upgrade_not_supported', 'Upgrade is not supported here.');
  }
  const hasBody =
    headers['transfer-encoding'] !== undefined || headers['content-length'] !== undefined;
  if (method !== 'POST' && hasBody && headers['content-length'] !== '0') {
    return refusal(400, 'invalid_request_error', `A ${method} request takes no body.`);
  }
  return null;
}

export const PIPELINED = refusal(400, 'pipelining', 'Send one request at a time on a connection.');

interface RawRefusal {
  readonly statusLine: string;
  readonly problem: Problem;
}

const BROKEN: RawRefusal = {
  statusLine: '400 Bad Request',
  problem: refusal(400, 'invalid_request_error', 'This is not HTTP as it should be.'),
};

/** By the codes of Node's parser and timers. */
const UNPARSED: ReadonlyMap<string, RawRefusal> = new Map([
  [
    'HPE_HEADER_OVERFLOW',
    {
      statusLine: '431 Request Header Fields Too Large',
      problem: refusal(431, 'headers_too_large', 'The headers are too large.'),
    },
  ],
  [
    'HPE_CHUNK_EXTENSIONS_OVERFLOW',
    {
      statusLine: '413 Payload Too Large',
      problem: refusal(413, 'request_too_large', 'The chunk extensions are too large.'),
    },
  ],
  [
    'ERR_HTTP_REQUEST_TIMEOUT',
    {
      statusLine: '408 Request Timeout',
      problem: refusal(408, 'request_timeout', 'The request did not arrive in time.'),
    },
  ],
]);

/**
 * Answers bytes that are no request, or came too slowly, and cuts the
 * connection. In the middle of an answer there is nothing to be said: any byte
 * would be taken as part of it.
 */
export function refuseUnparsed(
  error: NodeJS.ErrnoException,
  socket: Socket,
  underWay: ServerResponse | undefined,
): void {
  if (socket.writable && !underWay?.headersSent) {
    const { statusLine, problem } = UNPARSED.get(error.code ?? '') ?? BROKEN;
    const body = JSON.stringify(errorBody(problem));
    socket.write(
      `HTTP/1.1 ${statusLine}\r\ncontent-type: application/json\r\n` +
        `content-length: ${Buffer.byteLength(body)}\r\nx-should-retry: false\r\n` +
        `connection: close\r\n\r\n${body}`,
    );
    socket.destroySoon();
    return;
  }
  socket.destroy();
}
