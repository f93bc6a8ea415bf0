/**
 * The bytes of a body as they come, in one piece. Chunks are copied as they
 * arrive: to join them at the end would hold up the event loop, and take the
 * memory of a long body twice.
 */

const FIRST_BYTES = 64 * 1024;
/**
 * A body that has come to this size gets all the room it may need at once, to be
 * copied no more. The system gives memory only to what is written of it.
 */
const GROWN_BYTES = 2 * 1024 * 1024;

export class BodyBuffer {
  readonly #mostBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  /** @param mostBytes the body's length, or, where that is not told, the limit to it */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  get length(): number {
    return this.#length;
  }

  append(chunk: Buffer): void {
    const length = this.#length + chunk.length;
    // A short body comes whole, and need not be copied.
    if (this.#length === 0 && length === this.#mostBytes) this.#bytes = chunk;
    else {
      if (length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }

  /** The body so far. */
  whole(): Buffer {
    return this.from(0);
  }

  /** What has come of it from a byte on; it stays as it is when more comes. */
  from(start: number): Buffer {
    return this.#bytes.subarray(start, this.#length);
  }

  #grow(neededBytes: number): void {
    const doubled = Math.max(FIRST_BYTES, neededBytes, 2 * this.#bytes.length);
    const room = doubled > GROWN_BYTES ? this.#mostBytes : doubled;
    const grown = Buffer.allocUnsafeSlow(Math.max(neededBytes, Math.min(room, this.#mostBytes)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}
