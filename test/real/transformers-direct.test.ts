/**
 * What kvgate's transformers adapter takes for granted, asked of a real
 * `transformers serve` with nothing between. A failure here means that it has
 * changed.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type Completion, dataOf, eventsOf, user } from '../support/model-client.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { startTransformersServer } from '../support/transformers-server.ts';

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
const RESPONSES = '/v1/responses';
const PLAIN_500 = { status: 500, text: 'Internal Server Error' };

function suite(): void {
  let server: RunningPythonServer;
  beforeAll(async () => {
    server = await startTransformersServer();
  }, 150_000);
  afterAll(() => server.stop());
  const post = <T = Completion>(path: string, body: unknown, headers = {}) =>
    ask<T>(`${server.url}${path}`, body, headers);
  const chat = (fields: object, headers = {}) =>
    post(CHAT, { messages: user('hi'), ...fields }, headers);

  test('its routes: nothing that counts tokens or tells of memory', async () => {
    const { body } = await ask<{ paths: object }>(`${server.url}/openapi.json`);
    expect(Object.keys(body.paths).sort()).toEqual([
      '/health',
      '/load_model',
      '/reset',
      '/v1/audio/transcriptions',
      CHAT,
      TEXT,
      '/v1/models',
      RESPONSES,
    ]);
    expect(await ask(`${server.url}/health`)).toMatchObject({ body: { status: 'ok' } });
    // The Hugging Face cache, not what it serves.
    const models = await ask(`${server.url}/v1/models`);
    expect(models.body).toEqual({ object: 'list', data: [] });
  });

  test('a chat answer takes over the request id and names the model with its revision', async () => {
    const { headers, body } = await chat({ max_tokens: 3 }, { 'x-request-id': 'mine' });
    expect(headers.get('x-request-id')).toBe('mine');
    expect(body).toEqual({
      id: 'mine',
      object: 'chat.completion',
      created: expect.any(Number),
      model: `${server.model}@main`,
      choices: [
        { index: 0, finish_reason: 'length', message: { role: 'assistant', content: 'abc' } },
      ],
      usage: { prompt_tokens: 26, completion_tokens: 3, total_tokens: 29 },
    });
  });

  test.each([{}, { stream_options: { include_usage: false } }])(
    'a chat stream with %j ends with a chunk of finish reason and usage, and no [DONE]',
    async (options) => {
      const { text } = await chat({ max_tokens: 2, stream: true, ...options });
      const delta = (delta: object) => ({ choices: [{ index: 0, delta }] });
      expect(eventsOf(text).map(dataOf)).toMatchObject([
        delta({ role: 'assistant' }),
        delta({ content: 'a' }),
        delta({ content: 'b' }),
        {
          choices: [{ delta: {}, finish_reason: 'length' }],
          usage: { prompt_tokens: 26, completion_tokens: 2, total_tokens: 28 },
        },
      ]);
    },
  );

  test('so does a text stream; a newline at the end makes the model stop', async () => {
    const { text } = await post(TEXT, { prompt: 'x\n', max_tokens: 9, stream: true });
    expect(eventsOf(text).map(dataOf)).toMatchObject([
      {
        choices: [{ index: 0, text: '', finish_reason: 'stop' }],
        usage: { prompt_tokens: 2, completion_tokens: 1 },
      },
    ]);
  });

  test.each([
    { fields: { max_tokens: 4, max_completion_tokens: 2 }, generated: 4 },
    { fields: { max_tokens: '3' }, generated: 3 },
    { fields: { max_tokens: 3.7 }, generated: 3 },
    { fields: { max_tokens: 3, n: 2 }, generated: 3 },
    { fields: { generation_config: '{"max_new_tokens":5}' }, generated: 5 },
    { fields: { generation_config: '{"max_new_tokens":5}', max_tokens: 2 }, generated: 2 },
    // transformers' own default length, far below the 1,024 of a request without the field.
    { fields: { generation_config: '{}' }, generated: 20 },
  ])('$fields generates $generated tokens', async ({ fields, generated }) => {
    const { body } = await chat(fields);
    expect(body.usage.completion_tokens).toBe(generated);
    expect(body.choices).toHaveLength(1);
  });

  test('max_completion_tokens is ignored, and without max_tokens the limit is 1,024', async () => {
    const { body } = await chat({ max_completion_tokens: 3 });
    expect(body.usage.completion_tokens).toBe(1_024);
  }, 90_000);

  test('no context limit: a prompt beyond the positions of the model is served', async () => {
    const { body } = await post(TEXT, { prompt: 'x'.repeat(5_000), max_tokens: 1 });
    expect(body.usage).toMatchObject({ prompt_tokens: 5_000, completion_tokens: 1 });
  });

  test.each(['zzz', 'top_k', 'cache_salt', 'min_tokens'])(
    'a key %s that it does not know is refused with 422',
    async (key) => {
      expect(await chat({ max_tokens: 1, [key]: 1 })).toMatchObject({
        status: 422,
        body: { detail: `Unexpected fields in the request: {'${key}'}` },
      });
    },
  );

  test.each(['{"model":', '[1]', ''])('the body %j is refused with 422', async (body) => {
    const reply = await post<{ detail: unknown }>(CHAT, body);
    expect(reply.status).toBe(422);
    expect(reply.body.detail).toMatchObject([{ loc: expect.arrayContaining(['body']) }]);
  });

  test.each([
    { max_tokens: 'x' },
    { max_tokens: 0 },
    { temperature: -1 },
    { messages: 'x' },
    { generation_config: { max_new_tokens: 5 } },
  ])('%j is a plain 500 without a request id', async (fields) => {
    const reply = await chat(fields);
    expect(reply).toMatchObject(PLAIN_500);
    expect(reply.headers.has('x-request-id')).toBe(false);
  });

  test('a fault within a stream is an event that ends it', async () => {
    const { status, text } = await chat({ max_tokens: 0, stream: true });
    expect(status).toBe(200);
    expect(eventsOf(text).at(-1)).toMatch(/^data: {"error": ".*greater than 0, but is 0\."}$/);
  });

  test('the model is pinned, and need not be named; a prompt is one string', async () => {
    expect(await chat({ model: 'nope', max_tokens: 1 })).toMatchObject({
      status: 400,
      body: { detail: `Server is pinned to '${server.model}'; requested 'nope'.` },
    });
    expect(await post(TEXT, { prompt: ['a', 'b'], max_tokens: 1 })).toMatchObject({
      status: 400,
      body: { detail: 'prompt must be a string.' },
    });
  });

  test('/v1/responses streams unless told not to, without event lines and without [DONE]', async () => {
    const request = { input: 'hi', max_output_tokens: 2 };
    const events = eventsOf((await post(RESPONSES, request)).text);
    expect(events.every((event) => event.startsWith('data: '))).toBe(true);
    const data = events.map((event) => dataOf(event) as { type: string });
    expect(data.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    const usage = { input_tokens: 26, output_tokens: 2 };
    expect(data.at(-1)).toMatchObject({ response: { status: 'completed', usage } });
    const { body } = await post(RESPONSES, { ...request, stream: false });
    expect(body).toMatchObject({ status: 'completed', usage });
  });

  test('one generation at a time: a second stream gets its role chunk and then waits', async () => {
    const stream = (tokens: number) =>
      rawPost(CHAT, JSON.stringify({ messages: user('hi'), max_tokens: tokens, stream: true }));
    const first = await connectRaw(server.url);
    const second = await connectRaw(server.url);
    await first.send(stream(100));
    await first.until('"content":"a"');
    await second.send(stream(2));
    await second.until('"role":"assistant"');
    expect(second.text()).not.toContain('"content"');
    await second.until('finish_reason');
    expect(first.text()).toContain('"completion_tokens":100');
    first.destroy();
    second.destroy();
  });

  test('a client that leaves ends a stream, and nothing else', async () => {
    const afterLeaving = async (stream: boolean) => {
      const seen = received(server);
      const leaving = await connectRaw(server.url);
      await leaving.send(rawPost(TEXT, JSON.stringify({ prompt: 'a', max_tokens: 250, stream })));
      await eventually(() => expect(received(server)).toBe(seen + 1));
      leaving.destroy();
      const startMs = performance.now();
      await post(TEXT, { prompt: 'a', max_tokens: 1 });
      return performance.now() - startMs;
    };
    const streamMs = await afterLeaving(true);
    const wholeMs = await afterLeaving(false);
    expect(streamMs).toBeLessThan(wholeMs / 2);
  });
}

/** How many generation requests it says that it has received. */
const received = (server: RunningPythonServer) =>
  server.log().split('[Request received]').length - 1;

describeReal('transformers serve', suite, findPython('transformers'));
