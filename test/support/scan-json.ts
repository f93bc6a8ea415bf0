/** Scans whole JSON bodies in tests, cut into chunks as the test wants. */
import { JsonScanner } from '../../proxy/json/scanner.ts';
import type { Member, ScanError, ScannedObject } from '../../proxy/json/types.ts';

export interface ScanOptions {
  /** Bytes of each chunk; the whole body at once when left out. */
  readonly chunkBytes?: number;
  readonly limits?: { readonly maxDepth: number; readonly maxMembers: number };
}

export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function scan(
  body: string | Uint8Array,
  { chunkBytes = Number.POSITIVE_INFINITY, limits }: ScanOptions = {},
): ScannedObject | ScanError {
  const bytes = typeof body === 'string' ? bytesOf(body) : body;
  const scanner = new JsonScanner(limits);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    scanner.push(bytes.subarray(at, at + chunkBytes));
  }
  return scanner.end();
}

/** The scan of a body that the test knows to be acceptable. */
export function scanObject(body: string | Uint8Array): ScannedObject {
  const result = scan(body);
  if ('code' in result) throw new Error(`not accepted: ${result.message}`);
  return result;
}

export function memberOf(object: ScannedObject, key: string): Member {
  const member = object.members.get(key);
  if (member === undefined) throw new Error(`no member ${key}`);
  return member;
}
