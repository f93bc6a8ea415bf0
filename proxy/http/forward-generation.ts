/**
 * Sends an admitted request to its backend and relays the answer: whole events
 * with backpressure, not a byte changed. Cancellation and death pass through
 * in both directions; a broken stream ends in an error event and a destroyed
 * socket, never in a clean end that a client would read as success.
 */
import type { ServerResponse } from 'node:http';
import type { Adapter, Usage } from '../../backend-adapters/adapter.ts';
import { readBounded } from './engine-client.ts';
import { endToEnd } from './hop-headers.ts';
import { ClientGone, Fault, problemOfFault } from './problem.ts';
import { errorBody, type Headers } from './respond.ts';
import { SseFrames } from './sse-frames.ts';
import type { Upstream, UpstreamResponse } from './upstream.ts';
import { Watchdog } from './watchdog.ts';

export interface ForwardTimeouts {
  readonly firstByteTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly writeStallTimeoutMs: number;
}

export interface Forwarding {
  readonly upstream: Upstream;
  readonly adapter: Adapter;
  readonly path: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: Uint8Array;
  /** Added to the answer. */
  readonly disclosed: Headers;
  /** Makes a whole JSON answer into what the client gets; null: it goes as it came. */
  readonly transform: ((answer: Buffer) => Buffer) | null;
  readonly timeouts: ForwardTimeouts;
  /** Ends the exchange: its signal is passed to the backend, its reason says why. */
  readonly abort: AbortController;
  /** Called with all output tokens so far, whenever there are more. */
  readonly onTokens: (outputTokens: number) => void;
}

export type Ended =
  | { readonly how: 'complete'; readonly usage: Usage | null; readonly outputTokens: number }
  /** The engine refused the request itself; its answer was passed on. */
  | { readonly how: 'refused'; readonly status: number }
  /** Broken after the first byte had gone to the client. */
  | { readonly how: 'broken'; readonly why: string };

/** How long a last error event may take to leave before the socket is cut all the same. */
const FLUSH_TIMEOUT_MS = 5_000;
const MAX_ERROR_BYTES = 64 * 1024;
/** Answers up to this size are read for their usage. */
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

/**
 * Relays one exchange.
 * @throws Fault when the backend fails before a byte went to the client, or the
 *   abort's reason when the exchange was cancelled; nothing was answered then
 *   unless `response.headersSent`
 */
export async function forwardGeneration(
  forwarding: Forwarding,
  response: ServerResponse,
): Promise<Ended> {
  const answer = await open(forwarding);
  if (answer.status >= 400) return relayRefusal(forwarding, answer, response);
  const type = [answer.headers['content-type'] ?? ''].flat()[0] ?? '';
  return type.startsWith('text/event-stream')
    ? relayStream(forwarding, answer, response)
    : relayAnswer(forwarding, answer, response);
}

async function open(forwarding: Forwarding): Promise<UpstreamResponse> {
  const { abort, timeouts } = forwarding;
  const patience = new Watchdog(timeouts.firstByteTimeoutMs, () =>
    abort.abort(new Fault('backend_timeout', 'no first byte in time')),
  );
  try {
    return await forwarding.upstream.send({
      method: 'POST',
      path: forwarding.path,
      headers: forwarding.headers,
      body: forwarding.body,
      signal: abort.signal,
    });
  } finally {
    patience.stop();
  }
}

/** The caller's own mistakes pass as they are; anything else is a fault of the backend. */
async function relayRefusal(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const body = await readBounded(answer.body, MAX_ERROR_BYTES);
  const text = body.toString('utf8');
  const kind = forwarding.adapter.classifyError(answer.status, text);
  if (kind === 'loading') throw new Fault('backend_loading', 'the engine is loading');
  if (kind === 'busy') throw new Fault('backend_busy', 'the engine is busy');
  if (kind !== 'client') {
    throw new Fault('backend_failed', `${kind}: status ${answer.status}: ${text.slice(0, 200)}`);
  }
  response.writeHead(answer.status, {
    ...endToEnd(answer.headers, REPLACED),
    ...forwarding.disclosed,
    'content-length': body.length,
  });
  response.end(body);
  return { how: 'refused', status: answer.status };
}

const REPLACED: ReadonlySet<string> = new Set(['content-length']);

