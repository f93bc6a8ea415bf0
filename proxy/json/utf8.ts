/**
 * UTF-8 validation of string text that arrives in pieces: the state machine of
 * the WHATWG Encoding Standard's "UTF-8 decoder", without the decoding. The
 * ranges of the second byte rule out overlong forms, surrogates and anything
 * over U+10FFFF (Unicode, table 3-7).
 */
import { BACKSLASH, QUOTE } from './bytes.ts';

/** 1 for the ASCII bytes that are text as they stand: all but controls, quote and backslash. */
const IS_PLAIN = new Uint8Array(256).fill(1, 0x20, 0x80);
IS_PLAIN[QUOTE] = 0;
IS_PLAIN[BACKSLASH] = 0;

const CONTINUATION_MIN = 0x80;
const CONTINUATION_MAX = 0xbf;

/** Continuation bytes that follow a lead byte; 0 when it can't begin a multi-byte character. */
export function continuationBytes(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 0;
  if (lead < 0xe0) return 1;
  return lead < 0xf0 ? 2 : 3;
}

export class Utf8Text {
  invalid = false;
  #missing = 0;
  #nextMin = CONTINUATION_MIN;
  #nextMax = CONTINUATION_MAX;

  begin(): void {
    this.invalid = false;
    this.#missing = 0;
  }

  /**
   * Skips text from `from` up to `to` and returns the index of the first byte
   * that is none: a quote, a backslash, a control character, or, with
   * `invalid` set, the byte at which the text stops being UTF-8.
   */
  skip(chunk: Uint8Array, from: number, to: number): number {
    let missing = this.#missing;
    let nextMin = this.#nextMin;
    let nextMax = this.#nextMax;
    let at = from;
    for (; at < to; at += 1) {
      // Nearly all of nearly every body goes by here.
      while (missing === 0 && at < to && IS_PLAIN[chunk[at] ?? 0] === 1) at += 1;
      if (at === to) break;
      const byte = chunk[at] ?? 0;
      if (missing > 0) {
        if (byte < nextMin || byte > nextMax) {
          this.invalid = true;
          break;
        }
        missing -= 1;
        nextMin = CONTINUATION_MIN;
        nextMax = CONTINUATION_MAX;
      } else {
        if (byte < 0x80) break;
        missing = continuationBytes(byte);
        if (missing === 0) {
          this.invalid = true;
          break;
        }
        if (byte === 0xe0) nextMin = 0xa0;
        else if (byte === 0xed) nextMax = 0x9f;
        else if (byte === 0xf0) nextMin = 0x90;
        else if (byte === 0xf4) nextMax = 0x8f;
      }
    }
    this.#missing = missing;
    this.#nextMin = nextMin;
    this.#nextMax = nextMax;
    return at;
  }
}
