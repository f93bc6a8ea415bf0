/** The grammar of numbers (RFC 8259, section 6) as a state machine over bytes. */
import { isDigit, LOWER_E, MINUS, PLUS, POINT, ZERO } from './bytes.ts';

export type NumberState =
  | 'minus'
  | 'zero'
  | 'integer'
  | 'point'
  | 'fraction'
  | 'exponent-mark'
  | 'exponent-sign'
  | 'exponent';

/** The state after a number's first byte, which is a minus or a digit. */
export function firstNumberState(byte: number): NumberState {
  if (byte === MINUS) return 'minus';
  return byte === ZERO ? 'zero' : 'integer';
}

/** The state after one more byte; null when the byte does not continue the number. */
export function nextNumberState(state: NumberState, byte: number): NumberState | null {
  switch (state) {
    case 'minus':
      return isDigit(byte) ? firstNumberState(byte) : null;
    case 'zero':
      return afterInteger(byte);
    case 'integer':
      return isDigit(byte) ? 'integer' : afterInteger(byte);
    case 'point':
      return isDigit(byte) ? 'fraction' : null;
    case 'fraction':
      if (isDigit(byte)) return 'fraction';
      return isExponentMark(byte) ? 'exponent-mark' : null;
    case 'exponent-mark':
      if (isDigit(byte)) return 'exponent';
      return byte === PLUS || byte === MINUS ? 'exponent-sign' : null;
    case 'exponent-sign':
    case 'exponent':
      return isDigit(byte) ? 'exponent' : null;
  }
}

/** Whether a number may end in this state. */
export function isWholeNumber(state: NumberState): boolean {
  return state === 'zero' || state === 'integer' || state === 'fraction' || state === 'exponent';
}

function afterInteger(byte: number): NumberState | null {
  if (byte === POINT) return 'point';
  return isExponentMark(byte) ? 'exponent-mark' : null;
}

function isExponentMark(byte: number): boolean {
  return (byte | 0x20) === LOWER_E;
}
