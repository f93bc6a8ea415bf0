/** How long a request asks the model to think, in whatever words. */
import { expect, test } from '@jest/globals';
import { reasoningEffortOf } from '../../backend-adapters/reasoning-effort.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { ANY_FACTS, CHAT, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const long = 'x'.repeat(10_000);

test.each<[Record<string, unknown>, string | null]>([
  [{}, null],
  [{ reasoning_effort: 'low' }, 'low'],
  [{ reasoning_effort: 'xhigh' }, 'xhigh'],
  [{ reasoning_effort: null }, null],
  [{ reasoning_effort: 'very' }, null],
  [{ reasoning_effort: 3 }, null],
  [{ reasoning: { effort: 'high', summary: 'auto' } }, 'high'],
  [{ reasoning: 'high' }, null],
  [{ chat_template_kwargs: { reasoning_effort: 'medium' } }, 'medium'],
  [{ chat_template_kwargs: { enable_thinking: false } }, 'none'],
  [{ chat_template_kwargs: { enable_thinking: true } }, null],
  [{ chat_template_kwargs: { reasoning_effort: 'low', documents: long } }, null],
  [{ output_config: { effort: 'max' } }, 'max'],
  [{ thinking: { type: 'enabled', budget_tokens: 2_048 } }, null],
  [{ thinking: { type: 'disabled' }, output_config: { effort: 'high' } }, 'none'],
  [{ think: false }, 'none'],
  [{ think: true }, null],
  [{ think: 'high' }, 'high'],
])('%j: %s', (fields, effort) => {
  expect(reasoningEffortOf(scannedRequest(CHAT, { messages: MESSAGES, ...fields }))).toBe(effort);
});

test('a word that is not known is no mistake, and what is known gets into the shape', () => {
  const shapeOf = (reasoning_effort: unknown) =>
    vllm.parse(scannedRequest(CHAT, { messages: MESSAGES, reasoning_effort }), ANY_FACTS);
  expect(shapeOf('high')).toMatchObject({ reasoningEffort: 'high' });
  expect(shapeOf('very')).toMatchObject({ reasoningEffort: null });
});
