/**
 * Relays an answer that is no event stream: as it comes, or, where something is
 * to be added to it, as a whole. One that breaks off destroys the socket.
 */
import type { ServerResponse } from 'node:http';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { whyBroken } from './problem.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { endAnswer, writeOut } from './write-out.ts';

/** Longer answers are neither read for their usage nor changed. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;
const REPLACED: ReadonlySet<string> = new Set(['content-length']);
const NOTHING = Buffer.alloc(0);

/** @throws Fault or ClientGone when it broke; nothing was answered then unless `response.headersSent` */
export async function relayAnswer(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, timeouts, abort, transform, onTokens } = forwarding;
  const stallTimeoutMs = timeouts.writeStallTimeoutMs;
  const kept: Buffer[] = [];
  let bytes = 0;
  if (transform === null) sendHead(forwarding, answer, response);
  try {
    for await (const chunk of chunksOf(answer.body, timeouts.streamIdleTimeoutMs, abort)) {
      bytes += chunk.length;
      const due = response.headersSent ? [chunk] : [...kept, chunk];
      if (bytes <= MAX_KEPT_BYTES) kept.push(chunk);
      else kept.length = 0;
      if (transform !== null && bytes <= MAX_KEPT_BYTES) continue;
      if (!response.headersSent) sendHead(forwarding, answer, response);
      for (const piece of due) await writeOut(response, piece, stallTimeoutMs, abort);
    }
  } catch (error) {
    if (response.headersSent) response.destroy();
    throw whyBroken(error, abort.signal);
  }
  const whole = Buffer.concat(kept);
  if (response.headersSent || transform === null) endAnswer(response, NOTHING, stallTimeoutMs);
  else sendChanged(forwarding, answer, transform(whole), response);

  const usage = bytes > MAX_KEPT_BYTES ? null : adapter.usage(parsed(whole));
  const outputTokens = usage?.completionTokens ?? 0;
  if (outputTokens > 0) onTokens(outputTokens);
  return { how: 'complete', usage, outputTokens };
}

function sendHead(
  { disclosed }: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): void {
  response.writeHead(answer.status, { ...endToEnd(answer.headers), ...disclosed });
}

function sendChanged(
  { disclosed, timeouts }: Forwarding,
  answer: UpstreamResponse,
  changed: Buffer,
  response: ServerResponse,
): void {
  response.writeHead(answer.status, {
    ...endToEnd(answer.headers, REPLACED),
    ...disclosed,
    'content-length': changed.length,
  });
  endAnswer(response, changed, timeouts.writeStallTimeoutMs);
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
