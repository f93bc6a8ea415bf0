/**
 * What TGI's failures mean: `{"error","error_type"}` with 422, 424, 429 or 500
 * (server.rs, From<InferError>). In a stream the status is 200 and, on the chat
 * route, `http_status_code` says 422 whatever went wrong (infer/mod.rs,
 * into_openai_event), so there only the words tell.
 */
import type { ErrorClass } from '../adapter.ts';
import { errorClass } from '../error-class.ts';

const MAX_ERROR_CHARS = 65_536;

/** validation.rs, ValidationError: InputLength, MaxTotalTokens, MaxNewTokens. */
const TOO_LONG =
  /`inputs` tokens \+ `max_new_tokens` must be <=|`inputs` must have less than|`max_new_tokens` must be <=/;
const REFUSED = /Input validation error|Template error|Missing template vatiable|Tool error/;
/** Every request of the batch fails with the same words, be it for want of memory or not. */
const FAILED = /Request failed during generation|Incomplete generation/;

export function tgiErrorClass(status: number, body: string): ErrorClass {
  const text = body.slice(0, MAX_ERROR_CHARS);
  // The text of a validation error may quote the request, so it is looked at before anything else.
  const isStream = status === 200;
  if ((status === 422 || isStream) && TOO_LONG.test(text)) return 'too-long';
  if (isStream && REFUSED.test(text)) return 'client';
  if (isStream && /Model is overloaded/.test(text)) return 'busy';
  // 424 is the engine's own failure, not the caller's.
  if (status === 424 || FAILED.test(text)) return errorClass(500, text, []);
  return errorClass(status, text, [[/"unhealthy"/, 'dying']]);
}
