/** The text of one top-level key, kept while it arrives in pieces. */

/** Bytes of a top-level key as it is written, escapes and all. */
export const MAX_KEY_BYTES = 1024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class KeyText {
  /** The key's bytes, then its closing quote. */
  readonly #bytes = new Uint8Array(MAX_KEY_BYTES + 1);
  #length = 0;

  /** Bytes it can still take; none left means that the key is too long. */
  get room(): number {
    return this.#bytes.length - this.#length;
  }

  reset(): void {
    this.#length = 0;
  }

  append(chunk: Uint8Array, from: number, to: number): void {
    this.#bytes.set(chunk.subarray(from, to), this.#length);
    this.#length += to - from;
  }

  /** The key with its escapes decoded. The bytes must have been scanned up to the closing quote. */
  decode(): string {
    return JSON.parse(`"${decoder.decode(this.#bytes.subarray(0, this.#length))}`);
  }
}
