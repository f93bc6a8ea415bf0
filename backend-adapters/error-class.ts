/**
 * What an engine's failure means, where the engines agree. Their texts change
 * between versions, so they are matched by what they contain, never by equality.
 */
import type { ErrorClass } from './adapter.ts';

/** An error's words are at its beginning; a longer body is something else. */
const MAX_ERROR_CHARS = 65_536;

const OUT_OF_MEMORY =
  /out of memory|OutOfMemoryError|cudaMalloc failed|failed to allocate .*buffer|CUBLAS_STATUS_ALLOC_FAILED/i;

/**
 * By status and words; `fault` for a failure that says nothing more. An error
 * inside a stream comes with the stream's status, so only its words tell.
 */
export function errorClass(
  status: number,
  body: string,
  known: ReadonlyArray<readonly [words: RegExp, meaning: ErrorClass]>,
): ErrorClass {
  if (status === 429) return 'busy';
  const text = body.slice(0, MAX_ERROR_CHARS);
  const meaning = known.find(([words]) => words.test(text))?.[1] ?? null;
  // Of the caller's mistakes only one has a name of its own, whatever else a 4xx quotes.
  if ((status >= 400 && status < 500) || status === 501) {
    return meaning === 'too-long' ? 'too-long' : 'client';
  }
  if (OUT_OF_MEMORY.test(text)) return 'oom';
  return meaning ?? 'fault';
}
