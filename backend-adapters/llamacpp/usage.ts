/** Usage of a llama-server answer, where it can be trusted. */
import type { Usage } from '../adapter.ts';
import { listField } from '../engine-answer.ts';
import { openAiUsage } from '../openai-response.ts';

/**
 * An answer with several choices carries the usage of the first one only
 * (server-context.cpp), so its completion tokens are unknown.
 */
export function llamacppUsage(answer: unknown): Usage | null {
  const usage = openAiUsage(answer);
  const several = listField(answer, 'choices').length > 1;
  return usage !== null && several ? { ...usage, completionTokens: null } : usage;
}
