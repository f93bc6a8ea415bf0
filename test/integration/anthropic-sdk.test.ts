/** The official Anthropic client as a witness that a broken message is never read as a whole one. */
import Anthropic, { APIError } from '@anthropic-ai/sdk';
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerJson, answerStream, beginStream, type Script } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

const ASKED = {
  model: 'gpt-oss-20b',
  max_tokens: 16,
  messages: [{ role: 'user' as const, content: 'hi' }],
};

function event(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  content: [],
  model: 'm',
  stop_reason: null,
  stop_sequence: null,
  usage: { input_tokens: 5, cache_read_input_tokens: 15, output_tokens: 0 },
};
const BEGUN =
  event('message_start', { message: MESSAGE }) +
  event('ping') +
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
  event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'h\u00e9' } });
const END =
  event('content_block_stop', { index: 0 }) +
  event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 3 } }) +
  event('message_stop');

async function client(): Promise<Anthropic> {
  stub = await startGuardedStub();
  return new Anthropic({ baseURL: stub.url, apiKey: 'sk-test', maxRetries: 0 });
}

test.each([
  ['alone', ''],
  ['with [DONE] after it, as vLLM sends it', 'data: [DONE]\n\n'],
])('message_stop ends a stream: %s', async (_, after) => {
  const anthropic = await client();
  stub.backend.answerWith(answerStream(BEGUN + END + after, 7));
  const message = await anthropic.messages.stream(ASKED).finalMessage();
  expect(message.content).toMatchObject([{ type: 'text', text: 'h\u00e9' }]);
  expect(message.usage).toMatchObject({ input_tokens: 5, output_tokens: 3 });
  expect(stub.backend.received[0]?.url).toBe('/v1/messages');
  expect(stub.backend.received[0]?.headers).toHaveProperty('anthropic-version');
  await stub.settled();
});

test('the prompt told at the beginning and the output told at the end are both learned', async () => {
  const anthropic = await client();
  stub.backend.answerWith(answerStream(BEGUN + END));
  await anthropic.messages.stream(ASKED).finalMessage();
  await eventually(async () => {
    const page = await (await fetch(`${stub.url}/metrics`)).text();
    expect(page).toMatch(/^kvgate_prefix_cache_hit_tokens_total\{.*\} 15$/m);
    expect(page).toMatch(/^kvgate_tokens_total\{.*kind="prompt".*\} 20$/m);
    expect(page).toMatch(/^kvgate_tokens_total\{.*kind="output".*\} 3$/m);
  });
});

describe('a broken stream raises', () => {
  const overloaded = event('error', { error: { type: 'overloaded_error', message: 'm' } });
  const breaks: readonly (readonly [string, Script])[] = [
    ['when it ends without its end', answerStream(BEGUN)],
    ['when [DONE] is all its end', answerStream(`${BEGUN}data: [DONE]\n\n`)],
    ['when its last event is cut', answerStream((BEGUN + END).slice(0, -9))],
    ['when the backend dies', beginStream(BEGUN, ({ socket }) => void socket.destroy())],
    ['at an error event', answerStream(BEGUN + overloaded)],
    ['at an error that has no event', answerStream(`${BEGUN}data: {"error":{"message":"m"}}\n\n`)],
  ];
  test.each(breaks)('%s', async (_, script) => {
    const anthropic = await client();
    stub.backend.answerWith(script);
    await expect(anthropic.messages.stream(ASKED).finalMessage()).rejects.toMatchObject({
      message: expect.any(String),
    });
    await stub.settled();
  });

  test('with what kvgate says of it', async () => {
    const anthropic = await client();
    stub.backend.answerWith(beginStream(BEGUN, ({ socket }) => void socket.destroy()));
    const asked = anthropic.messages.stream(ASKED).finalMessage();
    await expect(asked).rejects.toBeInstanceOf(APIError);
    await expect(asked).rejects.toMatchObject({ type: 'api_error' });
  });
});

test.each([
  ['an error of the engine', answerStream(event('error', { error: { message: 'it broke' } })), 502],
  ['a status of its own', answerJson(500, '{"error":{"message":"it broke"}}'), 502],
])('a failure before the stream begins has a status: %s', async (_, script, status) => {
  const anthropic = await client();
  stub.backend.answerWith(script);
  const asked = anthropic.messages.stream(ASKED).finalMessage();
  await expect(asked).rejects.toMatchObject({ status, type: 'api_error' });
});

test('a query is no part of the route: clients that use what is beta send one', async () => {
  const anthropic = (await client()).withOptions({ defaultQuery: { beta: 'true' } });
  stub.backend.answerWith(answerJson(200, JSON.stringify({ ...MESSAGE, stop_reason: 'end_turn' })));
  const message = await anthropic.messages.create(ASKED);
  expect(message.stop_reason).toBe('end_turn');
  expect(stub.backend.received[0]?.url).toBe('/v1/messages?beta=true');
  await stub.settled();
});

test('a body too large for kvgate is told in the dialect', async () => {
  stub = await startGuardedStub({ 'max-body-mb': 1 });
  const anthropic = new Anthropic({ baseURL: stub.url, apiKey: 'sk-test', maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: 'x'.repeat(2 ** 20 + 1) }];
  const asked = anthropic.messages.create({ ...ASKED, messages });
  await expect(asked).rejects.toMatchObject({ status: 413, type: 'request_too_large' });
});

test('an abort reaches the backend', async () => {
  const anthropic = await client();
  stub.backend.answerWith(beginStream(BEGUN, () => {}));
  const stream = anthropic.messages.stream(ASKED);
  const ended = stream.done().catch((error: unknown) => error);
  await eventually(() => expect(stub.backend.open()).toBe(1));
  stream.abort();
  expect(await ended).toBeInstanceOf(Anthropic.APIUserAbortError);
  await eventually(() => expect(stub.backend.open()).toBe(0));
  await stub.settled();
});
