/** Usage of a llama-server answer, where it can be trusted. */
import type { GenerationRoute, StreamEvent, Usage } from '../adapter.ts';
import { usageByRoute } from '../by-route.ts';
import { countField, field, listField, parseJson } from '../engine-answer.ts';

/**
 * An answer with several choices carries the usage of the first one only
 * (server-context.cpp), so its completion tokens are unknown.
 */
export function llamacppUsage(answer: unknown, route: GenerationRoute): Usage | null {
  const usage = usageByRoute(answer, route);
  const several = listField(answer, 'choices').length > 1;
  return usage !== null && several ? { ...usage, completionTokens: null } : usage;
}

/**
 * The last chunk of a sequence carries `timings` whether usage was asked for
 * or not, so nothing has to be put into the request (server-task.cpp).
 */
export function withTimings(event: StreamEvent, data: string): StreamEvent {
  if (event.usage !== null || !data.includes('"timings"')) return event;
  const timings = field(parseJson(data), 'timings');
  const cachedTokens = countField(timings, 'cache_n');
  const evaluated = countField(timings, 'prompt_n');
  const completionTokens = countField(timings, 'predicted_n');
  if (completionTokens === null) return event;
  const promptTokens =
    evaluated === null || cachedTokens === null ? null : evaluated + cachedTokens;
  return { ...event, usage: { promptTokens, completionTokens, cachedTokens } };
}
