/** The official client as a witness: what kvgate says is what it understands. */
import { afterEach, describe, expect, test } from '@jest/globals';
import OpenAI, { APIError } from 'openai';
import { eventually } from '../support/eventually.ts';
import { type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import {
  ANSWER,
  answerJson,
  answerStream,
  beginStream,
  EVENTS,
  type Script,
  STREAM,
} from '../support/stub-backend.ts';

let stub: GuardedStub;
/** Requests that the client made, retries included. */
let hits = 0;
afterEach(() => stub.stop());

const QUESTION = {
  model: 'gpt-oss-20b',
  messages: [{ role: 'user' as const, content: 'hi' }],
  max_tokens: 16,
};
const WHOLE = EVENTS[2] ?? '';

async function client(
  options: { readonly maxRetries?: number } = {},
  ...start: Parameters<typeof startGuardedStub>
): Promise<OpenAI> {
  stub = await startGuardedStub(...start);
  hits = 0;
  return new OpenAI({
    baseURL: `${stub.url}/v1`,
    apiKey: 'sk-test',
    maxRetries: 0,
    ...options,
    fetch: (...request) => {
      hits += 1;
      return fetch(...request);
    },
  });
}

async function textOf(openai: OpenAI): Promise<string> {
  let text = '';
  for await (const chunk of await openai.chat.completions.create({ ...QUESTION, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? '';
  }
  return text;
}

test('a chat', async () => {
  const openai = await client();
  stub.backend.answerWith(answerJson(200, ANSWER));
  const answer = await openai.chat.completions.create(QUESTION);
  expect(answer.choices[0]?.message.content).toBe('h\u00e9 \u00e9\u4e16');
  expect(answer.usage?.completion_tokens).toBe(2);
});

test('a stream', async () => {
  const openai = await client();
  stub.backend.answerWith(answerStream(STREAM));
  expect(await textOf(openai)).toBe('h\u00e9\u4e16');
});

describe('a broken stream raises', () => {
  const breaks: [string, Script][] = [
    ['when it ends without its end', beginStream(WHOLE, ({ response }) => void response.end())],
    ['when the backend dies', beginStream(WHOLE, ({ socket }) => void socket.destroy())],
    [
      'when the engine reports an error',
      answerStream(`${WHOLE}data: {"error":{"message":"overflow"}}\n\n`),
    ],
  ];
  test.each(breaks)('%s', async (_name, script) => {
    const openai = await client();
    stub.backend.answerWith(script);
    await expect(textOf(openai)).rejects.toBeInstanceOf(APIError);
  });
});

test('429 is retried after Retry-After, and then succeeds', async () => {
  const openai = await client({ maxRetries: 3 }, { 'queue-max': 0 }, { slots: 1 });
  const finish: (() => void)[] = [];
  stub.backend.answerWith(
    beginStream(WHOLE, ({ response }) => void finish.push(() => response.end('data: [DONE]\n\n'))),
  );
  const first = textOf(openai);
  await eventually(() => expect(finish).toHaveLength(1));
  stub.backend.answerWith(answerJson(200, ANSWER));

  const beganAtMs = performance.now();
  const second = openai.chat.completions.create(QUESTION);
  await eventually(async () => {
    const page = await (await fetch(`${stub.url}/metrics`)).text();
    expect(page).toContain('admission_rejected_total{reason="queue_full"} 1');
  });
  for (const end of finish) end();
  await first;
  expect((await second).choices[0]?.finish_reason).toBe('stop');
  expect(performance.now() - beganAtMs).toBeGreaterThan(900);
  expect(hits).toBe(3);
});

test('what a retry can not mend is asked once', async () => {
  const openai = await client({ maxRetries: 3 });
  const asked = openai.chat.completions.create({ ...QUESTION, max_tokens: -5 });
  await expect(asked).rejects.toMatchObject({ status: 400, param: 'max_tokens' });
  expect(hits).toBe(1);
  expect(stub.backend.received).toEqual([]);
});

test('what can never fit is asked once', async () => {
  const openai = await client({ maxRetries: 3 }, {}, { contextTokens: 512 });
  const messages = [{ role: 'user' as const, content: 'many words '.repeat(2000) }];
  const asked = openai.chat.completions.create({ ...QUESTION, messages });
  await expect(asked).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  expect(hits).toBe(1);
});

test('an abort reaches the backend', async () => {
  const openai = await client();
  stub.backend.answerWith(beginStream(WHOLE, () => {}));
  const stream = await openai.chat.completions.create({ ...QUESTION, stream: true });
  for await (const chunk of stream) {
    expect(chunk.choices).toHaveLength(1);
    break;
  }
  await eventually(() => expect(stub.backend.open()).toBe(0));
  await stub.settled();
});
