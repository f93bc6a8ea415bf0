/**
 * Errors of servers that nothing else is known of. OpenAI's own are
 * {"error":{message,type,param,code}} with code `context_length_exceeded`
 * (openai-node, src/core/error.ts).
 */
import type { ErrorClass } from '../adapter.ts';
import { errorClass } from '../error-class.ts';

const TOO_LONG =
  /context_length_exceeded|context (length|window|size)|maximum (context|sequence) length|prompt is too long/i;
const REFUSED: ReadonlySet<number> = new Set([400, 413, 422]);
/** An error that quotes a long prompt may say anything further down. */
const MAX_ERROR_CHARS = 2_000;

export function classifyOpenAiError(status: number, body: string): ErrorClass {
  if (REFUSED.has(status) && TOO_LONG.test(body.slice(0, MAX_ERROR_CHARS))) return 'too-long';
  return errorClass(status, body, [
    [/\bloading\b|not loaded|still starting/i, 'loading'],
    [/overloaded|\bbusy\b|at capacity|queue is full|too many requests/i, 'busy'],
  ]);
}
