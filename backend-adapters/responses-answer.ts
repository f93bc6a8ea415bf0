/**
 * Answers and events of OpenAI's Responses API (openai-node,
 * resources/responses/responses.ts, ResponseStreamEvent). A stream ends with
 * one of three events that hold the whole response; engines need not send
 * `[DONE]` after it (llama.cpp and transformers do not).
 */
import type { StreamEvent, Usage } from './adapter.ts';
import { countField, field, parseJson, stringField } from './engine-answer.ts';
import { brokenErrorText, errorText, MAX_EVENT_CHARS, SILENT } from './openai-response.ts';

/** The `usage` of a response; null when it has none. */
export function responsesUsage(response: unknown): Usage | null {
  const usage = field(response, 'usage');
  if (typeof usage !== 'object' || usage === null) return null;
  return {
    promptTokens: countField(usage, 'input_tokens'),
    completionTokens: countField(usage, 'output_tokens'),
    cachedTokens: countField(field(usage, 'input_tokens_details'), 'cached_tokens'),
  };
}

/** One `data:` payload. Every delta, be it text, reasoning or a call's arguments, is output. */
export function responsesStreamEvent(data: string): StreamEvent {
  if (data.trim() === '[DONE]' || data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  if (event === undefined) return { ...SILENT, error: brokenErrorText(data) };
  const type = stringField(event, 'type') ?? '';
  const response = field(event, 'response');
  switch (type) {
    case 'response.completed':
    case 'response.incomplete':
      return { ...SILENT, usage: responsesUsage(response), isEnd: true };
    case 'response.failed':
    case 'response.cancelled': {
      const error = errorText(field(response, 'error')) ?? type;
      return { ...SILENT, usage: responsesUsage(response), error };
    }
    case 'error':
      return { ...SILENT, error: errorText(field(event, 'error') ?? event) };
    default: {
      const isOutput = type.endsWith('.delta') && stringField(event, 'delta') !== null;
      const error = errorText(field(event, 'error'));
      return { ...SILENT, outputTokens: isOutput ? 1 : 0, error };
    }
  }
}
