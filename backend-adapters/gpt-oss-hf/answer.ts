/** What an answer of gpt-oss-hf-server tells of tokens. */
import type { Usage } from '../adapter.ts';
import { countField, field } from '../engine-answer.ts';

/**
 * Its `completion_tokens` are words and its `prompt_tokens` those before the
 * prompt was cut; the tokens that were evaluated are in `total_tokens`
 * (server.py, chat_completion). 0 stands for a count that it did not make.
 */
export function usageOf(answer: unknown): Usage | null {
  const usage = field(answer, 'usage');
  if (typeof usage !== 'object' || usage === null) return null;
  const evaluated = countField(usage, 'total_tokens');
  return {
    promptTokens: evaluated === 0 ? null : evaluated,
    completionTokens: null,
    cachedTokens: null,
  };
}
