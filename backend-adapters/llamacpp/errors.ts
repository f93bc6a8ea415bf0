/**
 * What llama-server's failures mean (server-context.cpp, update_slots;
 * server-common.cpp). It has no words for its own end: when CUDA fails the
 * process aborts, and its connections break.
 */
import type { ErrorClass } from '../adapter.ts';
import { errorClass } from '../error-class.ts';

/** The second: an input to embed or to rank must fit one physical batch, and that answers 500. */
const TOO_LONG =
  /exceed_context_size_error|exceeds the available context size|is too large to process/i;

const MAX_ERROR_CHARS = 4_096;

const KNOWN: ReadonlyArray<readonly [words: RegExp, meaning: ErrorClass]> = [
  [/no slot available/i, 'busy'],
  [/unavailable_error|Loading model/i, 'loading'],
  // The second: of builds before the unified pool.
  [/context size has been exceeded|too big compared to KV size/i, 'overflow'],
  // llama_decode returned -2 or -3: no memory for a graph, or a device that failed while computing.
  [/compute error/i, 'oom'],
];

export function llamacppError(status: number, body: string): ErrorClass {
  if (status !== 401 && TOO_LONG.test(body.slice(0, MAX_ERROR_CHARS))) return 'too-long';
  return errorClass(status, body, KNOWN);
}
