/** A JSON value's kind, which its first byte tells. */
import {
  isDigit,
  LOWER_F,
  LOWER_N,
  LOWER_T,
  MINUS,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './bytes.ts';
import type { JsonKind } from './types.ts';

/** The kind of the value that a byte begins; null when no value begins with it. */
export function kindStartedBy(byte: number): JsonKind | null {
  switch (byte) {
    case QUOTE:
      return 'string';
    case OPEN_BRACE:
      return 'object';
    case OPEN_BRACKET:
      return 'array';
    case LOWER_T:
    case LOWER_F:
      return 'boolean';
    case LOWER_N:
      return 'null';
    default:
      return byte === MINUS || isDigit(byte) ? 'number' : null;
  }
}
