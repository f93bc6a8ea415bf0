/**
 * Reads a request's body, bounded, and scans it as it comes: broken JSON ends
 * the reading at once, and no long body is ever parsed as a whole.
 */
import type { IncomingMessage } from 'node:http';
import { JsonScanner } from '../json/scanner.ts';
import type { ScannedObject } from '../json/types.ts';
import { buffersFull, invalidRequest, type Problem, refusal } from './problem.ts';

/** Bytes of all bodies together that are held at one time. */
export class BufferBudget {
  readonly #maxBytes: number;
  #heldBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @returns false when there is no room; nothing is taken then */
  take(bytes: number): boolean {
    if (this.#heldBytes + bytes > this.#maxBytes) return false;
    this.#heldBytes += bytes;
    return true;
  }

  giveBack(bytes: number): void {
    this.#heldBytes -= bytes;
  }
}

export interface ReadRequest {
  readonly body: Uint8Array;
  readonly object: ScannedObject;
  /** Gives the body's bytes back to the budget; call it once the body is sent. */
  readonly release: () => void;
}

export type ReadResult =
  | { readonly ok: true; readonly request: ReadRequest }
  | { readonly ok: false; readonly problem: Problem };

/** What can be said before a byte of the body is read. */
export function refusedUnread(message: IncomingMessage, maxBytes: number): Problem | null {
  const { headers } = message;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    return refusal(415, 'unsupported_media_type', 'Send the body without Content-Encoding.');
  }
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== undefined && type !== 'application/json' && !type.endsWith('+json')) {
    return refusal(415, 'unsupported_media_type', 'Send the body as application/json.');
  }
  const declared = Number(headers['content-length'] ?? 0);
  return declared > maxBytes ? bodyTooLarge(maxBytes) : null;
}

export function bodyTooLarge(maxBytes: number): Problem {
  const message = `The body is larger than ${maxBytes} bytes.`;
  return refusal(413, 'request_too_large', message);
}

/**
 * Reads and scans the body.
 * @throws the signal's reason when it aborts meanwhile, as it does when the client leaves
 */
export async function readBody(
  message: IncomingMessage,
  maxBytes: number,
  budget: BufferBudget,
  signal: AbortSignal,
): Promise<ReadResult> {
  const scanner = new JsonScanner();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const release = () => {
    budget.giveBack(bytes);
    bytes = 0;
  };
  const refuse = (problem: Problem): ReadResult => {
    release();
    return { ok: false, problem };
  };

  try {
    for await (const chunk of untilAborted(message, signal)) {
      if (bytes + chunk.length > maxBytes) return refuse(bodyTooLarge(maxBytes));
      if (!budget.take(chunk.length)) return refuse(buffersFull());
      bytes += chunk.length;
      chunks.push(chunk);
      const error = scanner.push(chunk);
      if (error !== null) return refuse(invalidRequest(error.message));
    }
  } catch (error) {
    release();
    throw signal.aborted ? signal.reason : error;
  }
  const object = scanner.end();
  if ('code' in object) return refuse(invalidRequest(object.message));
  const [only] = chunks;
  const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, bytes);
  return { ok: true, request: { body, object, release } };
}

/** The stream's chunks; it is left open when the reader stops, so that it can still be answered. */
async function* untilAborted(
  message: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const chunks: AsyncIterator<Buffer> = message.iterator({ destroyOnReturn: false });
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  // Without a reader left the rejection would count as unhandled.
  aborted.catch(() => {});
  signal.throwIfAborted();
  for (;;) {
    const next = await Promise.race([chunks.next(), aborted]);
    if (next.done === true) return;
    yield next.value;
  }
}
