/**
 * Little-endian bytes that come in chunks. Whoever reads asks first whether
 * enough of them are there; what is skipped is never held.
 */
export class ByteFeed {
  #bytes: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  /** Bytes to skip of chunks that are still to come. */
  #toSkip = 0;
  #readBytes = 0;

  /** How many bytes were read or skipped. */
  get readBytes(): number {
    return this.#readBytes;
  }

  push(chunk: Uint8Array): void {
    const skipped = Math.min(this.#toSkip, chunk.length);
    this.#toSkip -= skipped;
    const fresh = chunk.subarray(skipped);
    const held = this.#bytes.subarray(this.#at);
    if (held.length === 0) {
      this.#bytes = fresh;
    } else {
      this.#bytes = new Uint8Array(held.length + fresh.length);
      this.#bytes.set(held);
      this.#bytes.set(fresh, held.length);
    }
    this.#at = 0;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  /** Whether the next `bytes` bytes are here. */
  has(bytes: number): boolean {
    return this.#toSkip === 0 && this.#bytes.length - this.#at >= bytes;
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** Rounded above 2^53. */
  uint64(): number {
    return Number(this.#view.getBigUint64(this.#advance(8), true));
  }

  /** The next `bytes` bytes, which must be here; good until the next push. */
  take(bytes: number): DataView {
    const start = this.#advance(bytes);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start, bytes);
  }

  skip(bytes: number): void {
    const here = Math.min(bytes, this.#bytes.length - this.#at);
    this.#at += here;
    this.#toSkip += bytes - here;
    this.#readBytes += bytes;
  }

  #advance(bytes: number): number {
    const start = this.#at;
    this.#at += bytes;
    this.#readBytes += bytes;
    return start;
  }
}
