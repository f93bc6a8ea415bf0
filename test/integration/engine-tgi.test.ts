/** kvgate in front of what a text-generation-inference server looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { tgi } from '../../backend-adapters/tgi.ts';
import type { ReplayServer } from '../support/engines/replay-server.ts';
import { startTgi, type TgiFace, type TgiOptions } from '../support/engines/tgi.ts';
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

type Guarded = GuardedEngine<ReplayServer<TgiFace>>;

async function guarded(options: TgiOptions = {}): Promise<Guarded> {
  return engines.guard(await startTgi(options));
}

const MESSAGES = [{ role: 'user', content: 'hi' }];
const NATIVE = { inputs: 'hi', parameters: { max_new_tokens: 16 } };
const BODIES: Readonly<Record<string, object>> = {
  '/': NATIVE,
  '/generate': NATIVE,
  '/generate_stream': NATIVE,
  [CHAT]: { messages: MESSAGES, max_tokens: 16 },
  '/v1/completions': { prompt: ['hi', 'ho'], max_tokens: 16 },
};

test('is found once it is warm: until then its port is closed', async () => {
  const first = await startTgi();
  await first.stop();
  const gate = await engines.gateFor(`http://127.0.0.1:${first.port}`);
  expect((await post(gate, CHAT, { messages: MESSAGES })).status).toBe(503);
  const engine = await startTgi({ port: first.port });
  engines.keep(engine);
  await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'tgi',
    memoryModel: 'paged',
    capacityUnits: 20_000,
    maxSequences: 128,
  });
});

test('without its shards it gets no work', async () => {
  const { engine, gate } = await guarded();
  engine.show('without shards');
  await eventually(() => expect(healthOf(gate)).toEqual(['unreachable']));
  expect((await post(gate, '/generate', NATIVE)).status).toBe(503);
  engine.show('answers');
  await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
  expect(engine.received).toEqual([]);
});

describe('every generation route', () => {
  test('is in this test', () => {
    expect(Object.keys(BODIES)).toEqual(tgi.generationRoutes.map(({ path }) => path));
  });

  test.each(Object.entries(BODIES))('%s holds a lease while it works', async (path, body) => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const pending = post(gate, path, body);
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
    engine.show('answers');
    const answer = await pending;
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('there');
    await eventually(() => expect(gate.leases()).toBe(0));
    expect(engine.received).toMatchObject([{ path, body }]);
  });

  test.each([
    ['/', true],
    ['/generate_stream', false],
  ] as const)('%s streams, and ends without a [DONE]', async (path, stream) => {
    const { gate } = await guarded();
    const answer = await post(gate, path, stream ? { ...NATIVE, stream } : NATIVE);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    expect(await answer.text()).toContain('"generated_text":"Hello there!"');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test.each([CHAT, '/v1/completions'])('%s streams to its [DONE]', async (path) => {
    const { engine, gate } = await guarded();
    const text = await (await post(gate, path, { ...BODIES[path], stream: true })).text();
    expect(text).toContain('[DONE]');
    expect(engine.received[0]?.body.stream_options).toEqual({ include_usage: true });
    if (path === CHAT) expect(text).not.toContain('"usage":{');
    await eventually(() => expect(gate.leases()).toBe(0));
  });
});

test('what the engine takes ahead for a request is not counted a second time', async () => {
  const { engine, gate } = await guarded();
  engine.show('works');
  const pending = post(gate, '/generate', { inputs: 'hi', parameters: { max_new_tokens: 4000 } });
  await eventually(() => expect(engine.running()).toBe(1));
  // 4 tokens of prompt at most, and the 1,024 that the engine's gauge shows from the first moment on.
  await eventually(() =>
    expect(gate.gate.overview.instances()[0]).toMatchObject({
      heldUnits: 4 + 1024,
      committedUnits: 4 + 4000,
    }),
  );
  const reads = engine.asked().get('GET /metrics') ?? 0;
  await eventually(() => expect(engine.asked().get('GET /metrics')).toBeGreaterThan(reads + 2));
  // The prompt was 9 tokens, 5 more than were thought: those alone are nobody's.
  expect(gate.gate.overview.instances()[0]?.othersUnits).toBeLessThanOrEqual(5);
  engine.show('answers');
  await (await pending).arrayBuffer();
});

test.each([
  ...['/invocations', '/vertex', '/v2/models/m/infer', '/v2/models/m/versions/1/infer'],
  ...['/generate/', '/v1/embeddings', '/docs'],
])('%s is refused, and nothing of it is sent', async (path) => {
  const { engine, gate } = await guarded();
  expect((await post(gate, path, { ...NATIVE, messages: MESSAGES })).status).toBe(404);
  expect((await fetch(gate.url + path)).status).toBe(404);
  expect(engine.received).toEqual([]);
});

describe('when it fails', () => {
  test.each([
    ['too long', CHAT, 400, 'context_length_exceeded'],
    ['busy', CHAT, 503, 'server_is_overloaded'],
    ['out of memory', CHAT, 503, 'server_is_overloaded'],
    ['fails', CHAT, 502, 'backend_failed'],
  ] as const)('"%s" on %s is a %i %s', async (face, path, status, code) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const answer = await post(gate, path, BODIES[path] ?? {});
    expect([answer.status, await answer.json()]).toMatchObject([status, { error: { code } }]);
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test.each(['/', '/generate'])('%s keeps the shape of its errors', async (path) => {
    const { engine, gate } = await guarded();
    for (const face of ['too long', 'busy', 'out of memory', 'fails'] as const) {
      engine.show(face);
      const answer = await post(gate, path, NATIVE);
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(await answer.json()).toEqual({
        error: expect.any(String),
        error_type: expect.any(String),
      });
      engine.show('answers');
      await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
    }
  });

  test("a mistake of the caller's comes back as the engine put it", async () => {
    const { engine, gate } = await guarded();
    engine.show('invalid');
    const answer = await post(gate, '/generate', NATIVE);
    expect([answer.status, await answer.json()]).toEqual([
      422,
      { error: expect.stringContaining('top_n_tokens'), error_type: 'validation' },
    ]);
  });

  test('out of memory, it gets no work until a token of it was seen', async () => {
    const { engine, gate } = await guarded();
    engine.show('out of memory');
    await (await post(gate, CHAT, { messages: MESSAGES })).arrayBuffer();
    await eventually(() => expect(healthOf(gate)).toEqual(['quarantined']));
    engine.show('answers');
    await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
    expect(engine.received.at(-1)).toMatchObject({
      path: '/generate',
      body: { parameters: { max_new_tokens: 1 } },
    });
  });

  test.each([CHAT, '/generate_stream'])('inside a stream of %s, it is no success', async (path) => {
    const { engine, gate } = await guarded();
    engine.show('fails in its stream');
    const answer = await post(gate, path, { ...BODIES[path], stream: true });
    expect(answer.status).toBe(200);
    const text = await brokenTextOf(answer);
    expect(text).toContain('Request failed during generation');
    expect(text).not.toContain('[DONE]');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('a stream that is refused in its first event is refused with a status', async () => {
    const { engine, gate } = await guarded();
    engine.show('busy');
    const answer = await post(gate, CHAT, { ...BODIES[CHAT], stream: true });
    expect(answer.status).toBe(503);
  });

  test('a client that leaves is dropped, and its lease ends', async () => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const leaving = new AbortController();
    const pending = fetch(`${gate.url}/generate`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(NATIVE),
      signal: leaving.signal,
    });
    await eventually(() => expect(engine.running()).toBe(1));
    leaving.abort();
    await expect(pending).rejects.toThrow();
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([0, 0]));
  });
});
