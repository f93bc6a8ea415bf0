/** The chunks of a backend's answer, with a limit to its silences. */
import { Fault } from './fault.ts';
import type { UpstreamResponse } from './upstream.ts';
import { Watchdog } from './watchdog.ts';

/**
 * Aborts when the backend sends nothing for `idleTimeoutMs` while somebody
 * waits for it; the time that the reader takes for a chunk does not count.
 */
export async function* chunksOf(
  body: UpstreamResponse['body'],
  idleTimeoutMs: number,
  abort: AbortController,
): AsyncGenerator<Buffer, void> {
  const silence = new Watchdog(idleTimeoutMs, () =>
    abort.abort(new Fault('backend_timeout', 'the backend fell silent')),
  );
  try {
    for await (const chunk of body) {
      silence.pause();
      yield chunk;
      silence.feed();
    }
  } finally {
    silence.pause();
  }
}
