/**
 * What SGLang's failures mean. Their shapes differ (flat on OpenAI's routes,
 * nested on `/v1/responses` and the native ones, an event under HTTP 200 in a
 * stream), their words are the same: managers/tokenizer_manager.py,
 * managers/scheduler.py, managers/utils.py, openai/serving_chat.py.
 */
import type { ErrorClass } from '../adapter.ts';
import { errorClass } from '../error-class.ts';

const WORDS: ReadonlyArray<readonly [words: RegExp, meaning: ErrorClass]> = [
  [/longer than the model's context length|exceeds? the model's maximum context/i, 'too-long'],
  [/exceeds the maximum allowed length/i, 'too-long'],
  [/max_completion_tokens is too large|max_tokens is too large/i, 'too-long'],
  [/request queue is full|aborted by a higher priority|waiting timeout reached/i, 'busy'],
];

/** The pool of KV, not the GPU: nothing else of the engine is touched (schedule_batch.py, retract_decode). */
const POOL_RAN_OVER = /out of memory even after retracting/i;
const MAX_ERROR_CHARS = 65_536;

export function sglangErrorClass(status: number, body: string): ErrorClass {
  const isFailure = status === 200 || status >= 500;
  if (isFailure && POOL_RAN_OVER.test(body.slice(0, MAX_ERROR_CHARS))) return 'overflow';
  return errorClass(status, body, WORDS);
}
