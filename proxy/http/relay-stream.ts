/**
 * Relays a stream of events: whole ones, not a byte changed, with backpressure.
 * A broken stream ends in one error event and a destroyed socket, never in a
 * clean end that a client would read as success.
 */
import type { ServerResponse } from 'node:http';
import type { Adapter, Usage } from '../../backend-adapters/adapter.ts';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { ClientGone, Fault, problemOfFault, whyBroken } from './problem.ts';
import { errorBody } from './respond.ts';
import { SseFrames } from './sse-frames.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { cutShort, endAnswer, writeOut } from './write-out.ts';

/** An error event may follow what the backend announced. */
const REPLACED: ReadonlySet<string> = new Set(['content-length']);

/** What the events seen so far add up to. */
class Seen {
  readonly #adapter: Adapter;
  ended = false;
  /** The engine's own error event; it was passed on like any other. */
  error: string | null = null;
  outputTokens = 0;
  usage: Usage | null = null;

  constructor(adapter: Adapter) {
    this.#adapter = adapter;
  }

  add(data: string): void {
    const event = this.#adapter.streamEvent(data);
    this.ended ||= event.isEnd;
    this.error ??= event.error;
    this.outputTokens += event.outputTokens;
    this.usage = event.usage ?? this.usage;
  }
}

/** @throws Fault or ClientGone when the stream broke; the client was told by then */
export async function relayStream(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, timeouts, abort, disclosed, onTokens } = forwarding;
  const frames = new SseFrames();
  const seen = new Seen(adapter);
  response.writeHead(answer.status, { ...endToEnd(answer.headers, REPLACED), ...disclosed });
  response.flushHeaders();
  try {
    for await (const chunk of chunksOf(answer.body, timeouts.streamIdleTimeoutMs, abort)) {
      const { bytes, data } = frames.push(chunk);
      for (const text of data) seen.add(text);
      if (data.length > 0) onTokens(seen.outputTokens);
      await writeOut(response, bytes, timeouts.writeStallTimeoutMs, abort);
    }
    if (seen.error !== null) throw engineError(seen.error);
    if (!seen.ended) throw unfinished();
  } catch (error) {
    const why = whyBroken(error, abort.signal);
    breakOff(response, why, seen.error !== null);
    throw why;
  }
  endAnswer(response, frames.rest, timeouts.writeStallTimeoutMs);
  return { how: 'complete', usage: seen.usage, outputTokens: seen.outputTokens };
}

function engineError(text: string): Fault {
  const message = `the engine reported an error in its stream: ${text.slice(0, 200)}`;
  return new Fault('backend_failed', message, { engineIsFree: true });
}

function unfinished(): Fault {
  return new Fault('backend_failed', 'the stream ended before its end', { engineIsFree: true });
}

/** After a byte went out there is no status left to answer with: say it in the stream, and cut. */
function breakOff(response: ServerResponse, why: Fault | ClientGone, alreadyTold: boolean): void {
  if (why instanceof ClientGone) {
    response.destroy();
    return;
  }
  cutShort(
    response,
    alreadyTold ? '' : `data: ${JSON.stringify(errorBody(problemOfFault(why)))}\n\n`,
  );
}
