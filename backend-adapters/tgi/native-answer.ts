/**
 * TGI's own answers: `{generated_text, details?}`, in a list on `/`, and
 * streams of one event a token, of which the last one has `generated_text`
 * (lib.rs, GenerateResponse and StreamResponse). No `[DONE]` follows.
 */
import type { StreamEvent, Usage } from '../adapter.ts';
import { countField, field, listField, parseJson, stringField } from '../engine-answer.ts';
import { SILENT } from '../openai-response.ts';

const MAX_EVENT_CHARS = 1_048_576;
const MAX_ERROR_CHARS = 512;

/** Told only where the caller asked for `details`; what the prompt took is in a header. */
export function nativeUsage(answer: unknown): Usage | null {
  const generation: unknown = Array.isArray(answer) ? answer[0] : answer;
  const details = field(generation, 'details');
  const best = countField(details, 'generated_tokens');
  if (best === null) return null;
  const others = listField(details, 'best_of_sequences').map(
    (sequence) => countField(sequence, 'generated_tokens') ?? 0,
  );
  return {
    promptTokens: countField(details, 'input_length'),
    completionTokens: best + others.reduce((sum, tokens) => sum + tokens, 0),
    cachedTokens: null,
  };
}

/** An event without its token is none of this stream's, and an error ends it. */
export function nativeStreamEvent(data: string): StreamEvent {
  if (data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  return {
    outputTokens: field(event, 'token') === undefined ? 0 : 1,
    usage: nativeUsage(event),
    isEnd: typeof field(event, 'generated_text') === 'string',
    error: stringField(event, 'error')?.slice(0, MAX_ERROR_CHARS) ?? null,
    isUsageOnly: false,
  };
}
