/**
 * Another client talks to the engine past the gate and eats the memory that was
 * promised: the gate's own requests make room before the engine runs out.
 */
import { afterEach, describe, expect, test } from '@jest/globals';
import OpenAI, { APIError } from 'openai';
import type { SimulatedOptions } from '../../backend-adapters/simulated-server/server.ts';
import { eventually } from '../support/eventually.ts';
import { GuardedServers, samplesOf } from '../support/guarded-server.ts';
import { eventsOf, post } from '../support/simulated-http.ts';

const CHAT = '/v1/chat/completions';
const servers = new GuardedServers();
afterEach(() => servers.closeAll());

/** About so many tokens of prompt, one for each byte. */
function body(promptTokens: number, maxTokens: number, stream = false) {
  const messages = [{ role: 'user' as const, content: 'x'.repeat(promptTokens - 68) }];
  return { model: 'gpt-oss-20b', messages, max_tokens: maxTokens, stream };
}

/** A stream that has begun; `rest` rejects where its connection is cut. */
async function begin(url: string, asked: object) {
  const response = await fetch(`${url}${CHAT}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...asked, stream: true }),
  });
  if (response.status !== 200) throw new Error(await response.text());
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error('the answer has no body');
  const decoder = new TextDecoder();
  const seen = { text: '' };
  const read = (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return seen.text;
      seen.text += decoder.decode(value, { stream: true });
    }
  })();
  read.catch(() => {});
  return { headers: response.headers, seen, rest: () => read };
}

async function actions(url: string): Promise<Readonly<Record<string, number>>> {
  const page = await (await fetch(`${url}/metrics`)).text();
  const samples = samplesOf(page, 'kvgate_brake_actions_total');
  return Object.fromEntries(
    samples.map(({ labels, value }) => [/action="(\w+)"/.exec(labels)?.[1] ?? '', value]),
  );
}

/** A pool of 8,192 cells; prompts take long enough for the gate to see them come. */
const POOL: SimulatedOptions = {
  personality: 'slots',
  contextTokens: 8_192,
  speed: 2,
  prefillTokensPerSecond: 1_000,
};

describe('a pool that another client fills', () => {
  test('requests without a byte wait again, and are then served whole', async () => {
    const { url, backendUrl, server, gate } = await servers.start(POOL, { degrade: 'off' });
    const stream = await begin(url, body(1_000, 2_000));
    const silent = post(`${url}${CHAT}`, body(3_000, 600));
    await eventually(() => expect(server.state().running).toBe(2));
    const intruder = post(`${backendUrl}${CHAT}`, body(4_500, 40));
    const answer = await silent;
    expect([answer.status, answer.headers.get('x-kvgate-requeued')]).toEqual([200, '1']);
    expect(JSON.parse(answer.text).usage.completion_tokens).toBe(600);
    expect((await intruder).status).toBe(200);
    expect(eventsOf(await stream.rest()).at(-1)).toBe('[DONE]');
    expect(await actions(url)).toEqual({ take_back: 1 });
    expect(server.state()).toMatchObject({ overflow: 0, cancelled: 1, completed: 3 });
    await eventually(() => expect(gate.leases()).toBe(0));
  }, 20_000);

  test('a stream ends with an error where nobody else can go', async () => {
    const { url, backendUrl, server, gate } = await servers.start(POOL, { degrade: 'off' });
    const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
    const asked = { ...body(3_500, 3_000), stream: true as const };
    const sdk = await openai.chat.completions.create(asked);
    let text = '';
    const read = (async () => {
      for await (const chunk of sdk) text += chunk.choices[0]?.delta.content ?? '';
    })();
    const failed = read.catch((error: unknown) => error);
    await eventually(() => expect(text.length).toBeGreaterThan(10));
    const intruder = post(`${backendUrl}${CHAT}`, body(4_600, 40));
    const error = await failed;
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ code: 'memory_exhausted' });
    expect((await intruder).status).toBe(200);
    expect(await actions(url)).toEqual({ end_stream: 1 });
    expect(server.state()).toMatchObject({ overflow: 0, cancelled: 1 });
    expect(gate.logged.map(({ msg }) => msg)).toContain('Stream ended for want of memory');
  }, 20_000);
});

describe('a GPU whose memory another process takes', () => {
  const GPU: SimulatedOptions = {
    personality: 'dynamic',
    speed: 2,
    prefillTokensPerSecond: 1_000,
    decodeTokensPerSecond: 50,
  };
  /** Leaves so much of the GPU for requests. */
  const LEFT_BYTES = 700e6;
  /** So much more than may be promised: most of what is kept in reserve is gone. */
  const BEYOND_BYTES = 9e9;

  test('what is in prefill waits again, a stream ends in one error event and no regular end', async () => {
    const { url, server, gate } = await servers.start(GPU, {
      attention: 'flash',
      degrade: 'off',
      'queue-timeout': 60,
    });
    const capacity = gate.gate.overview.instances()[0]?.capacityUnits ?? 0;
    const stream = await begin(url, body(2_000, 3_000));
    const silent = begin(url, body(4_000, 20));
    await eventually(() => expect(server.state().running).toBe(2));
    server.gpu.setForeignBytes(Math.round(capacity - LEFT_BYTES));
    await eventually(async () => expect(await actions(url)).toMatchObject({ take_back: 1 }));
    expect(gate.logged.map(({ msg }) => msg)).toContain('Emergency brake on');
    server.gpu.setForeignBytes(Math.round(capacity + BEYOND_BYTES));
    await expect(stream.rest()).rejects.toThrow();
    const events = eventsOf(stream.seen.text);
    expect(events.at(-1)).toMatchObject({ error: { code: 'memory_exhausted' } });
    expect(JSON.stringify(events)).not.toContain('finish_reason":"length');
    server.gpu.setForeignBytes(0);
    const late = await silent;
    expect(Number(late.headers.get('x-kvgate-requeued'))).toBeGreaterThan(0);
    expect(eventsOf(await late.rest()).at(-1)).toMatchObject({
      choices: [{ finish_reason: 'length' }],
      usage: { completion_tokens: 20 },
    });
    expect(server.state()).toMatchObject({ oom: 0, completed: 1 });
  }, 30_000);
});
