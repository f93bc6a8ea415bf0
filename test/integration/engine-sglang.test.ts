/** kvgate in front of what an SGLang server looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { sglang } from '../../backend-adapters/sglang.ts';
import type { ReplayServer } from '../support/engines/replay-server.ts';
import { type SglangFace, type SglangOptions, startSglang } from '../support/engines/sglang.ts';
import { eventually } from '../support/eventually.ts';
import {
  brokenTextOf,
  type GuardedEngine,
  healthOf,
  post,
  TestEngines,
} from '../support/guarded-engine.ts';

const CHAT = '/v1/chat/completions';
const LOADS = 'GET /v1/loads?include=core,queues';
const engines = new TestEngines();

type Guarded = GuardedEngine<ReplayServer<SglangFace>>;

async function guarded(options: SglangOptions = {}): Promise<Guarded> {
  return engines.guard(await startSglang(options));
}

const MESSAGES = [{ role: 'user', content: 'hi' }];
const BODIES: Readonly<Record<string, object>> = {
  [CHAT]: { messages: MESSAGES },
  '/v1/completions': { prompt: 'hi' },
  '/v1/responses': { input: 'hi' },
  '/v1/messages': { messages: MESSAGES, max_tokens: 16 },
  '/v1/embeddings': { input: 'hi' },
  '/v1/classify': { input: 'hi' },
  '/encode': { text: 'hi' },
  '/classify': { text: ['hi', 'ho'] },
  '/v1/rerank': { query: 'hi', documents: ['ho'] },
  '/v1/score': { query: 'hi', items: ['ho'], label_token_ids: [1] },
  '/generate': { text: 'hi', sampling_params: { max_new_tokens: 16 } },
};

test('is found once its port is open: until then it is closed', async () => {
  const first = await startSglang();
  await first.stop();
  const gate = await engines.gateFor(`http://127.0.0.1:${first.port}`);
  expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(503);
  const engine = await startSglang({ port: first.port });
  engines.keep(engine);
  await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'sglang',
    memoryModel: 'paged',
    capacityUnits: 64_000 / 16,
    maxSequences: 64,
  });
  expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(200);
});

test('its health is never asked, which would make it generate', async () => {
  const { engine, gate } = await guarded();
  await (await post(gate, CHAT, { messages: MESSAGES })).arrayBuffer();
  await eventually(() => expect(gate.leases()).toBe(0));
  expect([...engine.asked().keys()].filter((route) => route.includes('health'))).toEqual([]);
});

test('its keys show nowhere', async () => {
  const { gate } = await guarded();
  const seen = await Promise.all(
    ['/memory_stats', '/stats', '/metrics', '/health'].map(async (path) =>
      (await fetch(gate.url + path)).text(),
    ),
  );
  const told = JSON.stringify([seen, gate.logged, gate.gate.overview.instances()]);
  expect(told).toContain('gpt-oss-20b');
  expect(told).not.toContain('canary');
});

describe('every generation route', () => {
  test('is in this test', () => {
    expect(Object.keys(BODIES)).toEqual(sglang.generationRoutes.map(({ path }) => path));
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
    expect(engine.received).toMatchObject([{ path, body }]);
  });

  const STREAMS = [CHAT, '/v1/completions', '/v1/responses', '/v1/messages', '/generate'];
  test.each(STREAMS)('%s streams to its end, with nothing that was not asked for', async (path) => {
    const { engine, gate } = await guarded();
    const answer = await post(gate, path, { ...BODIES[path], stream: true });
    const text = await answer.text();
    expect(text).toContain('Hello');
    const hasDone = path !== '/v1/responses' && path !== '/v1/messages';
    expect(text.includes('[DONE]')).toBe(hasDone);
    await eventually(() => expect(gate.leases()).toBe(0));
    const isOpenAi = path === CHAT || path === '/v1/completions';
    expect(engine.received[0]?.body.stream_options).toEqual(
      isOpenAi ? { include_usage: true } : undefined,
    );
    if (isOpenAi) expect(text).not.toContain('"usage":{');
  });
});

test.each([
  ...['/invocations', '/vertex_generate', '/api/chat', '/api/generate', '/server_info'],
  ...['/get_server_info', '/flush_cache', '/release_memory_occupation', '/set_internal_state'],
  ...['/abort_request', '/open_session', '/health_generate', '/v1/audio/transcriptions'],
  ...['/generate/', '/v1/batches'],
])('%s is refused, and nothing of it is sent', async (path) => {
  const { engine, gate } = await guarded();
  const answer = await post(gate, path, { messages: MESSAGES, text: 'hi' });
  expect(answer.status).toBe(404);
  const read = await fetch(gate.url + path);
  expect(read.status).toBe(404);
  expect(engine.received).toEqual([]);
});

test.each(['/generate', '/encode', '/classify'])('PUT %s is refused', async (path) => {
  const { engine, gate } = await guarded();
  const answer = await fetch(gate.url + path, { method: 'PUT', body: '{"text":"hi"}' });
  expect(answer.status).toBe(405);
  expect(engine.received).toEqual([]);
});

describe('when it fails', () => {
  test.each([
    ['too long', CHAT, 400, 'context_length_exceeded'],
    ['too long', '/generate', 400, 'context_length_exceeded'],
    ['too long', '/v1/responses', 400, 'context_length_exceeded'],
    ['busy', CHAT, 503, 'server_is_overloaded'],
    ['busy', '/generate', 503, 'server_is_overloaded'],
    ['pool ran over', CHAT, 502, 'backend_failed'],
    ['out of memory', CHAT, 503, 'server_is_overloaded'],
    ['aborts', CHAT, 502, 'backend_failed'],
    ['aborts', '/generate', 502, 'backend_failed'],
  ] as const)('"%s" on %s is a %i %s', async (face, path, status, code) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const answer = await post(gate, path, BODIES[path] ?? {});
    expect([answer.status, await answer.json()]).toMatchObject([status, { error: { code } }]);
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('a pool that ran over is no reason to doubt it, want of GPU memory is', async () => {
    const { engine, gate } = await guarded();
    engine.show('pool ran over');
    await (await post(gate, CHAT, { messages: MESSAGES })).arrayBuffer();
    expect(healthOf(gate)).toEqual(['healthy']);
    engine.show('out of memory');
    await (await post(gate, CHAT, { messages: MESSAGES })).arrayBuffer();
    await eventually(() => expect(healthOf(gate)).not.toEqual(['healthy']));
    engine.show('answers');
    await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
    expect(engine.received.at(-1)).toMatchObject({
      path: '/generate',
      body: { sampling_params: { max_new_tokens: 1 } },
    });
  });

  test.each([CHAT, '/generate'])(
    'inside a stream of %s, [DONE] makes no success of it',
    async (path) => {
      const { engine, gate } = await guarded();
      engine.show('fails in its stream');
      const answer = await post(gate, path, { ...BODIES[path], stream: true });
      expect(answer.status).toBe(200);
      const text = await brokenTextOf(answer);
      expect(text).toContain('"error"');
      expect(text).not.toContain('[DONE]');
      await eventually(() => expect(gate.leases()).toBe(0));
    },
  );
});

describe('a client that leaves', () => {
  async function leave({ engine, gate }: Guarded): Promise<void> {
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
  }

  test('is aborted, and its lease ends', async () => {
    const here = await guarded();
    here.engine.show('works');
    await leave(here);
    await eventually(() => expect([here.engine.running(), here.gate.leases()]).toEqual([0, 0]));
  });

  test('holds its lease for as long as a version that works on for it does', async () => {
    const here = await guarded({ version: '0.5.17' });
    expect(JSON.stringify(here.gate.logged)).toContain(
      'goes on with requests whose client has left',
    );
    here.engine.show('works on for who has left');
    await leave(here);
    // Two readings without it would end its lease.
    const reads = () => here.engine.asked().get(LOADS) ?? 0;
    const before = reads();
    await eventually(() => expect(reads()).toBeGreaterThan(before + 4));
    expect([here.engine.running(), here.gate.leases()]).toEqual([1, 1]);
    here.engine.show('answers');
    await eventually(() => expect([here.engine.running(), here.gate.leases()]).toEqual([0, 0]));
  });
});

test('a version that has only /get_load is guarded as well', async () => {
  const { engine, gate } = await guarded({ hasLoads: false });
  expect(gate.gate.overview.instances()[0]).toMatchObject({ capacityUnits: 4000 });
  engine.show('works');
  const pending = post(gate, CHAT, { messages: MESSAGES });
  await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
  engine.show('answers');
  expect((await pending).status).toBe(200);
});

describe('two data-parallel ranks', () => {
  test('each have a pool of their own, and each request is sent to one of them', async () => {
    const { engine, gate } = await guarded({ ranks: 2 });
    expect(gate.gate.overview.instances().map(({ capacityUnits }) => capacityUnits)).toEqual([
      4000, 4000,
    ]);
    engine.show('works');
    const pending = [CHAT, '/generate'].map((path) => post(gate, path, BODIES[path] ?? {}));
    await eventually(() => expect(engine.running()).toBe(2));
    const ranks = engine.received.map(({ headers }) => headers['x-data-parallel-rank']);
    expect(ranks.toSorted()).toEqual(['0', '1']);
    engine.show('answers');
    for (const answer of await Promise.all(pending)) expect(answer.status).toBe(200);
  });

  test.each([
    [CHAT, { routed_dp_rank: 1 }],
    ['/generate', { data_parallel_rank: 1 }],
  ])('%s does not let the caller choose', async (path, chosen) => {
    const { engine, gate } = await guarded({ ranks: 2 });
    expect((await post(gate, path, { ...BODIES[path], ...chosen })).status).toBe(400);
    expect(engine.received).toEqual([]);
  });
});
