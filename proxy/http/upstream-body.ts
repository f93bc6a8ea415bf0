/** What is sent to a backend, in portions that no write can hold up the event loop with. */
import { Readable } from 'node:stream';

/** A text, or bytes that follow one another. */
export type UpstreamBody = string | readonly Uint8Array[] | null;

/**
 * The most that is written at once: over loopback a backend that reads as fast
 * takes a whole body in one call of the system.
 */
const PORTION_BYTES = 256 * 1024;

export interface SentBody {
  readonly body: string | Uint8Array | Readable | null;
  /** Needed where the body comes in portions: it would go without its length. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A short body goes as a whole, a longer one in portions, each once the one before has left. */
export function sentBody(body: UpstreamBody): SentBody {
  if (body === null || typeof body === 'string') return { body, headers: {} };
  const bytes = body.reduce((sum, piece) => sum + piece.length, 0);
  if (bytes <= PORTION_BYTES) {
    const [only] = body;
    const isWhole = body.length === 1 && only !== undefined;
    return { body: isWhole ? only : Buffer.concat(body, bytes), headers: {} };
  }
  return { body: Readable.from(portionsOf(body)), headers: { 'content-length': String(bytes) } };
}

function* portionsOf(pieces: readonly Uint8Array[]): Iterable<Uint8Array> {
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += PORTION_BYTES) {
      yield piece.subarray(at, at + PORTION_BYTES);
    }
  }
}
