/**
 * Cuts a stream into whole frames without changing a byte: server-sent events,
 * or lines of JSON. What is not yet whole is held back, so that a stream which
 * breaks never leaves half a frame at the client.
 */

/** How frames are told apart, and what of them is the payload. */
export interface FrameKind {
  /** One past the end of the frame that the bytes from `from` on belong to; -1: it is not whole. */
  readonly endOf: (bytes: Buffer, from: number) => number;
  /** null for a frame that carries none. */
  readonly dataOf: (frame: string) => string | null;
  /** Bytes of the longest mark that ends a frame. */
  readonly markBytes: number;
}

const LF = 0x0a;
const CR = 0x0d;

/** Server-sent events: an empty line ends each of them. */
export const SSE_EVENTS: FrameKind = { endOf: endOfEvent, dataOf: dataOfEvent, markBytes: 3 };

/** Newline-delimited JSON, as Ollama streams. */
export const JSON_LINES: FrameKind = { endOf: endOfLine, dataOf: dataOfLine, markBytes: 1 };

/** A longer frame is no longer held back nor read: its bytes just pass. */
const MAX_FRAME_BYTES = 1024 * 1024;

export class StreamFrames {
  readonly #kind: FrameKind;
  readonly #passesOn: (data: string) => boolean;
  #held: Buffer = Buffer.alloc(0);
  /** Inside a frame that is too long: pass bytes until it ends. */
  #passing = false;

  /** @param passesOn called with each payload in turn; false takes its frame out of the stream */
  constructor(kind: FrameKind, passesOn: (data: string) => boolean) {
    this.#kind = kind;
    this.#passesOn = passesOn;
  }

  /** Takes the next bytes, and returns those that may go on: whole frames. */
  push(chunk: Buffer): Buffer {
    const { endOf, markBytes } = this.#kind;
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const kept: Buffer[] = [];
    let keptFrom = 0;
    let start = 0;
    // A mark may straddle two chunks, so the search restarts a little before the new bytes.
    let from = Math.max(0, this.#held.length - (markBytes - 1));
    for (let end = endOf(bytes, from); end !== -1; end = endOf(bytes, from)) {
      if (!this.#passing && !this.#read(bytes, start, end)) {
        kept.push(bytes.subarray(keptFrom, start));
        keptFrom = end;
      }
      this.#passing = false;
      start = end;
      from = end;
    }
    this.#passing ||= bytes.length - start > MAX_FRAME_BYTES;
    // Of a frame that is too long only the beginning of a mark is held, to see its end.
    const heldFrom = this.#passing ? Math.max(start, bytes.length - (markBytes - 1)) : start;
    this.#held = bytes.subarray(heldFrom);
    const last = bytes.subarray(keptFrom, heldFrom);
    return kept.length === 0 ? last : Buffer.concat([...kept, last]);
  }

  /** Bytes of a frame that never became whole. */
  get rest(): Buffer {
    return this.#held;
  }

  #read(bytes: Buffer, start: number, end: number): boolean {
    const data = this.#kind.dataOf(bytes.toString('utf8', start, end));
    return data === null || this.#passesOn(data);
  }
}

function endOfEvent(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

function dataOfEvent(event: string): string | null {
  const lines = event
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line[5] === ' ' ? 6 : 5));
  return lines.length === 0 ? null : lines.join('\n');
}

function endOfLine(bytes: Buffer, from: number): number {
  return bytes.indexOf(LF, from) + 1 || -1;
}

function dataOfLine(line: string): string | null {
  const text = line.trim();
  return text === '' ? null : text;
}
