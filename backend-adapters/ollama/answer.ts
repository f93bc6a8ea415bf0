/**
 * Answers of Ollama's own routes, and their streams of lines: the last one says
 * `done` and carries the counts (api/types.go, Metrics; docs/api.md).
 */
import type { GenerationRoute, StreamEvent, Usage } from '../adapter.ts';
import { usageByRoute } from '../by-route.ts';
import { countField, field, listField, parseJson, stringField } from '../engine-answer.ts';
import { brokenErrorText, errorText, SILENT } from '../openai-response.ts';

const MAX_LINE_CHARS = 1_048_576;

export function usageOf(answer: unknown, route: GenerationRoute): Usage | null {
  return route.api === 'ollama' ? nativeUsage(answer) : usageByRoute(answer, route);
}

/** A count of 0 is left out by Ollama, as is one that it did not make: both are unknown. */
function nativeUsage(answer: unknown): Usage | null {
  const promptTokens = countField(answer, 'prompt_eval_count');
  const completionTokens = countField(answer, 'eval_count');
  if (promptTokens === null && completionTokens === null) return null;
  return { promptTokens, completionTokens, cachedTokens: null };
}

/** One line. A line with output counts as one token; the last one corrects it. */
export function streamLine(line: string): StreamEvent {
  if (line.length > MAX_LINE_CHARS) return SILENT;
  const event = parseJson(line);
  if (event === undefined) return { ...SILENT, error: brokenErrorText(line) };
  const isEnd = field(event, 'done') === true;
  return {
    ...SILENT,
    outputTokens: carriesOutput(event) ? 1 : 0,
    usage: isEnd ? nativeUsage(event) : null,
    isEnd,
    error: errorText(field(event, 'error')),
  };
}

function carriesOutput(event: unknown): boolean {
  const message = field(event, 'message');
  return (
    ['response', 'thinking'].some((name) => stringField(event, name) !== null) ||
    ['content', 'thinking'].some((name) => stringField(message, name) !== null) ||
    listField(message, 'tool_calls').length > 0
  );
}
