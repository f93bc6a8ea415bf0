/**
 * Relays an answer that is no event stream: as it comes, or, where something is
 * to be added to it, as a whole. One that breaks off destroys the socket.
 */
import type { ServerResponse } from 'node:http';
import { BodyBuffer } from './body-buffer.ts';
import { engineFault } from './engine-fault.ts';
import { whyBroken } from './fault.ts';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { type ReadAnswer, readAnswer } from './read-answer.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { endAnswer, writeOut } from './write-out.ts';

/** Longer answers are neither read for their usage nor changed. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;
const REPLACED: ReadonlySet<string> = new Set(['content-length']);
const NOTHING = Buffer.alloc(0);
const UNREAD: ReadAnswer = { value: null, object: null };

/** @throws Fault or ClientGone when it broke; nothing was answered then unless `response.headersSent` */
export async function relayAnswer(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, route, timeouts, abort, transform, onTokens, share } = forwarding;
  const isHeld = transform !== null || adapter.hiddenFailure !== undefined;
  const stallTimeoutMs = timeouts.writeStallTimeoutMs;
  let kept = new BodyBuffer(MAX_KEPT_BYTES);
  let bytes = 0;
  abort.signal.throwIfAborted();
  if (!isHeld) sendHead(forwarding, answer, response);
  try {
    for await (const chunk of chunksOf(answer.body, timeouts.streamIdleTimeoutMs, abort)) {
      bytes += chunk.length;
      const due = response.headersSent ? [chunk] : [kept.whole(), chunk];
      if (bytes <= MAX_KEPT_BYTES) kept.append(chunk);
      else kept = new BodyBuffer(0);
      if (isHeld && bytes <= MAX_KEPT_BYTES) continue;
      abort.signal.throwIfAborted();
      if (!response.headersSent) sendHead(forwarding, answer, response);
      for (const piece of due) await writeOut(response, piece, stallTimeoutMs, abort);
    }
  } catch (error) {
    if (response.headersSent) response.destroy();
    throw whyBroken(error, abort.signal);
  }
  const whole = kept.whole();
  const read = bytes > MAX_KEPT_BYTES ? UNREAD : await readAnswer(whole, share);
  const { value } = read;
  const failure = response.headersSent ? null : (adapter.hiddenFailure?.(value, route) ?? null);
  if (failure !== null) throw engineFault(failure, 'an answer that says 200 and holds nothing');
  if (response.headersSent) endAnswer(response, NOTHING, stallTimeoutMs);
  else sendWhole(forwarding, answer, transform === null ? whole : transform(whole, read), response);

  const usage = adapter.usage(value, route);
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

function sendWhole(
  { disclosed, timeouts }: Forwarding,
  answer: UpstreamResponse,
  body: Buffer,
  response: ServerResponse,
): void {
  response.writeHead(answer.status, {
    ...endToEnd(answer.headers, REPLACED),
    ...disclosed,
    'content-length': body.length,
  });
  endAnswer(response, body, timeouts.writeStallTimeoutMs);
}
