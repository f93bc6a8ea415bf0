/**
 * Reads a request's body, bounded, and scans it as it comes: broken JSON ends
 * the reading at once, and no long body is ever parsed as a whole.
 */
import type { IncomingMessage } from 'node:http';
import { JsonScanner } from '../json/scanner.ts';
import type { ScannedObject } from '../json/types.ts';
import { BodyBuffer } from './body-buffer.ts';
import type { LoopShare } from './loop-share.ts';
import { buffersFull, invalidRequest, type Problem, refusal } from './problem.ts';
import { pushInSlices } from './scan-in-slices.ts';

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

/** What bodies are read with, those of all requests together. */
export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly budget: BufferBudget;
  readonly share: LoopShare;
}

/**
 * Reads and scans the body.
 * @throws the signal's reason when it aborts meanwhile, as it does when the client leaves
 */
export async function readBody(
  message: IncomingMessage,
  { maxBodyBytes, budget, share }: BodyLimits,
  signal: AbortSignal,
): Promise<ReadResult> {
  const scanner = new JsonScanner();
  const declared = Number(message.headers['content-length'] ?? 0);
  const body = new BodyBuffer(declared > 0 ? declared : maxBodyBytes);
  let heldBytes = 0;
  const release = () => {
    budget.giveBack(heldBytes);
    heldBytes = 0;
  };
  const refuse = (problem: Problem): ReadResult => {
    release();
    return { ok: false, problem };
  };

  try {
    for await (const chunk of untilAborted(message, signal)) {
      if (body.length + chunk.length > maxBodyBytes) return refuse(bodyTooLarge(maxBodyBytes));
      if (!budget.take(chunk.length)) return refuse(buffersFull());
      heldBytes += chunk.length;
      body.append(chunk);
      const error = await pushInSlices(share, scanner, chunk, signal);
      if (error !== null) return refuse(invalidRequest(error.message));
    }
    signal.throwIfAborted();
  } catch (error) {
    release();
    throw signal.aborted ? signal.reason : error;
  }
  const object = scanner.end();
  if ('code' in object) return refuse(invalidRequest(object.message));
  return { ok: true, request: { body: body.whole(), object, release } };
}

/** The stream's chunks; it is left open when the reader stops, so that it can still be answered. */
async function* untilAborted(
  message: IncomingMessage,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const chunks: AsyncIterator<Buffer> = message.iterator({ destroyOnReturn: false });
  for (;;) {
    const next = await orAborted(chunks.next(), signal);
    if (next.done === true) return;
    yield next.value;
  }
}

/** The promise's value, or the signal's reason where that comes first. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
