/** The whole way of a request with OpenAI's own client, in front of a vLLM-like server. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { eventually } from '../support/eventually.ts';
import { type GuardedServer, GuardedServers, leasesOf } from '../support/guarded-server.ts';
import { get, post } from '../support/simulated-http.ts';

const servers = new GuardedServers();
let guarded: GuardedServer;
let client: OpenAI;
let direct: OpenAI;

const sdk = (url: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });

beforeEach(async () => {
  guarded = await servers.start({ personality: 'paged', speed: 20 });
  client = sdk(guarded.url);
  direct = sdk(guarded.backendUrl);
});
afterEach(() => servers.closeAll());

const CHAT = {
  model: 'gpt-oss-20b',
  messages: [{ role: 'user' as const, content: 'Tell me of memory.' }],
  max_tokens: 40,
};

/** Asks for more than the simulated GPU makes in a minute of real time. */
const ENDLESS = { ...CHAT, max_tokens: 100_000, stream: true as const };

describe('integration', () => {
  test('a chat is answered as the backend answers, with the decision in its headers', async () => {
    const expected = await direct.chat.completions.create(CHAT);
    const { data, response } = await client.chat.completions.create(CHAT).withResponse();
    expect(data.choices).toEqual(expected.choices);
    expect(data.usage?.completion_tokens).toBe(40);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-kvgate-decision': 'accept',
      'x-kvgate-reason': 'fits',
      'x-kvgate-level': 'low',
      'x-kvgate-max-tokens': 'requested=40; granted=40',
    });
    expect(leasesOf(guarded.gate)).toBe(0);
  });

  test('a text completion is answered, and a broken one is refused without a backend', async () => {
    const body = { model: 'gpt-oss-20b', prompt: 'Once', max_tokens: 16 };
    const expected = await direct.completions.create(body);
    const answer = await client.completions.create(body);
    expect(answer.choices).toEqual(expected.choices);
    expect(answer.usage).toEqual(expected.usage);

    const { received } = guarded.server.state();
    const broken = client.completions.create({ ...body, max_tokens: -1 });
    await expect(broken).rejects.toMatchObject({
      status: 400,
      code: 'invalid_request_error',
      param: 'max_tokens',
      type: 'invalid_request_error',
    });
    expect(guarded.server.state().received).toBe(received);
  });

  test('a stream brings the same text, token by token, and its usage at the end', async () => {
    const whole = await direct.chat.completions.create(CHAT);
    const stream = await client.chat.completions.create({
      ...CHAT,
      stream: true,
      stream_options: { include_usage: true },
    });
    const pieces: string[] = [];
    let completionTokens: number | undefined;
    for await (const chunk of stream) {
      pieces.push(chunk.choices[0]?.delta.content ?? '');
      completionTokens = chunk.usage?.completion_tokens ?? completionTokens;
    }
    expect(pieces.join('')).toBe(whole.choices[0]?.message.content);
    expect(pieces.filter((piece) => piece !== '')).toHaveLength(40);
    expect(completionTokens).toBe(40);
    expect(leasesOf(guarded.gate)).toBe(0);
  });

  test('a cancellation ends the request on both sides, whoever asks for it', async () => {
    const byClient = await client.chat.completions.create(ENDLESS);
    const asked = await client.chat.completions.create(ENDLESS).withResponse();
    await eventually(() => expect(guarded.server.state().running).toBe(2));
    const id = asked.response.headers.get('x-request-id');

    const read = async () => {
      for await (const _ of asked.data);
    };
    const told = expect(read()).rejects.toThrow(/cancelled by the operator/);
    byClient.controller.abort();
    const cancelled = await post(`${guarded.url}/cancel/${id}`, '');
    expect(JSON.parse(cancelled.text)).toEqual({ cancelled: id });
    await told;
    await eventually(() => {
      expect(guarded.server.state()).toMatchObject({ running: 0, cancelled: 2 });
      expect(leasesOf(guarded.gate)).toBe(0);
    });
    expect((await post(`${guarded.url}/cancel/${id}`, '')).status).toBe(404);
  });

  test('health, readiness and statistics follow the backend', async () => {
    await client.chat.completions.create(CHAT);
    expect(JSON.parse((await get(`${guarded.url}/health`)).text).status).toBe('ok');
    expect((await get(`${guarded.url}/ready`)).status).toBe(200);
    expect(JSON.parse((await get(`${guarded.url}/stats`)).text)).toMatchObject({
      requests_in_flight: 0,
      queue_length: 0,
      decisions: { 'accept:fits': 1 },
      instances: [{ up: true, adapter: 'vllm', memoryModel: 'paged', leases: 0 }],
    });

    guarded.server.refuse(true);
    await eventually(async () => expect((await get(`${guarded.url}/ready`)).status).toBe(503));
    expect(JSON.parse((await get(`${guarded.url}/health`)).text).status).toBe('unavailable');
    await expect(client.chat.completions.create(CHAT)).rejects.toMatchObject({
      status: 503,
      code: 'server_is_overloaded',
    });
    guarded.server.refuse(false);
    await eventually(async () => expect((await get(`${guarded.url}/ready`)).status).toBe(200));
    await client.chat.completions.create(CHAT);
  });
});
