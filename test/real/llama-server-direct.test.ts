/**
 * What kvgate's llama.cpp adapter takes for granted, asked of a real server
 * with nothing between. A failure here means that llama.cpp has changed.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { splitRequests, splitResponses } from '../support/http-messages.ts';
import { CHAT, type ChatAnswer, get, post, slotsOf, user } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { startRecordingRelay } from '../support/recording-relay.ts';

describeReal('llama-server with split slots (-c 8192 -np 4)', () => {
  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '8192', '-np', '4']);
  });
  afterAll(() => server.stop());

  test('its command line can be read from outside, also through a wrapper', () => {
    const args = readFileSync(`/proc/${server.pid}/cmdline`, 'utf8').split('\0');
    expect(args[0]).toMatch(/llama-server$/);
    expect(args.slice(args.indexOf('-c'))).toEqual(['-c', '8192', '-np', '4', '']);
  });

  test('/health, /props and /v1/models tell of one slot’s context and never of the whole', async () => {
    expect(await get(server, '/health')).toEqual({ status: 200, body: { status: 'ok' } });
    const props = await get(server, '/props');
    expect(props.body).toMatchObject({
      total_slots: 4,
      default_generation_settings: { n_ctx: 2048 },
      model_path: expect.stringMatching(/\.gguf$/),
      endpoint_slots: true,
      endpoint_metrics: false,
      is_sleeping: false,
    });
    const models = await get(server, '/v1/models');
    expect(models.body).toMatchObject({
      data: [{ owned_by: 'llamacpp', meta: { n_ctx: 2048, n_ctx_train: 131072, n_vocab: 266 } }],
    });
    for (const { body } of [props, models]) {
      expect(JSON.stringify(body)).not.toMatch(/8192|unified|cache_type/);
    }
  });

  test('a prompt as long as a slot is refused with 400 and its exact length', async () => {
    expect(await post(server, CHAT, { ...user('x'.repeat(9000)), max_tokens: 4 })).toEqual({
      status: 400,
      body: {
        error: {
          code: 400,
          message:
            'request (9018 tokens) exceeds the available context size (2048 tokens), try increasing it',
          type: 'exceed_context_size_error',
          n_prompt_tokens: 9018,
          n_ctx: 2048,
        },
      },
    });
  });

  test.each([
    { limits: { max_tokens: 5, max_completion_tokens: 7, n_predict: 9 }, generated: 9 },
    { limits: { max_tokens: 5, max_completion_tokens: 7 }, generated: 7 },
    { limits: { max_tokens: 5, max_completion_tokens: null, n_predict: null }, generated: 5 },
    { limits: { max_tokens: 0 }, generated: 1 },
    { limits: { max_tokens: 5.7 }, generated: 5 },
    { limits: { max_tokens: 5, n_predict: -1 }, generated: 2048 - 20 },
    { limits: {}, generated: 2048 - 20 },
  ])('$limits generates $generated tokens', async ({ limits, generated }) => {
    const { body } = await post<ChatAnswer>(server, CHAT, { ...user('hi'), ...limits });
    expect(body.usage).toMatchObject({ prompt_tokens: 20, completion_tokens: generated });
    expect(body.choices.map((choice) => choice.finish_reason)).toEqual(['length']);
  });

  test.each([{ max_tokens: -5 }, { max_tokens: '5' }, { max_tokens: 1e30 }, { n: 5 }])(
    '%j is refused with 400',
    async (limits) => {
      expect(await post(server, CHAT, { ...user('hi'), ...limits })).toMatchObject({
        status: 400,
        body: { error: { code: 400, type: 'invalid_request_error' } },
      });
    },
  );

  test('input_tokens equals the prompt tokens that are charged', async () => {
    const { messages } = user('naïve “quotes” — 日本語 \u{1f600} <|end|>');
    const request = { messages: [{ role: 'system', content: 'Be brief.' }, ...messages] };
    const counted = await post<{ input_tokens: number }>(server, `${CHAT}/input_tokens`, request);
    const charged = await post<ChatAnswer>(server, CHAT, { ...request, max_tokens: 1 });
    expect(counted.body.input_tokens).toBe(charged.body.usage.prompt_tokens);
  });

  test('/tokenize takes a special token in the text for one token', async () => {
    expect(await post(server, '/tokenize', { content: 'é <|end|>' })).toEqual({
      status: 200,
      body: { tokens: [195, 169, 32, 262] },
    });
  });

  test('a stream is a role chunk, a chunk a token, a finish chunk, usage, [DONE]', async () => {
    const relay = await startRecordingRelay(server.url);
    const response = await fetch(`${relay.url}${CHAT}`, {
      method: 'POST',
      body: JSON.stringify({
        ...user('hi'),
        max_tokens: 3,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    const text = await response.text();
    const [recorded] = relay.connections();
    await relay.stop();

    const events = text.split('\n\n').filter((event) => event !== '');
    expect(events.pop()).toBe('data: [DONE]');
    const delta = (delta: unknown, finish_reason: string | null = null) => ({
      choices: [{ delta, finish_reason }],
    });
    expect(events.map((event) => JSON.parse(event.slice('data: '.length)))).toMatchObject([
      delta({ role: 'assistant' }),
      ...Array(3).fill(delta({ content: expect.stringMatching(/^[ -~]$/) })),
      delta({}, 'length'),
      { choices: [], usage: { prompt_tokens: 20, completion_tokens: 3 } },
    ]);
    const requests = splitRequests(recorded?.requestBytes ?? Buffer.alloc(0));
    const responses = splitResponses(recorded?.responseBytes ?? Buffer.alloc(0), requests);
    expect(requests.map((request) => request.startLine)).toEqual([`POST ${CHAT} HTTP/1.1`]);
    expect(responses).toMatchObject([{ startLine: 'HTTP/1.1 200 OK', complete: true }]);
    expect(responses[0]?.body.toString()).toBe(text);
  });

  test('the connection of a stream is closed after its end, though nothing says so', async () => {
    const body = JSON.stringify({ ...user('hi'), max_tokens: 3, stream: true });
    const raw = await connectRaw(server.url);
    raw.send(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    // It ends only where the server closes it.
    const text = await raw.rest;
    expect(text).toMatch(/data: \[DONE\]\n\n\r\n0\r\n\r\n$/);
    expect(text).toMatch(/\r\nkeep-alive: timeout=/i);
    expect(text).not.toMatch(/\r\nconnection: close/i);
  });

  test('/slots follows a request token by token and keeps what an idle slot caches', async () => {
    const answer = post<ChatAnswer>(server, CHAT, {
      ...user('q'.repeat(82)),
      max_tokens: 1500,
      id_slot: 2,
    });
    await eventually(async () => {
      const slot = (await slotsOf(server))[2];
      const [next] = slot?.next_token ?? [];
      expect(slot?.is_processing).toBe(true);
      expect(next?.n_decoded).toBeGreaterThan(0);
      expect((next?.n_decoded ?? 0) + (next?.n_remain ?? 0)).toBe(1500);
      // One short while a sampled token waits for its own decode step.
      const cells = 100 + (next?.n_decoded ?? 0);
      expect([cells, cells - 1]).toContain(slot?.n_prompt_tokens);
    });
    expect((await answer).body.usage).toMatchObject({ prompt_tokens: 100 });
    await post(server, CHAT, { ...user('another'), max_tokens: 5, id_slot: 3 });
    expect((await slotsOf(server))[2]).toMatchObject({
      is_processing: false,
      n_prompt_tokens: 100 + 1500 - 1,
    });
  });
});
