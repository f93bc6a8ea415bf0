/** `--response-metadata` adds one member to a JSON answer and leaves every other byte alone. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { ANSWER, answerJson, answerStream, STREAM } from '../support/stub-backend.ts';

let stub: GuardedStub;
beforeAll(async () => {
  stub = await startGuardedStub({ 'response-metadata': true });
});
afterAll(() => stub.stop());

test('a JSON answer gets a metadata object at its end', async () => {
  stub.backend.answerWith(
    answerJson(200, ANSWER, { 'content-length': String(Buffer.byteLength(ANSWER)) }),
  );
  const answer = await stub.post(chat({ max_tokens: 16 }));
  const text = await answer.text();
  const [, before, metadata, after] = /^([\s\S]*),"metadata":(\{[^{}]*\})(\}\s*)$/.exec(text) ?? [];
  expect(`${before}${after}`).toBe(ANSWER);
  expect(JSON.parse(metadata ?? '')).toEqual({
    request_id: answer.headers.get('x-request-id'),
    model_id: 'gpt-oss-20b',
    model_size: '20b',
    dtype: expect.any(String),
    gpu_mode: expect.any(String),
    prompt_version: expect.any(String),
    cache_key: answer.headers.get('x-kvgate-cache-key'),
    cache_hit: null,
    tokens_before: 16,
    tokens_after: 16,
    admission_action: 'accept',
  });
});

test('a stream stays as it is', async () => {
  stub.backend.answerWith(answerStream(STREAM));
  expect(await (await stub.post(chat({ stream: true }))).text()).toBe(STREAM);
});

const untouched: [string, string][] = [
  ['a list', '[1]'],
  ['no JSON', 'plain'],
  ['JSON with a field named twice', '{"a":1,"a":2}'],
  ['an answer too long to be held', JSON.stringify({ text: 'x'.repeat(9_000_000) })],
];
test.each(untouched)('%s stays as it is', async (_name, text) => {
  stub.backend.answerWith(answerJson(200, text));
  const answer = await (await stub.post(chat())).text();
  expect(answer.length).toBe(text.length);
  expect(answer === text).toBe(true);
});
