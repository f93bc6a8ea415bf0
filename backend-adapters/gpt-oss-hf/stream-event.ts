/**
 * Streams of gpt-oss-hf-server: typed events of its own, no usage, no `[DONE]`
 * (server.py, _stream_generate).
 */
import type { StreamEvent } from '../adapter.ts';
import { field, parseJson } from '../engine-answer.ts';
import { brokenErrorText, errorText, SILENT } from '../openai-response.ts';

const MAX_EVENT_CHARS = 1_048_576;

export function streamEventOf(data: string): StreamEvent {
  if (data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  switch (field(event, 'type')) {
    case 'token':
      // One a token, even where half a character has no text yet.
      return { ...SILENT, outputTokens: 1 };
    case 'done':
      return { ...SILENT, isEnd: true };
    case 'cancelled':
      return { ...SILENT, error: 'the server cancelled it' };
    default: {
      const error = event === undefined ? brokenErrorText(data) : errorText(field(event, 'error'));
      return { ...SILENT, error };
    }
  }
}
