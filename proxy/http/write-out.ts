/** Writes to a client that may be slow, gone, or only pretending to read. */
import type { ServerResponse } from 'node:http';
import { ClientGone } from './fault.ts';
import { Watchdog } from './watchdog.ts';

/** How long a last error event may take to leave before the socket is cut all the same. */
const FLUSH_TIMEOUT_MS = 5_000;

/**
 * Resolves when the exchange with the client is over, to the last byte or by a
 * broken connection; in that case it aborts with ClientGone.
 */
export function closeOf(response: ServerResponse, abort: AbortController): Promise<void> {
  return new Promise((resolve) => {
    response.once('close', () => {
      if (!response.writableFinished) abort.abort(new ClientGone('closed its connection'));
      resolve();
    });
  });
}

/**
 * Writes, and waits while the client's buffers are full. A client that takes
 * nothing for `stallTimeoutMs` ends the exchange.
 * @throws the reason of `abort`
 */
export async function writeOut(
  response: ServerResponse,
  bytes: Buffer,
  stallTimeoutMs: number,
  abort: AbortController,
): Promise<void> {
  if (bytes.length === 0 || response.write(bytes)) return;
  const { signal } = abort;
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const stalled = new Watchdog(stallTimeoutMs, () =>
      abort.abort(new ClientGone('stopped reading')),
    );
    const drained = () => {
      signal.removeEventListener('abort', aborted);
      stalled.pause();
      resolve();
    };
    const aborted = () => {
      response.off('drain', drained);
      stalled.pause();
      reject(signal.reason);
    };
    response.once('drain', drained);
    signal.addEventListener('abort', aborted, { once: true });
  });
}

/** Ends an answer whose last bytes the client must take within `stallTimeoutMs` of the ones before. */
export function endAnswer(response: ServerResponse, bytes: Buffer, stallTimeoutMs: number): void {
  response.setTimeout(stallTimeoutMs, () => response.destroy());
  response.end(bytes);
}

/** Ends an answer so that nobody can take it for whole: last words, then a cut connection. */
export function cutShort(response: ServerResponse, lastWords: string): void {
  const impatience = new Watchdog(FLUSH_TIMEOUT_MS, () => response.destroy());
  response.write(lastWords, () => {
    impatience.pause();
    response.destroy();
  });
}
