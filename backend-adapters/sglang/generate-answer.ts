/**
 * Answers of `/generate`: `{text, meta_info}`, a list of them for several
 * sequences, and streams of such objects, each with all of its sequence's text
 * and tokens so far, that end with `[DONE]` (entrypoints/http_server.py;
 * managers/tokenizer_manager.py).
 */
import type { StreamEvent, Usage } from '../adapter.ts';
import { countField, field, parseJson, stringField } from '../engine-answer.ts';
import { SILENT } from '../openai-response.ts';
import { abortedAnswer } from './aborted.ts';

const MAX_EVENT_CHARS = 1_048_576;
const MAX_ERROR_CHARS = 512;

/** Summed over the sequences of an answer; the samples of a prompt share its tokens. */
export function generatedUsage(answer: unknown): Usage | null {
  const infos = (Array.isArray(answer) ? answer : [answer])
    .map((generation: unknown) => field(generation, 'meta_info'))
    .filter((info) => countField(info, 'completion_tokens') !== null);
  if (infos.length === 0) return null;
  const sum = (key: string): number | null => {
    const counts = infos.map((info) => countField(info, key));
    return counts.some((count) => count === null)
      ? null
      : counts.reduce<number>((total, count) => total + (count ?? 0), 0);
  };
  const [single] = infos;
  return {
    promptTokens: infos.length === 1 ? countField(single, 'prompt_tokens') : null,
    completionTokens: sum('completion_tokens'),
    cachedTokens: infos.length === 1 ? countField(single, 'cached_tokens') : null,
  };
}

/**
 * One event of one sequence. It may carry several tokens at once: the count of
 * its sequence so far is in its usage, and the higher of both figures holds.
 */
export function generateStreamEvent(data: string): StreamEvent {
  if (data.trim() === '[DONE]') return { ...SILENT, isEnd: true };
  if (data.length > MAX_EVENT_CHARS) return SILENT;
  const event = parseJson(data);
  const usage = generatedUsage(event);
  return {
    outputTokens: (usage?.completionTokens ?? 0) > 0 ? 1 : 0,
    usage,
    isEnd: false,
    error: errorOf(event) ?? abortedAnswer(event),
    isUsageOnly: false,
  };
}

function errorOf(event: unknown): string | null {
  const error = field(event, 'error');
  const message = stringField(error, 'message') ?? stringField(event, 'error');
  return message?.slice(0, MAX_ERROR_CHARS) ?? null;
}
