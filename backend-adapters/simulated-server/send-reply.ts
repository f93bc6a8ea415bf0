/** Sends an answer that is complete at once. */
import type { ServerResponse } from 'node:http';
import type { Reply } from './dialect.ts';

/** Text, JSON, or nothing but a status. */
export function sendReply(response: ServerResponse, reply: Reply): void {
  const isText = typeof reply.body === 'string';
  const body = isText ? String(reply.body) : JSON.stringify(reply.body);
  const payload = reply.body === null ? '' : body;
  response.writeHead(reply.status, {
    'content-type': isText ? 'text/plain; version=0.0.4' : 'application/json',
    'content-length': Buffer.byteLength(payload),
    ...reply.headers,
  });
  response.end(payload);
}
