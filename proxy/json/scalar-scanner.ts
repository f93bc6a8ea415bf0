/** One number, `true`, `false` or `null` at a time, in pieces. */
import { LOWER_F, LOWER_N, LOWER_T } from './bytes.ts';
import {
  firstNumberState,
  isWholeNumber,
  type NumberState,
  nextNumberState,
} from './number-grammar.ts';

type ScalarState = 'open' | 'closed' | 'syntax';

export class ScalarScanner {
  state: ScalarState = 'open';
  /** The word being read; empty for a number. */
  #literal = '';
  #literalBytes = 0;
  #number: NumberState = 'zero';

  /** Begins with the first byte, which is a minus, a digit or the first letter of a literal. */
  begin(byte: number): void {
    this.state = 'open';
    this.#literal = literalStartedBy(byte);
    this.#literalBytes = 1;
    this.#number = firstNumberState(byte);
  }

  /**
   * Scans from `from` to the end of the chunk. Returns the chunk's length while
   * the scalar is open, the index after its last byte, or that of the byte that is wrong.
   */
  scan(chunk: Uint8Array, from: number): number {
    return this.#literal === '' ? this.#scanNumber(chunk, from) : this.#scanLiteral(chunk, from);
  }

  #scanNumber(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const next = nextNumberState(this.#number, chunk[at] ?? 0);
      if (next === null) {
        this.state = isWholeNumber(this.#number) ? 'closed' : 'syntax';
        return at;
      }
      this.#number = next;
    }
    return chunk.length;
  }

  #scanLiteral(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      if (chunk[at] !== this.#literal.charCodeAt(this.#literalBytes)) {
        this.state = 'syntax';
        return at;
      }
      this.#literalBytes += 1;
      if (this.#literalBytes === this.#literal.length) {
        this.state = 'closed';
        return at + 1;
      }
    }
    return chunk.length;
  }
}

function literalStartedBy(byte: number): string {
  switch (byte) {
    case LOWER_T:
      return 'true';
    case LOWER_F:
      return 'false';
    case LOWER_N:
      return 'null';
    default:
      return '';
  }
}
