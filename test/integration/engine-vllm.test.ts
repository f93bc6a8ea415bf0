/** kvgate in front of what a vLLM server looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { vllm } from '../../backend-adapters/vllm.ts';
import {
  type Face,
  startVllm,
  type VllmOptions,
  type VllmServer,
} from '../support/engines/vllm.ts';
import { eventually } from '../support/eventually.ts';
import {
  brokenTextOf,
  type GuardedEngine,
  healthOf,
  post,
  TestEngines,
} from '../support/guarded-engine.ts';

const CHAT = '/v1/chat/completions';
const engines = new TestEngines();

type Guarded = GuardedEngine<VllmServer>;

async function guarded(options: VllmOptions = {}): Promise<Guarded> {
  return engines.guard(await startVllm(options));
}

const MESSAGES = [{ role: 'user', content: 'hi' }];
const BODIES: Readonly<Record<string, object>> = {
  [CHAT]: { messages: MESSAGES },
  '/v1/completions': { prompt: 'hi' },
  '/v1/responses': { input: 'hi' },
  '/v1/messages': { messages: MESSAGES, max_tokens: 16 },
  '/v1/embeddings': { input: 'hi' },
  '/pooling': { input: 'hi' },
  '/classify': { input: 'hi' },
  '/score': { text_1: 'hi', text_2: 'ho' },
  '/v1/score': { text_1: 'hi', text_2: 'ho' },
  '/rerank': { query: 'hi', documents: ['ho'] },
  '/v1/rerank': { query: 'hi', documents: ['ho'] },
  '/v2/rerank': { query: 'hi', documents: ['ho'] },
};

test('is found once its model is loaded: until then its port is closed', async () => {
  const first = await startVllm();
  await first.stop();
  const gate = await engines.gateFor(`http://127.0.0.1:${first.port}`);
  expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(503);
  const engine = await startVllm({ port: first.port });
  engines.keep(engine);
  await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'vllm',
    memoryModel: 'paged',
    capacityUnits: 1000,
    maxSequences: 256,
  });
  expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(200);
});

describe('every generation route', () => {
  test('is in this test', () => {
    expect(Object.keys(BODIES)).toEqual(vllm.generationRoutes.map(({ path }) => path));
  });

  test.each(Object.entries(BODIES))('%s holds a lease while it works', async (path, body) => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const pending = post(gate, path, body);
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
    engine.show('answers');
    const answer = await pending;
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
    await eventually(() => expect(gate.leases()).toBe(0));
    expect(engine.received.map((request) => request.path)).toEqual([path]);
  });

  const STREAMS = [CHAT, '/v1/completions', '/v1/responses', '/v1/messages'];
  test.each(STREAMS)('%s streams to its end, with nothing that was not asked for', async (path) => {
    const { engine, gate } = await guarded();
    const answer = await post(gate, path, { ...BODIES[path], stream: true });
    const text = await answer.text();
    expect(text).toContain('Hello');
    await eventually(() => expect(gate.leases()).toBe(0));
    const asked = engine.received[0]?.body as { stream_options?: object };
    const isOpenAi = path === CHAT || path === '/v1/completions';
    expect(text.includes('[DONE]')).toBe(isOpenAi);
    expect(asked.stream_options).toEqual(isOpenAi ? { include_usage: true } : undefined);
    if (isOpenAi) expect(text).not.toContain('"usage":{');
  });
});

test.each([
  ...['/invocations', '/inference/v1/generate', '/v1/chat/completions/batch', '/v2/embed'],
  ...['/v1/audio/transcriptions', '/v1/decisions', '/v1/chat/completions/', '/V1/completions'],
  ...['/sleep', '/collective_rpc', '/v1/load_lora_adapter'],
])('%s is refused, and nothing of it is sent', async (path) => {
  const { engine, gate } = await guarded();
  const answer = await post(gate, path, { messages: MESSAGES, prompt: 'hi' });
  expect(answer.status).toBe(404);
  expect(engine.received).toEqual([]);
});

describe('when it fails', () => {
  test.each([
    ['too long', 400, 'context_length_exceeded'],
    ['busy', 503, 'server_is_overloaded'],
    ['out of memory', 503, 'server_is_overloaded'],
    ['dies', 503, 'server_is_overloaded'],
  ] as const)('"%s" is a %i %s', async (face, status, code) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const answer = await post(gate, CHAT, { messages: MESSAGES });
    expect([answer.status, await answer.json()]).toMatchObject([status, { error: { code } }]);
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test.each(['dies', 'out of memory'] as const)(
    '"%s": it gets no work until a token of it was seen',
    async (face: Face) => {
      const { engine, gate } = await guarded();
      engine.show(face);
      await (await post(gate, CHAT, { messages: MESSAGES })).arrayBuffer();
      await eventually(() => expect(healthOf(gate)).not.toEqual(['healthy']));
      engine.show('answers');
      await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
      expect(engine.received.at(-1)?.body).toMatchObject({ max_tokens: 1 });
    },
  );

  test('inside a stream, the [DONE] that follows does not make it a success', async () => {
    const { engine, gate } = await guarded();
    engine.show('dies in its stream');
    const answer = await post(gate, CHAT, { messages: MESSAGES, stream: true });
    expect(answer.status).toBe(200);
    const text = await brokenTextOf(answer);
    expect(text).toContain('"error"');
    expect(text).not.toContain('[DONE]');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('a client that leaves is aborted, and its lease ends', async () => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const leaving = new AbortController();
    const pending = fetch(gate.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: MESSAGES }),
      signal: leaving.signal,
    });
    await eventually(() => expect(engine.running()).toBe(1));
    leaving.abort();
    await expect(pending).rejects.toThrow();
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([0, 0]));
  });

  test('asleep, it gets no work', async () => {
    const { engine, gate } = await guarded();
    engine.sleep(true);
    await eventually(() => expect(healthOf(gate)).toEqual(['loading']));
    expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(503);
    engine.sleep(false);
    await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
    expect(engine.received).toEqual([]);
  });
});

describe('two data-parallel ranks', () => {
  test('each have a pool of their own, and each request is sent to one of them', async () => {
    const { engine, gate } = await guarded({ ranks: 2 });
    expect(gate.gate.overview.instances().map(({ capacityUnits }) => capacityUnits)).toEqual([
      1000, 1000,
    ]);
    engine.show('works');
    const pending = [1, 2].map(() => post(gate, CHAT, { messages: MESSAGES }));
    await eventually(() => expect(engine.running()).toBe(2));
    expect(engine.received.map(({ rank }) => rank).toSorted()).toEqual([0, 1]);
    expect(gate.gate.overview.instances().map(({ leases }) => leases)).toEqual([1, 1]);
    engine.show('answers');
    for (const answer of await Promise.all(pending)) expect(answer.status).toBe(200);
  });

  test('a client does not choose its rank', async () => {
    const { engine, gate } = await guarded({ ranks: 2 });
    const chosen = { 'x-data-parallel-rank': '1' };
    await (await post(gate, CHAT, { messages: MESSAGES }, chosen)).arrayBuffer();
    expect(engine.received[0]?.headers['x-data-parallel-rank']).toBe('0');
  });

  test('what is larger than one pool never fits, however much both have', async () => {
    const { gate } = await guarded({ ranks: 2, blocks: 101 });
    const answer = await post(gate, CHAT, {
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 3000,
    });
    // 3000 tokens are 188 blocks of 16 in the full group alone.
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { code: 'context_length_exceeded' } },
    ]);
  });
});
