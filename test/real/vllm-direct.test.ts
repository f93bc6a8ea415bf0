/**
 * What kvgate's vLLM adapter takes for granted about requests and answers,
 * asked of a real vLLM with nothing between. A failure here means that vLLM has
 * changed.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { ask, type Completion, dataOf, eventsOf, user } from '../support/model-client.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { startVllmServer, VLLM_MODEL } from '../support/vllm-server.ts';

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';
const RESPONSES = '/v1/responses';
const MESSAGES = '/v1/messages';
const KEY = 'a-key-of-the-test';

/** So that a request without a limit is over soon. */
const WINDOW = 1_024;
/** "hi" as Harmony renders it, with the system message that it puts before. */
const HI_TOKENS = 68;

function suite(): void {
  let server: RunningPythonServer;
  beforeAll(async () => {
    const args = ['--max-model-len', String(WINDOW), '--block-size', '32', '--api-key', KEY];
    server = await startVllmServer([...args, '--enable-prompt-tokens-details']);
  }, 150_000);
  afterAll(() => server.stop());

  const post = <T = Completion>(path: string, body: unknown, headers = {}) =>
    ask<T>(`${server.url}${path}`, body, { authorization: `Bearer ${KEY}`, ...headers });
  const chat = (fields: object) => post(CHAT, { messages: user('hi'), ...fields });
  const refusal = async (path: string, body: unknown) => {
    const reply = await post<{ error: unknown }>(path, body);
    expect(reply.status).toBe(400);
    return reply.body.error;
  };

  test('version, models with the window, health without a body', async () => {
    expect((await ask(`${server.url}/version`)).body).toEqual({ version: '0.32.0' });
    expect(await ask(`${server.url}/health`)).toMatchObject({ status: 200, text: '' });
    expect((await post('/v1/models', undefined)).body).toMatchObject({
      object: 'list',
      data: [
        {
          id: VLLM_MODEL,
          owned_by: 'vllm',
          root: server.model,
          parent: null,
          max_model_len: WINDOW,
        },
      ],
    });
  });

  test('the routes that generate', async () => {
    const { body } = await ask<{ paths: object }>(`${server.url}/openapi.json`);
    const others = /^\/(health|load|ping|version|metrics|(de)?tokenize|kv_event|.*elastic_ep)/;
    expect(
      Object.keys(body.paths)
        .filter((path) => !others.test(path))
        .sort(),
    ).toEqual([
      '/generative_scoring',
      '/invocations',
      CHAT,
      `${CHAT}/batch`,
      TEXT,
      MESSAGES,
      `${MESSAGES}/count_tokens`,
      '/v1/models',
      RESPONSES,
      `${RESPONSES}/{response_id}`,
      `${RESPONSES}/{response_id}/cancel`,
      '/v1/systemone',
    ]);
  });

  test('the key guards /v1 alone, and only as a bearer token', async () => {
    const request = { prompt: 'a', max_tokens: 1 };
    for (const headers of [{}, { 'x-api-key': KEY }]) {
      expect(await ask(`${server.url}${TEXT}`, request, headers)).toMatchObject({
        status: 401,
        body: { error: 'Unauthorized' },
      });
    }
    expect(await ask(`${server.url}/invocations`, request)).toMatchObject({ status: 200 });
    expect(await ask(`${server.url}/tokenize`, { prompt: 'é' })).toMatchObject({
      body: { count: 2, max_model_len: WINDOW },
    });
  });

  test.each([
    { fields: { max_tokens: 3, max_completion_tokens: 6 }, generated: 6 },
    { fields: { max_tokens: '5' }, generated: 5 },
    { fields: { max_tokens: 5.0, zzz: 1, model: VLLM_MODEL }, generated: 5 },
  ])('a chat with $fields generates $generated tokens', async ({ fields, generated }) => {
    const { body } = await chat(fields);
    expect(body.usage).toMatchObject({ prompt_tokens: HI_TOKENS, completion_tokens: generated });
  });

  test('a chat without a limit, or with one too large, generates until the window is full', async () => {
    const limits = [{}, { max_tokens: 1_000_000 }, { max_completion_tokens: WINDOW }];
    for (const { body } of await Promise.all(limits.map(chat))) {
      expect(body.usage.completion_tokens).toBe(WINDOW - HI_TOKENS);
    }
  }, 90_000);

  test.each([
    { fields: {}, generated: 16 },
    { fields: { max_tokens: null }, generated: 16 },
    { fields: { prompt: 'x'.repeat(WINDOW - 4), max_tokens: WINDOW }, generated: 4 },
    { fields: { n: 2, max_tokens: 3 }, generated: 6, choices: 2 },
    { fields: { best_of: 2, max_tokens: 3 }, generated: 3 },
    {
      fields: { use_beam_search: true, n: 2, temperature: 0, max_tokens: 3 },
      generated: 6,
      choices: 2,
    },
    { fields: { prompt: ['a', 'bc'], max_tokens: 2 }, generated: 4, choices: 2 },
    { fields: { prompt: [[64, 65], [66]], max_tokens: 2 }, generated: 4, choices: 2 },
    { fields: { prompt: [64, 65], max_tokens: 2 }, generated: 2 },
    { fields: { prompt: 'x\n', max_tokens: 9 }, generated: 1 },
  ])(
    'a text completion with $fields generates $generated',
    async ({ fields, generated, choices }) => {
      const { body } = await post(TEXT, { prompt: 'hello', ...fields });
      expect(body.usage.completion_tokens).toBe(generated);
      expect(body.choices).toHaveLength(choices ?? 1);
    },
  );

  test.each([
    {
      fields: { max_tokens: WINDOW + 1 },
      param: 'max_tokens',
      message: /^max_tokens=1025 cannot be greater than max_model_len=1024\. /,
    },
    {
      fields: { prompt: 'x'.repeat(2_000) },
      param: 'input_tokens',
      message:
        /^This model's maximum context length is 1024 tokens\. However, your prompt contains at least 1025 /,
    },
    {
      fields: { prompt: 'x'.repeat(2_000), stream: true },
      param: 'input_tokens',
      message: /^This model's maximum context length is 1024 /,
    },
    {
      fields: { prompt: 'x'.repeat(WINDOW) },
      param: 'max_tokens',
      message: /^max_tokens must be at least 1, got 0\. /,
    },
    {
      fields: { max_tokens: -1 },
      param: 'max_tokens',
      message: /^max_tokens must be at least 1, got -1\. /,
    },
    {
      fields: { n: 2, temperature: 0 },
      param: null,
      message: /^n must be 1 when using greedy sampling, got 2\.$/,
    },
    {
      fields: { stream_options: { include_usage: true } },
      param: 'stream_options',
      message: /^Stream options can only be defined when /,
    },
    {
      fields: { prompt: [300_000] },
      param: null,
      message: /^Token id 300000 is out of vocabulary$/,
    },
  ])(
    'a text completion with $fields.max_tokens, $param is refused',
    async ({ fields, param, message }) => {
      expect(await refusal(TEXT, { prompt: 'hello', ...fields })).toEqual({
        message: expect.stringMatching(message),
        type: 'BadRequestError',
        param,
        code: 400,
      });
    },
  );

  test('a chat too long, and a body that is none', async () => {
    // Harmony's vocabulary makes of it two tokens for each three letters.
    const long = user('xq '.repeat(1_000));
    const message = "Input length (2068) exceeds model's maximum context length (1024).";
    expect(await refusal(CHAT, { messages: long })).toMatchObject({ message, param: null });
    expect(
      (await post(MESSAGES, { model: VLLM_MODEL, messages: long, max_tokens: 1 })).body,
    ).toEqual({
      type: 'error',
      error: { type: 'BadRequestError', message },
    });
    expect(await refusal(RESPONSES, { input: 'xq '.repeat(1_000) })).toMatchObject({
      message: expect.stringMatching(/^This model's maximum context length .* contains 2068 input/),
    });
    // Not the Anthropic shape, on an Anthropic route.
    for (const path of [CHAT, MESSAGES]) {
      expect(await refusal(path, '{"model":')).toMatchObject({
        type: 'Bad Request',
        message: expect.stringContaining('json_invalid'),
      });
    }
    expect(await post(CHAT, { model: 'nope', messages: user('hi') })).toMatchObject({
      status: 404,
      body: { error: { type: 'NotFoundError', param: 'model' } },
    });
  });

  test.each([
    { options: undefined, usages: 0 },
    { options: { include_usage: false }, usages: 0 },
    { options: { continuous_usage_stats: true }, usages: 0 },
    { options: { include_usage: true }, usages: 1 },
    { options: { include_usage: true, continuous_usage_stats: true }, usages: 4 },
  ])('a chat stream with $options has $usages usages, then [DONE]', async ({ options, usages }) => {
    const { text } = await chat({ max_tokens: 5, stream: true, stream_options: options });
    const events = eventsOf(text.trimEnd());
    expect(events.pop()).toBe('data: [DONE]');
    const chunks = events.map((event) => dataOf(event) as Partial<Completion>);
    expect(chunks.filter(({ usage }) => usage !== undefined)).toHaveLength(usages);
    // The three tokens of the channel's header give no chunk; the last letter has the reason.
    expect(chunks).toMatchObject([
      { choices: [{ delta: { role: 'assistant', content: '' } }] },
      { choices: [{ delta: { content: 'a' }, finish_reason: null }] },
      { choices: [{ delta: { content: 'b' }, finish_reason: 'length' }] },
      ...(options?.include_usage ? [{ choices: [], usage: { completion_tokens: 5 } }] : []),
    ]);
  });

  test('/v1/responses: named events, completed though incomplete, no [DONE]', async () => {
    const { text } = await post(RESPONSES, { input: 'hi', max_output_tokens: 4, stream: true });
    const events = eventsOf(text);
    expect(events.map((event) => /^event: response\.(.*)$/m.exec(event)?.[1])).toEqual([
      'created',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    expect(dataOf(events.at(-1) ?? '')).toMatchObject({
      response: {
        status: 'incomplete',
        incomplete_details: { reason: 'max_output_tokens' },
        usage: { input_tokens: HI_TOKENS, output_tokens: 4 },
      },
    });
  });

  test('/v1/messages: named events, usage at both ends, no [DONE]', async () => {
    const request = { model: VLLM_MODEL, messages: user('hi'), max_tokens: 4 };
    const events = eventsOf((await post(MESSAGES, { ...request, stream: true })).text);
    expect(events.map((event) => /^event: (.*)$/m.exec(event)?.[1])).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    expect(dataOf(events[4] ?? '')).toMatchObject({
      delta: { stop_reason: 'max_tokens' },
      usage: { output_tokens: 4 },
    });
  });

  test('count_tokens is exact; /tokenize renders by another template', async () => {
    const messages = user('naïve “quotes” — 日本語');
    const counted = await post<{ input_tokens: number }>(`${MESSAGES}/count_tokens`, {
      model: VLLM_MODEL,
      messages,
    });
    const charged = await post(CHAT, { messages, max_tokens: 1 });
    expect(counted.body.input_tokens).toBe(charged.body.usage.prompt_tokens);
    const rendered = await post<{ count: number }>('/tokenize', { messages });
    expect(rendered.body.count).not.toBe(counted.body.input_tokens);
  });

  test('a prompt that came before is cached in whole blocks', async () => {
    const request = { prompt: `${'cached '.repeat(20)}!`, max_tokens: 1 };
    await post(TEXT, request);
    expect((await post(TEXT, request)).body.usage).toMatchObject({
      prompt_tokens: 141,
      prompt_tokens_details: { cached_tokens: 128 },
    });
    // Anthropic's count of input leaves out what was cached.
    const message = { model: VLLM_MODEL, messages: user(request.prompt), max_tokens: 1 };
    await post(MESSAGES, message);
    expect((await post(MESSAGES, message)).body.usage).toMatchObject({
      input_tokens: 88 - 64,
      cache_read_input_tokens: 64,
    });
  });

  test.each([
    { rank: '0', status: 200 },
    { rank: '1', status: 400 },
    { rank: 'x', status: 200 },
  ])('X-data-parallel-rank: $rank is $status', async ({ rank, status }) => {
    const reply = await post(
      TEXT,
      { prompt: 'a', max_tokens: 1 },
      { 'x-data-parallel-rank': rank },
    );
    expect(reply.status).toBe(status);
  });
}

describeReal('vLLM on a CPU: requests and answers', suite, findPython('vllm'));