async function relayStream(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, timeouts, abort } = forwarding;
  const frames = new SseFrames();
  const seen = { ended: false, failed: false, outputTokens: 0, usage: null as Usage | null };
  response.writeHead(answer.status, { ...endToEnd(answer.headers), ...forwarding.disclosed });
  response.flushHeaders();
  const idle = new Watchdog(timeouts.streamIdleTimeoutMs, () =>
    abort.abort(new Fault('backend_timeout', 'the stream went silent')),
  );

  try {
    for await (const chunk of answer.body) {
      idle.feed();
      const { bytes, data } = frames.push(chunk);
      for (const text of data) {
        const event = adapter.streamEvent(text);
        seen.ended ||= event.isEnd;
        seen.failed ||= event.error !== null;
        seen.outputTokens += event.outputTokens;
        seen.usage = event.usage ?? seen.usage;
      }
      if (data.length > 0) forwarding.onTokens(seen.outputTokens);
      await writeOut(response, bytes, timeouts.writeStallTimeoutMs, abort);
      idle.feed();
    }
  } catch (error) {
    return breakOff(response, error, abort);
  } finally {
    idle.stop();
  }
  if (seen.failed) {
    return endBroken(response, null, 'the engine reported an error in its stream');
  }
  if (!seen.ended) {
    const fault = new Fault('backend_failed', 'the stream ended before its end');
    return endBroken(response, fault, fault.message);
  }
  response.end(frames.rest);
  return { how: 'complete', usage: seen.usage, outputTokens: seen.outputTokens };
}

async function relayAnswer(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, timeouts, abort, transform, disclosed } = forwarding;
  const kept: Buffer[] = [];
  let bytes = 0;
  const head = () => {
    response.writeHead(answer.status, { ...endToEnd(answer.headers), ...disclosed });
  };
  const whole =
    transform !== null && Number(answer.headers['content-length'] ?? 0) <= MAX_ANSWER_BYTES;
  if (!whole) head();
  try {
    for await (const chunk of answer.body) {
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES) kept.push(chunk);
      else if (whole) throw new Fault('backend_failed', 'the answer is too large');
      if (!whole) await writeOut(response, chunk, timeouts.writeStallTimeoutMs, abort);
    }
  } catch (error) {
    return breakOff(response, error, abort);
  }
  const body = Buffer.concat(kept);
  if (whole) {
    const changed = transform(body);
    response.writeHead(answer.status, {
      ...endToEnd(answer.headers, REPLACED),
      ...disclosed,
      'content-length': changed.length,
    });
    response.end(changed);
  } else {
    response.end();
  }
  const usage = bytes <= MAX_ANSWER_BYTES ? adapter.usage(parsed(body)) : null;
  const outputTokens = usage?.completionTokens ?? 0;
  if (outputTokens > 0) forwarding.onTokens(outputTokens);
  return { how: 'complete', usage, outputTokens };
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}

/** Writes with backpressure; a client that stops reading ends the exchange. */
async function writeOut(
  response: ServerResponse,
  bytes: Buffer,
  stallTimeoutMs: number,
  abort: AbortController,
): Promise<void> {
  if (bytes.length === 0 || response.write(bytes)) return;
  abort.signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const done = () => {
      stalled.stop();
      response.off('drain', drained);
      abort.signal.removeEventListener('abort', aborted);
    };
    const drained = () => {
      done();
      resolve();
    };
    const aborted = () => {
      done();
      reject(abort.signal.reason);
    };
    const stalled = new Watchdog(stallTimeoutMs, () =>
      abort.abort(new ClientGone('stopped reading')),
    );
    response.once('drain', drained);
    abort.signal.addEventListener('abort', aborted, { once: true });
  });
}

/** After a byte went out there is no status left to answer with: say it in the stream, and cut. */
function breakOff(response: ServerResponse, error: unknown, abort: AbortController): Ended {
  const cause: unknown = abort.signal.aborted ? abort.signal.reason : error;
  if (cause instanceof ClientGone) {
    response.destroy();
    throw cause;
  }
  const fault =
    cause instanceof Fault
      ? cause
      : new Fault('backend_failed', 'the backend broke off its answer', cause);
  if (!response.headersSent) throw fault;
  return endBroken(response, fault, fault.message);
}

/** @param fault told in a last event; null where the engine has told its own */
function endBroken(response: ServerResponse, fault: Fault | null, why: string): Ended {
  const isStream = String(response.getHeader('content-type')).startsWith('text/event-stream');
  if (!isStream) {
    response.destroy();
    return { how: 'broken', why };
  }
  const frame =
    fault === null ? '' : `data: ${JSON.stringify(errorBody(problemOfFault(fault)))}\n\n`;
  const impatience = new Watchdog(FLUSH_TIMEOUT_MS, () => response.destroy());
  response.write(frame, () => {
    impatience.stop();
    response.destroy();
  });
  return { how: 'broken', why };
}
