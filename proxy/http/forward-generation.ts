/**
 * Sends an admitted request to its backend and relays the answer. Cancellation
 * and death pass through in both directions.
 */
import type { ServerResponse } from 'node:http';
import { engineFault, engineWords } from './engine-fault.ts';
import { Fault, whyBroken } from './fault.ts';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { tooLong } from './problem.ts';
import { relayAnswer } from './relay-answer.ts';
import { relayStream } from './relay-stream.ts';
import { respondProblem } from './respond.ts';
import { type FrameKind, JSON_LINES, SSE_EVENTS } from './stream-frames.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { Watchdog } from './watchdog.ts';
import { endAnswer } from './write-out.ts';

/** An engine's words for a refusal may quote the request; a longer text is no refusal. */
const MAX_REFUSAL_BYTES = 1024 * 1024;

/**
 * Relays one exchange.
 * @throws Fault when the backend fails or the exchange is cancelled, ClientGone
 *   when the client leaves; nothing was answered then unless `response.headersSent`
 */
export async function forwardGeneration(
  forwarding: Forwarding,
  response: ServerResponse,
): Promise<Ended> {
  const answer = await open(forwarding);
  try {
    if (answer.status >= 400) return await relayRefusal(forwarding, answer, response);
    const type = [answer.headers['content-type'] ?? ''].flat()[0] ?? '';
    const frames = framesOf(type.toLowerCase());
    return frames === null
      ? await relayAnswer(forwarding, answer, response)
      : await relayStream(forwarding, frames, answer, response);
  } catch (error) {
    // Whatever of the answer was not read would hold its connection for ever.
    answer.body.destroy();
    throw whyBroken(error, forwarding.abort.signal);
  }
}

/** null: an answer that is no stream. */
function framesOf(contentType: string): FrameKind | null {
  if (contentType.startsWith('text/event-stream')) return SSE_EVENTS;
  return contentType.startsWith('application/x-ndjson') ? JSON_LINES : null;
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
      // llama-server closes the connection of a stream a moment after its end, and says so nowhere
      // (measured, build 11669): the next request on it would be lost.
      isLast: forwarding.streams,
    });
  } finally {
    patience.pause();
  }
}

/** The caller's own mistakes pass as they are; anything else is a fault of the backend. */
async function relayRefusal(
  { adapter, route, timeouts, abort, disclosed }: Forwarding,
  answer: UpstreamResponse,
  response: ServerResponse,
): Promise<Ended> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(answer.body, timeouts.streamIdleTimeoutMs, abort)) {
    bytes += chunk.length;
    if (bytes > MAX_REFUSAL_BYTES) throw new Fault('backend_failed', 'its error is too long');
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const text = body.toString('utf8');
  const kind = adapter.classifyError(answer.status, text);
  if (kind === 'too-long') {
    const problem = tooLong(engineWords(text));
    respondProblem(response, problem, disclosed, route.api);
    return { how: 'refused', status: problem.status };
  }
  if (kind !== 'client') throw engineFault(kind, `status ${answer.status}: ${engineWords(text)}`);
  response.writeHead(answer.status, { ...endToEnd(answer.headers), ...disclosed });
  endAnswer(response, body, timeouts.writeStallTimeoutMs);
  return { how: 'refused', status: answer.status };
}
