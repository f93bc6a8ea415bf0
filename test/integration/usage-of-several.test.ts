/** llama-server tells the timings of each sequence in its own last chunk, and of all of them nowhere. */
import { afterEach, expect, test } from '@jest/globals';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerStream } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

test('the output of a stream of two sequences is that of both', async () => {
  stub = await startGuardedStub();
  const chunk = (index: number, fields: object, more: object = {}) =>
    `data: ${JSON.stringify({ choices: [{ index, ...fields }], ...more })}\n\n`;
  const text = (index: number) => chunk(index, { delta: { content: 'a' } });
  const finish = (index: number) =>
    chunk(
      index,
      { delta: {}, finish_reason: 'length' },
      { timings: { cache_n: 0, prompt_n: 70, predicted_n: 3 } },
    );
  const events = [0, 1, 0, 1, 0, 1].map(text).join('') + finish(1) + finish(0);
  stub.backend.answerWith(answerStream(`${events}data: [DONE]\n\n`));
  const answer = await stub.post(chat({ n: 2, stream: true, max_tokens: 3 }));
  await answer.text();
  await stub.settled();
  const metrics = await (await fetch(`${stub.url}/metrics`)).text();
  expect(metrics).toMatch(/kvgate_tokens_total\{[^}]*kind="output"[^}]*\} 6\n/);
});
