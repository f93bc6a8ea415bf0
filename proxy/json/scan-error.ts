/** How a refused body is explained to the client: in plain words, with the byte it is about. */
import type { ScanError, ScanErrorCode } from './types.ts';
import { continuationBytes } from './utf8.ts';

const QUOTED_KEY_LENGTH = 64;

export function scanError(code: ScanErrorCode, problem: string, offset: number): ScanError {
  return { code, message: `${problem} at byte ${offset}`, offset };
}

/** A byte that the grammar does not allow at its place, or that no UTF-8 text has there. */
export function unexpectedByte(byte: number, offset: number): ScanError {
  if (byte >= 0x80 && continuationBytes(byte) === 0) return invalidUtf8(offset);
  const isPrintable = byte > 0x20 && byte < 0x7f;
  const name = isPrintable
    ? String.fromCharCode(byte)
    : `byte 0x${byte.toString(16).padStart(2, '0')}`;
  return scanError('syntax', `unexpected ${name}`, offset);
}

export function invalidUtf8(offset: number): ScanError {
  return scanError('invalid_utf8', 'not valid UTF-8', offset);
}

/** A key as a message shows it: escaped, and cut where a client made it long. */
export function quotedKey(key: string): string {
  return JSON.stringify(
    key.length > QUOTED_KEY_LENGTH ? `${key.slice(0, QUOTED_KEY_LENGTH)}...` : key,
  );
}
