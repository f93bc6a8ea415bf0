/**
 * One JSON string at a time, in pieces: validates its text and escapes and
 * counts the bytes it will have once decoded, without decoding it.
 */
import {
  BACKSLASH,
  hexDigitValue,
  LOWER_B,
  LOWER_F,
  LOWER_N,
  LOWER_R,
  LOWER_T,
  LOWER_U,
  QUOTE,
  SLASH,
} from './bytes.ts';
import { Utf8Text } from './utf8.ts';

type StringState = 'open' | 'closed' | 'syntax' | 'invalid_utf8';

export class StringScanner {
  /** UTF-8 bytes of the text so far, escapes decoded; a lone surrogate counts 3. */
  decodedBytes = 0;
  state: StringState = 'open';
  readonly #text = new Utf8Text();
  #escape: 'none' | 'selector' | 'hex' = 'none';
  #hexDigits = 0;
  #codeUnit = 0;
  /** The last thing scanned was the escape of a high surrogate. */
  #afterHighSurrogate = false;

  /** Begins a new string, right after its opening quote. */
  begin(): void {
    this.decodedBytes = 0;
    this.state = 'open';
    this.#text.begin();
    this.#escape = 'none';
    this.#afterHighSurrogate = false;
  }

  /**
   * Scans from `from` up to `to`. Returns `to` while the string is open, the
   * index after the closing quote, or the index of the byte that is wrong.
   */
  scan(chunk: Uint8Array, from: number, to: number): number {
    let at = from;
    while (at < to) {
      if (this.#escape === 'none') {
        const textStart = at;
        at = this.#text.skip(chunk, at, to);
        if (at > textStart) {
          this.decodedBytes += at - textStart;
          this.#afterHighSurrogate = false;
        }
        if (at < to) this.#endText(chunk[at] ?? 0);
      } else {
        this.#scanEscape(chunk[at] ?? 0);
      }
      if (this.state === 'closed') return at + 1;
      if (this.state !== 'open') return at;
      at += 1;
    }
    return to;
  }

  #endText(byte: number): void {
    if (this.#text.invalid) this.state = 'invalid_utf8';
    else if (byte === QUOTE) this.state = 'closed';
    else if (byte === BACKSLASH) this.#escape = 'selector';
    else this.state = 'syntax';
  }

  #scanEscape(byte: number): void {
    if (this.#escape === 'hex') {
      this.#scanHexDigit(byte);
    } else if (byte === LOWER_U) {
      this.#escape = 'hex';
      this.#hexDigits = 0;
      this.#codeUnit = 0;
    } else if (isOneCharacterEscape(byte)) {
      this.#escape = 'none';
      this.decodedBytes += 1;
      this.#afterHighSurrogate = false;
    } else {
      this.state = 'syntax';
    }
  }

  #scanHexDigit(byte: number): void {
    const digit = hexDigitValue(byte);
    if (digit < 0) {
      this.state = 'syntax';
      return;
    }
    this.#codeUnit = this.#codeUnit * 16 + digit;
    this.#hexDigits += 1;
    if (this.#hexDigits < 4) return;
    this.#escape = 'none';
    this.#countCodeUnit(this.#codeUnit);
  }

  #countCodeUnit(unit: number): void {
    // A pair is one character of 4 bytes, and its high half was counted as 3 already.
    const endsPair = this.#afterHighSurrogate && unit >= 0xdc00 && unit <= 0xdfff;
    this.#afterHighSurrogate = unit >= 0xd800 && unit <= 0xdbff;
    if (endsPair || unit < 0x80) this.decodedBytes += 1;
    else this.decodedBytes += unit < 0x800 ? 2 : 3;
  }
}

function isOneCharacterEscape(byte: number): boolean {
  switch (byte) {
    case QUOTE:
    case BACKSLASH:
    case SLASH:
    case LOWER_B:
    case LOWER_F:
    case LOWER_N:
    case LOWER_R:
    case LOWER_T:
      return true;
    default:
      return false;
  }
}
