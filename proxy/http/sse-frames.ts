/**
 * Cuts a server-sent event stream into whole events without changing a byte.
 * What is not yet whole is held back, so that a stream which breaks never
 * leaves half an event at the client.
 */

/** A longer event is no longer held back nor read: its bytes just pass. */
const MAX_EVENT_BYTES = 1024 * 1024;
/** LF CR LF: the end of a line, and an empty one. */
const MAX_BLANK_LINE_BYTES = 3;
const LF = 0x0a;
const CR = 0x0d;

export interface Frames {
  /** Bytes that may go on: whole events. */
  readonly bytes: Buffer;
  /** The `data` of each of those events; events without data are left out. */
  readonly data: readonly string[];
}

export class SseFrames {
  #held: Buffer = Buffer.alloc(0);
  /** Inside an event that is too long: pass bytes until it ends. */
  #passing = false;

  push(chunk: Buffer): Frames {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const data: string[] = [];
    let eventStart = 0;
    // A blank line may straddle two chunks, so the search restarts a little before the new bytes.
    let from = Math.max(0, this.#held.length - (MAX_BLANK_LINE_BYTES - 1));
    for (;;) {
      const end = endOfEvent(bytes, from);
      if (end === -1) break;
      if (!this.#passing) {
        const text = dataOf(bytes.toString('utf8', eventStart, end));
        if (text !== null) data.push(text);
      }
      this.#passing = false;
      eventStart = end;
      from = end;
    }
    this.#passing ||= bytes.length - eventStart > MAX_EVENT_BYTES;
    // Of an event that is too long only the beginning of a blank line is held, to see its end.
    const heldFrom = this.#passing
      ? Math.max(eventStart, bytes.length - (MAX_BLANK_LINE_BYTES - 1))
      : eventStart;
    this.#held = bytes.subarray(heldFrom);
    return { bytes: bytes.subarray(0, heldFrom), data };
  }

  /** Bytes of an event that never became whole. */
  get rest(): Buffer {
    return this.#held;
  }
}

/** One past the blank line that ends the event; -1 when there is none yet. */
function endOfEvent(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at + 1] === LF) return at + 2;
    if (bytes[at + 1] === CR && bytes[at + 2] === LF) return at + 3;
  }
  return -1;
}

function dataOf(event: string): string | null {
  const lines = event
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line[5] === ' ' ? 6 : 5));
  return lines.length === 0 ? null : lines.join('\n');
}
