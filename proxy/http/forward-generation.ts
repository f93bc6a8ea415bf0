/**
 * Sends an admitted request to its backend and relays the answer. Cancellation
 * and death pass through in both directions.
 */
import type { ServerResponse } from 'node:http';
import type { Ended, Forwarding } from './forwarding.ts';
import { endToEnd } from './hop-headers.ts';
import { Fault, whyBroken } from './problem.ts';
import { relayAnswer } from './relay-answer.ts';
import { relayStream } from './relay-stream.ts';
import type { UpstreamResponse } from './upstream.ts';
import { chunksOf } from './upstream-chunks.ts';
import { Watchdog } from './watchdog.ts';
import { endAnswer } from './write-out.ts';

/** An engine's words for a refusal may quote the request; a longer text is no refusal. */
const MAX_REFUSAL_BYTES = 1024 * 1024;
const MAX_DETAIL_CHARS = 200;

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
    return type.toLowerCase().startsWith('text/event-stream')
      ? await relayStream(forwarding, answer, response)
      : await relayAnswer(forwarding, answer, response);
  } catch (error) {
    // Whatever of the answer was not read would hold its connection for ever.
    answer.body.destroy();
    throw whyBroken(error, forwarding.abort.signal);
  }
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
    patience.pause();
  }
}

/** The caller's own mistakes pass as they are; anything else is a fault of the backend. */
async function relayRefusal(
  { adapter, timeouts, abort, disclosed }: Forwarding,
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
  const engineIsFree = true;
  if (kind === 'loading') throw new Fault('backend_loading', 'it is loading', { engineIsFree });
  if (kind === 'busy') throw new Fault('backend_busy', 'it is busy', { engineIsFree });
  if (kind !== 'client') {
    const detail = `${kind}: status ${answer.status}: ${text.slice(0, MAX_DETAIL_CHARS)}`;
    throw new Fault('backend_failed', detail, { engineIsFree });
  }
  response.writeHead(answer.status, { ...endToEnd(answer.headers), ...disclosed });
  endAnswer(response, body, timeouts.writeStallTimeoutMs);
  return { how: 'refused', status: answer.status };
}
