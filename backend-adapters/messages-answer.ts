/**
 * Answers and events of Anthropic's Messages API (anthropic-sdk-typescript,
 * resources/messages/messages.ts, RawMessageStreamEvent; its documentation,
 * "Streaming messages"). A stream ends with `message_stop`; vLLM sends
 * `[DONE]` after it.
 */
import type { StreamEvent, Usage } from './adapter.ts';
import { countField, field, parseJson, stringField } from './engine-answer.ts';
import { brokenErrorText, errorText, MAX_EVENT_CHARS, SILENT } from './openai-response.ts';

/** Fields of a block's delta that carry output; a signature is none of the model's. */
const OUTPUT_FIELDS = ['text', 'thinking', 'partial_json'];

/**
 * The `usage` of a message; null when it has none. Tokens read from the cache
 * and written to it are no part of `input_tokens` (llama.cpp subtracts those
 * read; vLLM tells neither), so the prompt is the sum. The `message_delta`
 * that ends a stream may tell the output alone.
 */
export function messagesUsage(message: unknown): Usage | null {
  const usage = field(message, 'usage');
  if (typeof usage !== 'object' || usage === null) return null;
  const input = countField(usage, 'input_tokens');
  const read = countField(usage, 'cache_read_input_tokens');
  const written = countField(usage, 'cache_creation_input_tokens');
  return {
    promptTokens: input === null ? null : input + (read ?? 0) + (written ?? 0),
    completionTokens: countField(usage, 'output_tokens'),
    cachedTokens: read,
  };
}

/** One `data:` payload; `ping` and whatever is added later mean nothing. */
export function messagesStreamEvent(data: string): StreamEvent {
  if (data.trim() === '[DONE]' || data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  if (event === undefined) return { ...SILENT, error: brokenErrorText(data) };
  const error = errorText(field(event, 'error'));
  if (error !== null) return { ...SILENT, error };
  switch (stringField(event, 'type')) {
    case 'message_start':
      return { ...SILENT, usage: messagesUsage(field(event, 'message')) };
    case 'message_delta':
      return { ...SILENT, usage: messagesUsage(event) };
    case 'message_stop':
      return { ...SILENT, isEnd: true };
    case 'content_block_delta': {
      const delta = field(event, 'delta');
      const isOutput = OUTPUT_FIELDS.some((name) => stringField(delta, name) !== null);
      return { ...SILENT, outputTokens: isOutput ? 1 : 0 };
    }
    case 'error':
      return { ...SILENT, error: 'the engine reported an error' };
    default:
      return SILENT;
  }
}
