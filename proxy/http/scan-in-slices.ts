/** Scans long JSON in slices, between which the event loop goes on. */
import { JsonScanner } from '../json/scanner.ts';
import type { ScanError, ScannedObject } from '../json/types.ts';
import type { LoopShare } from './loop-share.ts';

/** Scanned in one step: a millisecond or two of the slowest text there is. */
const SLICE_BYTES = 16 * 1024;

/**
 * Scans the next bytes of a body in slices; an abort ends that as an error does.
 * @returns the error, as `JsonScanner.push` does
 */
export async function pushInSlices(
  share: LoopShare,
  scanner: JsonScanner,
  bytes: Uint8Array,
  signal: AbortSignal | null = null,
): Promise<ScanError | null> {
  let error: ScanError | null = null;
  let at = 0;
  await share.run(() => {
    error = scanner.push(bytes.subarray(at, at + SLICE_BYTES));
    at += SLICE_BYTES;
    return error !== null || at >= bytes.length || signal?.aborted === true;
  });
  return error;
}

/** Scans bytes that are there as a whole. */
export async function scanInSlices(
  share: LoopShare,
  bytes: Uint8Array,
): Promise<ScannedObject | ScanError> {
  const scanner = new JsonScanner();
  await pushInSlices(share, scanner, bytes);
  return scanner.end();
}
