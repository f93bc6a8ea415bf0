/**
 * Usage of an OpenAI answer and the meaning of a stream's events, as far as
 * the engines agree. Text that can't be read carries no tokens and ends nothing.
 */
import type { StreamEvent, Usage } from './adapter.ts';
import { countField, field, listField, parseJson, stringField } from './engine-answer.ts';

/** Events are a few hundred bytes; a longer one is passed on unread. */
export const MAX_EVENT_CHARS = 1_048_576;
const MAX_ERROR_CHARS = 512;

/** Fields of a `delta` that carry output; reasoning was renamed between vLLM versions. */
const OUTPUT_FIELDS = ['content', 'reasoning_content', 'reasoning', 'refusal'];

/** An event that says nothing that counts. */
export const SILENT: StreamEvent = {
  outputTokens: 0,
  usage: null,
  isEnd: false,
  error: null,
  isUsageOnly: false,
};

/** The `usage` of an answer or of a stream's chunk; null when it has none. */
export function openAiUsage(answer: unknown): Usage | null {
  const usage = field(answer, 'usage');
  if (typeof usage !== 'object' || usage === null) return null;
  return {
    promptTokens: countField(usage, 'prompt_tokens'),
    completionTokens: countField(usage, 'completion_tokens'),
    cachedTokens: countField(field(usage, 'prompt_tokens_details'), 'cached_tokens'),
  };
}

/**
 * One `data:` payload. A choice with output counts as one token: engines send
 * one event a token, and the usage at the end corrects the rare longer one.
 * @param endsBy how the engine ends a stream that went well
 */
export function openAiStreamEvent(data: string, endsBy: 'done' | 'finish-reason'): StreamEvent {
  if (data.trim() === '[DONE]') return { ...SILENT, isEnd: true };
  if (data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  if (event === undefined) return { ...SILENT, error: brokenErrorText(data) };
  const choices = listField(event, 'choices');
  const finished = choices.some((choice) => stringField(choice, 'finish_reason') !== null);
  const usage = openAiUsage(event);
  return {
    outputTokens: choices.filter(carriesOutput).length,
    usage,
    isUsageOnly: usage !== null && choices.length === 0,
    isEnd: endsBy === 'finish-reason' && finished,
    error: errorText(field(event, 'error')),
  };
}

function carriesOutput(choice: unknown): boolean {
  const delta = field(choice, 'delta');
  return (
    stringField(choice, 'text') !== null ||
    OUTPUT_FIELDS.some((name) => stringField(delta, name) !== null) ||
    listField(delta, 'tool_calls').length > 0
  );
}

/** The error's own words, whether it is a text or an object with a message. */
export function errorText(error: unknown): string | null {
  if (error === undefined || error === null) return null;
  if (typeof error === 'string') return error.slice(0, MAX_ERROR_CHARS);
  return (stringField(error, 'message') ?? JSON.stringify(error)).slice(0, MAX_ERROR_CHARS);
}

/** transformers serve puts an error's text between quotes without escaping it. */
export function brokenErrorText(data: string): string | null {
  return /^\s*\{\s*"error"\s*:/.test(data) ? data.slice(0, MAX_ERROR_CHARS) : null;
}
