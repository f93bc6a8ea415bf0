/**
 * Reads a request's body, bounded, and scans it as it comes: broken JSON ends
 * the reading at once, and no long body is ever parsed as a whole.
 */
import type { IncomingMessage } from 'node:http';
import { JsonScanner } from '../json/scanner.ts';
import type { ScannedObject } from '../json/types.ts';
import { Arrivals } from './arrivals.ts';
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

/** The bytes of one body as far as they have come, counted in the budget. */
class HeldBody {
  readonly bytes: BodyBuffer;
  readonly #limits: BodyLimits;
  #heldBytes = 0;
  /** Why no more of it is taken. */
  problem: Problem | null = null;

  /** @param declaredBytes 0 where the length is not told */
  constructor(declaredBytes: number, limits: BodyLimits) {
    this.bytes = new BodyBuffer(declaredBytes > 0 ? declaredBytes : limits.maxBodyBytes);
    this.#limits = limits;
  }

  take(chunk: Buffer): void {
    const { maxBodyBytes, budget } = this.#limits;
    if (this.problem !== null) return;
    if (this.bytes.length + chunk.length > maxBodyBytes) this.problem = bodyTooLarge(maxBodyBytes);
    else if (!budget.take(chunk.length)) this.problem = buffersFull();
    else {
      this.#heldBytes += chunk.length;
      this.bytes.append(chunk);
    }
  }

  /** Gives its bytes back to the budget, once. */
  release(): void {
    this.#limits.budget.giveBack(this.#heldBytes);
    this.#heldBytes = 0;
  }
}

/**
 * Reads and scans the body.
 * @throws the signal's reason when it aborts meanwhile, as it does when the client leaves
 */
export async function readBody(
  message: IncomingMessage,
  limits: BodyLimits,
  signal: AbortSignal,
): Promise<ReadResult> {
  const held = new HeldBody(Number(message.headers['content-length'] ?? 0), limits);
  const arrivals = new Arrivals(message, signal, (chunk) => held.take(chunk));
  let result: ReadResult | null = null;
  try {
    const object = await scanned(held, arrivals, limits.share, signal);
    const release = () => held.release();
    result =
      'status' in object
        ? { ok: false, problem: object }
        : { ok: true, request: { body: held.bytes.whole(), object, release } };
    return result;
  } finally {
    arrivals.stop();
    if (result?.ok !== true) held.release();
  }
}

async function scanned(
  held: HeldBody,
  arrivals: Arrivals,
  share: LoopShare,
  signal: AbortSignal,
): Promise<ScannedObject | Problem> {
  const scanner = new JsonScanner();
  let scannedBytes = 0;
  while (await arrivals.more()) {
    if (held.problem !== null) return held.problem;
    const come = held.bytes.from(scannedBytes);
    scannedBytes += come.length;
    const error = await pushInSlices(share, scanner, come, signal);
    if (error !== null) return invalidRequest(error.message);
  }
  const object = scanner.end();
  return 'code' in object ? invalidRequest(object.message) : object;
}
