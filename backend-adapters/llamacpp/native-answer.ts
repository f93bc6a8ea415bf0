/**
 * Answers of llama-server's own text routes: one object for each sequence, an
 * array of them where there are several, and streams that end without `[DONE]`
 * (server-task.cpp; asked of build 11669).
 */
import type { StreamEvent, Usage } from '../adapter.ts';
import { countField, field, parseJson, stringField } from '../engine-answer.ts';
import { openAiStreamEvent, SILENT } from '../openai-response.ts';

/** Events are a few KiB; a longer one is passed on unread. */
const MAX_EVENT_CHARS = 1_048_576;

/** Several sequences repeat the tokens of a prompt that they share, so its size is unknown then. */
export function nativeUsage(answer: unknown): Usage | null {
  if (!Array.isArray(answer)) return sequenceUsage(answer);
  const outputs = answer.map((sequence) => countField(sequence, 'tokens_predicted'));
  const known = outputs.flatMap((tokens) => tokens ?? []);
  if (known.length === 0 || known.length < outputs.length) return null;
  const completionTokens = known.reduce((sum, tokens) => sum + tokens, 0);
  return { promptTokens: null, completionTokens, cachedTokens: null };
}

function sequenceUsage(sequence: unknown): Usage | null {
  const promptTokens = countField(sequence, 'tokens_evaluated');
  const completionTokens = countField(sequence, 'tokens_predicted');
  if (promptTokens === null && completionTokens === null) return null;
  const cachedTokens = countField(field(sequence, 'timings'), 'cache_n');
  return { promptTokens, completionTokens, cachedTokens };
}

/**
 * Every event says `stop: false` but the last of its sequence, which may lack
 * the field: `response_fields` chooses what is in that one. Several prompts
 * with several samples begin with an event that is null.
 */
export function nativeStreamEvent(data: string): StreamEvent {
  const event = data.length > MAX_EVENT_CHARS ? undefined : parseJson(data);
  const isSequence = typeof event === 'object' && event !== null && !Array.isArray(event);
  if (!isSequence || field(event, 'error') !== undefined) return openAiStreamEvent(data, 'done');
  return {
    ...SILENT,
    outputTokens: stringField(event, 'content') === null ? 0 : 1,
    usage: sequenceUsage(event),
    isEnd: field(event, 'stop') !== false,
  };
}
