/** `--mode observe` decides and reports, and lets everything pass as it came. */
import { afterEach, expect, test } from '@jest/globals';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { ANSWER, answerJson, beginStream } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

test('what would have been refused is forwarded, byte for byte', async () => {
  stub = await startGuardedStub({ mode: 'observe', 'queue-max': 0 }, { slots: 1 });
  stub.backend.answerWith(beginStream(': waiting\n\n', () => {}));
  await stub.post(chat({ stream: true }));
  stub.backend.answerWith(answerJson(200, ANSWER));

  const body = ` ${chat({ max_tokens: 16 })}\n`;
  const answer = await stub.post(body);
  expect([answer.status, await answer.text()]).toEqual([200, ANSWER]);
  expect(answer.headers.get('x-kvgate-decision')).toBe('reject');
  expect(answer.headers.get('x-kvgate-reason')).toBe('queue_full');
  expect(answer.headers.has('x-kvgate-changed')).toBe(false);
  expect(stub.backend.received[1]?.body().toString()).toBe(body);
});

test('what can never fit is forwarded as well', async () => {
  stub = await startGuardedStub({ mode: 'observe' }, { contextTokens: 512 });
  const body = chat({ messages: [{ role: 'user', content: 'many words '.repeat(2000) }] });
  const answer = await stub.post(body);
  expect(answer.status).toBe(200);
  expect(answer.headers.get('x-kvgate-reason')).toBe('never_fits');
  expect(stub.backend.received[0]?.body().toString()).toBe(body);
});

test('what makes no sense is still refused', async () => {
  stub = await startGuardedStub({ mode: 'observe' });
  expect((await stub.post('{}')).status).toBe(400);
  expect(stub.backend.received).toEqual([]);
});
