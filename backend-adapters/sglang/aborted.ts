/**
 * A request that the engine gave up may end with HTTP 200 and the finish
 * reason "abort": OpenAI's routes have it as a word (openai/protocol.py), the
 * native one with a message (managers/schedule_batch.py, FINISH_ABORT).
 */
import { field, listField, parseJson, stringField } from '../engine-answer.ts';

const ABORTED = 'the engine aborted the request';
const MAX_ERROR_CHARS = 512;

/** Why the engine gave the request up; null where it did not. */
export function abortedAnswer(answer: unknown): string | null {
  const parts = Array.isArray(answer) ? answer : [answer, ...listField(answer, 'choices')];
  for (const part of parts) {
    if (field(part, 'finish_reason') === 'abort') return ABORTED;
    const reason = field(field(part, 'meta_info'), 'finish_reason');
    if (field(reason, 'type') !== 'abort') continue;
    return (stringField(reason, 'message') ?? ABORTED).slice(0, MAX_ERROR_CHARS);
  }
  return null;
}

/** The same of one event of an OpenAI stream. */
export function abortedEvent(data: string): string | null {
  // Events are read once by everybody; only those that hold the word are read again.
  return data.includes('"abort"') ? abortedAnswer(parseJson(data)) : null;
}
