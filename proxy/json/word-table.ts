/** A few words that are looked for among bytes, without making strings of them. */
import { BACKSLASH } from './bytes.ts';

/** No word may be longer: what is kept of a string that comes in pieces grows with it. */
const MAX_WORD_BYTES = 16;
/** An escape writes one character in six bytes at most; then comes the closing quote. */
const MAX_WRITTEN_BYTES = 6 * MAX_WORD_BYTES + 1;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

interface Word {
  readonly bytes: Uint8Array;
  readonly code: number;
}

/** Words of printable ASCII; the code of each is its place in the list. */
export class WordTable {
  readonly #codes: ReadonlyMap<string, number>;
  /** By length and first byte, so that most other texts are told by a look at one place. */
  readonly #words: (readonly Word[] | null)[];

  constructor(words: readonly string[]) {
    this.#codes = new Map(words.map((word, code) => [word, code]));
    const known = words.map((word, code): Word => ({ bytes: encoder.encode(word), code }));
    this.#words = Array.from({ length: (MAX_WORD_BYTES + 1) * 128 }, (_, place) => {
      const here = known.filter(({ bytes }) => placeOf(bytes.length, bytes[0] ?? 0) === place);
      return here.length === 0 ? null : here;
    });
  }

  codeOf(text: string): number {
    return this.#codes.get(text) ?? -1;
  }

  /**
   * The code of a string of the body, given from after its opening quote to
   * after the closing one; -1 when it is none of the words.
   */
  codeOfWritten(chunk: Uint8Array, from: number, to: number): number {
    const length = to - 1 - from;
    if (length > MAX_WRITTEN_BYTES) return -1;
    if (length <= MAX_WORD_BYTES) {
      const words = this.#words[placeOf(length, chunk[from] ?? 0)];
      if (words) {
        for (const { bytes, code } of words) {
          let at = 1;
          while (at < length && bytes[at] === chunk[from + at]) at += 1;
          if (at >= length) return code;
        }
      }
    }
    for (let at = from; at < to; at += 1) {
      if (chunk[at] === BACKSLASH) {
        return this.codeOf(JSON.parse(`"${decoder.decode(chunk.subarray(from, to))}`));
      }
    }
    return -1;
  }
}

function placeOf(length: number, firstByte: number): number {
  return length * 128 + (firstByte & 127);
}

/** A string of the body that may be such a word and comes in pieces. */
export class WordPieces {
  #bytes: Uint8Array | null = null;
  #length = 0;

  /** Whether pieces were kept since the last string was complete. */
  get some(): boolean {
    return this.#length > 0;
  }

  /** Takes the next piece; of what is too long to be a word no more than that is remembered. */
  keep(chunk: Uint8Array, from: number, to: number): void {
    this.#bytes ??= new Uint8Array(MAX_WRITTEN_BYTES + 1);
    const taken = Math.min(to - from, this.#bytes.length - this.#length);
    for (let at = 0; at < taken; at += 1) this.#bytes[this.#length + at] = chunk[from + at] ?? 0;
    this.#length += taken;
  }

  /** The code of the complete string, as `codeOfWritten` tells it; the pieces are forgotten. */
  codeIn(table: WordTable): number {
    const length = this.#length;
    this.#length = 0;
    if (this.#bytes === null || length > MAX_WRITTEN_BYTES) return -1;
    return table.codeOfWritten(this.#bytes, 0, length);
  }
}
