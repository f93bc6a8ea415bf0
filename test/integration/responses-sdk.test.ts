/** The official OpenAI client as a witness that a broken response is never read as a whole one. */
import { afterEach, describe, expect, test } from '@jest/globals';
import OpenAI, { APIError } from 'openai';
import { eventually } from '../support/eventually.ts';
import { type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerStream, beginStream, type Script } from '../support/stub-backend.ts';

let stub: GuardedStub;
afterEach(() => stub.stop());

const ASKED = { model: 'gpt-oss-20b', input: 'hi', max_output_tokens: 16, stream: true } as const;

function event(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

const RESPONSE = { id: 'resp_1', object: 'response', output: [] };
const BEGUN =
  event('response.created', { response: { ...RESPONSE, status: 'in_progress' } }) +
  event('response.output_text.delta', { item_id: 'msg_1', delta: 'h\u00e9' });
const USAGE = { input_tokens: 20, output_tokens: 3, input_tokens_details: { cached_tokens: 15 } };

function ended(type: string): string {
  return event(type, { response: { ...RESPONSE, usage: USAGE } });
}

async function client(): Promise<OpenAI> {
  stub = await startGuardedStub();
  return new OpenAI({ baseURL: `${stub.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
}

async function textOf(openai: OpenAI): Promise<string> {
  let text = '';
  for await (const event of await openai.responses.create(ASKED)) {
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  return text;
}

describe.each(['response.completed', 'response.incomplete'])('%s', (type) => {
  test.each([
    ['', ''],
    [' and [DONE]', 'data: [DONE]\n\n'],
  ])('ends a stream%s, byte for byte', async (_, after) => {
    const openai = await client();
    const whole = BEGUN + ended(type) + after;
    stub.backend.answerWith(answerStream(whole, 7));
    expect(await textOf(openai)).toBe('h\u00e9');
    const body = JSON.stringify(ASKED);
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${stub.url}/v1/responses`, { method: 'POST', headers, body });
    expect(await answer.text()).toBe(whole);
    expect(stub.backend.received.at(-1)?.body().toString()).toBe(body);
    await stub.settled();
  });
});

describe('a broken stream raises', () => {
  const failed = event('response.failed', {
    response: { ...RESPONSE, error: { code: 'server_error', message: 'overflow' } },
  });
  const breaks: readonly (readonly [string, Script])[] = [
    ['when it ends without its end', answerStream(BEGUN)],
    ['when [DONE] is all its end', answerStream(`${BEGUN}data: [DONE]\n\n`)],
    ['when an event is cut', answerStream(BEGUN + ended('response.completed').slice(0, -9))],
    ['when the backend dies', beginStream(BEGUN, ({ socket }) => void socket.destroy())],
    ['when the engine tells an error', answerStream(`${BEGUN}data: {"error":{"message":"m"}}\n\n`)],
    ['at an error event', answerStream(BEGUN + event('error', { message: 'out of memory' }))],
    ['when the response failed', answerStream(BEGUN + failed)],
  ];
  test.each(breaks)('%s', async (_, script) => {
    const openai = await client();
    stub.backend.answerWith(script);
    // Ours is an APIError; after one that the engine sent itself, the connection is cut.
    await expect(textOf(openai)).rejects.toMatchObject({ message: expect.any(String) });
    await stub.settled();
  });

  test('with what kvgate says of it', async () => {
    const openai = await client();
    stub.backend.answerWith(beginStream(BEGUN, ({ socket }) => void socket.destroy()));
    const asked = textOf(openai);
    await expect(asked).rejects.toBeInstanceOf(APIError);
    await expect(asked).rejects.toMatchObject({ code: 'backend_failed', type: 'server_error' });
  });
});

test('an engine that fails before its first byte of output answers with a status', async () => {
  const openai = await client();
  stub.backend.answerWith(answerStream(event('error', { message: 'it broke' })));
  await expect(textOf(openai)).rejects.toMatchObject({ status: 502, code: 'backend_failed' });
});

test('an abort reaches the backend', async () => {
  const openai = await client();
  stub.backend.answerWith(beginStream(BEGUN, () => {}));
  const stream = await openai.responses.create(ASKED);
  for await (const { type } of stream) {
    expect(type).toBe('response.created');
    break;
  }
  await eventually(() => expect(stub.backend.open()).toBe(0));
  await stub.settled();
});

test('tokens are learned from the last event', async () => {
  const openai = await client();
  stub.backend.answerWith(answerStream(BEGUN + ended('response.completed')));
  await textOf(openai);
  await eventually(async () => {
    const page = await (await fetch(`${stub.url}/metrics`)).text();
    expect(page).toMatch(/^kvgate_prefix_cache_hit_tokens_total\{.*\} 15$/m);
  });
});
