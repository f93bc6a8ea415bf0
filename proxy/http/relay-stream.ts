/**
 * Relays a stream of events: whole ones, not a byte changed, with backpressure.
 * A broken stream ends in one error event and a destroyed socket, never in a
 * clean end that a client would read as success. An engine that fails with its
 * first event has not begun: its client gets the status of the failure.
 */
import type { ServerResponse } from 'node:http';
import type {
  Adapter,
  GenerationRoute,
  StreamEvent,
  Usage,
} from '../../backend-adapters/adapter.ts';
import { errorFrame } from './api-errors.ts';
import { engineFault, engineWords } from './engine-fault.ts';
import { ClientGone, Fault, whyBroken } from './fault.ts';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { problemOfFault, tooLong } from './problem.ts';
import { respondProblem } from './respond.ts';
import { type FrameKind, StreamFrames } from './stream-frames.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { cutShort, endAnswer, writeOut } from './write-out.ts';

/** An error event may follow what the backend announced. */
const REPLACED: ReadonlySet<string> = new Set(['content-length']);

/** What the events seen so far add up to. */
class Seen {
  readonly #adapter: Adapter;
  readonly #route: GenerationRoute;
  ended = false;
  /** The engine's own error event. */
  error: string | null = null;
  outputTokens = 0;
  usage: Usage | null = null;

  constructor(adapter: Adapter, route: GenerationRoute) {
    this.#adapter = adapter;
    this.#route = route;
  }

  add(data: string): StreamEvent {
    const event = this.#adapter.streamEvent(data, this.#route);
    this.ended ||= event.isEnd;
    this.error ??= event.error;
    this.usage = merged(this.usage, event.usage);
    // Some engines put several tokens into an event, and tell how many there are by now.
    const told = event.usage?.completionTokens ?? 0;
    this.outputTokens = Math.max(this.outputTokens + event.outputTokens, told);
    return event;
  }
}

/** Some tell the prompt when a stream begins and the output when it ends. */
function merged(known: Usage | null, told: Usage | null): Usage | null {
  if (known === null || told === null) return told ?? known;
  return {
    promptTokens: told.promptTokens ?? known.promptTokens,
    completionTokens: told.completionTokens ?? known.completionTokens,
    cachedTokens: told.cachedTokens ?? known.cachedTokens,
  };
}

/** @throws Fault or ClientGone when the stream broke; the client was told by then if `headersSent` */
export async function relayStream(
  forwarding: Forwarding,
  kind: FrameKind,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const { adapter, route, timeouts, abort, withholdsUsage, onTokens } = forwarding;
  const seen = new Seen(adapter, route);
  const frames = new StreamFrames(kind, (data) => {
    // vLLM ends even a failed stream with [DONE]: nothing goes out after an error.
    const failedBefore = seen.error !== null;
    const { isUsageOnly } = seen.add(data);
    return !failedBefore && !(isUsageOnly && withholdsUsage);
  });
  try {
    for await (const chunk of chunksOf(answer.body, timeouts.streamIdleTimeoutMs, abort)) {
      const bytes = frames.push(chunk);
      if (!response.headersSent) {
        if (seen.error !== null && seen.outputTokens === 0) {
          return refuseInstead(forwarding, answer, seen.error, response);
        }
        if (bytes.length === 0) continue;
        // Who was taken back a moment ago must not begin to answer.
        abort.signal.throwIfAborted();
        sendHead(forwarding, answer, response);
      }
      onTokens(seen.outputTokens);
      await writeOut(response, bytes, timeouts.writeStallTimeoutMs, abort);
    }
    if (seen.error !== null) throw failureOf(forwarding, answer, seen.error);
    if (!seen.ended) throw unfinished();
  } catch (error) {
    const why = whyBroken(error, abort.signal);
    if (response.headersSent) breakOff(response, why, forwarding, seen.error !== null);
    throw why;
  }
  if (!response.headersSent) sendHead(forwarding, answer, response);
  endAnswer(response, frames.rest, timeouts.writeStallTimeoutMs);
  return { how: 'complete', usage: seen.usage, outputTokens: seen.outputTokens };
}

function sendHead(
  { disclosed }: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): void {
  response.writeHead(answer.status, { ...endToEnd(answer.headers, REPLACED), ...disclosed });
  response.flushHeaders();
}

/**
 * The answer to an engine whose first event is an error: to its client, nothing has begun.
 * @throws Fault unless the request was just too long for it
 */
function refuseInstead(
  forwarding: Forwarding,
  answer: UpstreamResponse,
  text: string,
  response: ServerResponse,
): Ended {
  const { adapter, route, disclosed } = forwarding;
  if (adapter.classifyError(answer.status, text) !== 'too-long') {
    throw failureOf(forwarding, answer, text);
  }
  answer.body.destroy();
  const problem = tooLong(engineWords(text));
  respondProblem(response, problem, disclosed, route.api);
  return { how: 'refused', status: problem.status };
}

/** The stream's status says nothing about its error; only the engine's words do. */
function failureOf({ adapter }: Forwarding, { status }: UpstreamResponse, text: string): Fault {
  return engineFault(adapter.classifyError(status, text), `in its stream: ${text}`);
}

function unfinished(): Fault {
  return new Fault('backend_failed', 'the stream ended before its end', { engineIsFree: true });
}

/** After a byte went out there is no status left to answer with: say it in the stream, and cut. */
function breakOff(
  response: ServerResponse,
  why: Fault | ClientGone,
  { route }: Forwarding,
  alreadyTold: boolean,
): void {
  if (why instanceof ClientGone) {
    response.destroy();
    return;
  }
  cutShort(response, alreadyTold ? '' : errorFrame(problemOfFault(why), route.api));
}
