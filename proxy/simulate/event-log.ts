/** A fingerprint of all that happened: the same seed and flags give the same, on any machine. */
import { createHash } from 'node:crypto';

const CHUNK_CHARS = 65_536;

export class EventLog {
  readonly #hash = createHash('sha256');
  #pending = '';

  /** @param what in a few words, without a line end */
  note(atMs: number, what: string, request: number, figure: number): void {
    this.#pending += `${atMs.toFixed(3)} ${what} ${request} ${figure}\n`;
    if (this.#pending.length > CHUNK_CHARS) this.#flush();
  }

  /** SHA-256 over all lines, in hexadecimal; nothing may be noted after it. */
  digest(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }

  #flush(): void {
    this.#hash.update(this.#pending);
    this.#pending = '';
  }
}
