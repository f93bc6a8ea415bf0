/** kvgate in front of what an Ollama server looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { ollama } from '../../backend-adapters/ollama.ts';
import { type OllamaFace, type OllamaOptions, startOllama } from '../support/engines/ollama.ts';
import { eventually } from '../support/eventually.ts';
import type { Flags } from '../support/gate.ts';
import { post, TestEngines } from '../support/guarded-engine.ts';

const engines = new TestEngines();

async function guarded(options: OllamaOptions = {}, flags: Flags = {}) {
  return engines.guard(await startOllama(options), flags);
}

const MESSAGES = [{ role: 'user', content: 'hi' }];
const BODIES: Readonly<Record<string, object>> = {
  '/api/chat': { model: 'gpt-oss', messages: MESSAGES },
  '/api/generate': { model: 'gpt-oss', prompt: 'hi' },
  '/api/embed': { model: 'gpt-oss', input: ['hi', 'ho'] },
  '/api/embeddings': { model: 'gpt-oss', prompt: 'hi' },
  '/v1/chat/completions': { model: 'gpt-oss', messages: MESSAGES },
  '/v1/completions': { model: 'gpt-oss', prompt: 'hi' },
  '/v1/responses': { model: 'gpt-oss', input: 'hi' },
  '/v1/messages': { model: 'gpt-oss', messages: MESSAGES, max_tokens: 16 },
  '/v1/embeddings': { model: 'gpt-oss', input: 'hi' },
};
const STREAMS = Object.keys(BODIES).filter((path) => !path.includes('embed'));

function body(path: string, rest: object = {}): object {
  return { ...BODIES[path], ...rest };
}

test('is found and described, and says what it assumes', async () => {
  const { gate } = await guarded();
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'ollama',
    memoryModel: 'slots',
    capacityUnits: 32_768,
    maxSequences: 1,
  });
  const warned = JSON.stringify(gate.logged.filter(({ level }) => level === 'warn'));
  expect(warned).toContain('--ollama-num-parallel');
});

test('serves as many at a time as the operator says', async () => {
  const { engine, gate } = await guarded({}, { 'ollama-num-parallel': 2 });
  engine.show('works');
  const asked = [1, 2, 3].map(() => post(gate, '/api/chat', body('/api/chat')));
  await eventually(() => expect([engine.running(), gate.leases()]).toEqual([2, 2]));
  engine.show('answers');
  for (const answer of await Promise.all(asked)) {
    expect(answer.status).toBe(200);
    await answer.text();
  }
});

test('is described anew once its model is loaded with its real context', async () => {
  const { engine, gate } = await guarded({ loadedContext: null });
  const capacity = () => gate.gate.overview.instances()[0]?.capacityUnits;
  expect(capacity()).toBe(4_096);
  await (await post(gate, '/api/chat', body('/api/chat'))).text();
  expect(engine.loads()).toBe(1);
  await eventually(() => expect(capacity()).toBe(32_768));
  await eventually(async () => {
    const answer = await post(gate, '/api/chat', body('/api/chat'));
    await answer.text();
    expect(answer.status).toBe(200);
  });
});

describe('every generation route', () => {
  test('is in this test', () => {
    expect(Object.keys(BODIES)).toEqual(ollama.generationRoutes.map(({ path }) => path));
  });

  test.each(Object.keys(BODIES))('%s holds a lease while it works', async (path) => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const pending = post(gate, path, body(path));
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
    engine.show('answers');
    const answer = await pending;
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
    await eventually(() => expect(gate.leases()).toBe(0));
    expect(engine.received.map((request) => request.path)).toEqual([path]);
  });

  test.each(STREAMS)('%s streams to its end, with nothing that was not asked for', async (path) => {
    const { gate } = await guarded();
    const answer = await post(gate, path, body(path, { stream: true }));
    const text = await answer.text();
    expect(text).toContain('Hello');
    expect(text).toMatch(/"done":true|\[DONE\]|response\.completed|message_stop/);
    if (path.endsWith('completions')) expect(text).not.toContain('"usage"');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test.each(STREAMS)('%s that breaks off in its stream does not look complete', async (path) => {
    const { engine, gate } = await guarded();
    engine.show('ends in its stream');
    const answer = await post(gate, path, body(path, { stream: true }));
    await expect(answer.text()).rejects.toThrow();
    await eventually(() => expect(gate.leases()).toBe(0));
  });
});

test('its own streams are lines without being asked to, and end with an error line', async () => {
  const { engine, gate } = await guarded();
  const whole = await post(gate, '/api/chat', body('/api/chat'));
  expect(whole.headers.get('content-type')).toBe('application/x-ndjson');
  expect((await whole.text()).trim().split('\n')).toHaveLength(4);
  engine.show('fails in its stream');
  const failed = await post(gate, '/api/chat', body('/api/chat'));
  await expect(failed.text()).rejects.toThrow();
  await eventually(() => expect(gate.leases()).toBe(0));
});

describe('what is refused, and never sent', () => {
  test.each([
    ...['/api/pull', '/api/push', '/api/create', '/api/copy', '/api/blobs/sha256:0', '/api/me'],
    ...['/api/signout', '/api/experimental/web_search', '/v1/audio/transcriptions', '/api/Chat'],
    ...['/api/chat/', '//api/chat'],
  ])('POST %s', async (path) => {
    const { engine, gate } = await guarded();
    const answer = await post(gate, path, body('/api/chat'));
    expect(answer.status).toBe(404);
    expect(engine.received).toEqual([]);
  });

  test('DELETE /api/delete', async () => {
    const { engine, gate } = await guarded();
    const answer = await fetch(`${gate.url}/api/delete`, { method: 'DELETE' });
    expect(answer.status).toBe(405);
    expect(engine.received).toEqual([]);
  });

  test.each([
    ['an unload', '/api/generate', { model: 'gpt-oss', keep_alive: 0 }],
    ['another context', '/api/chat', body('/api/chat', { options: { num_ctx: 131_072 } })],
    [
      'a limit that only Go sees',
      '/v1/chat/completions',
      body('/v1/chat/completions', { Max_tokens: 9 }),
    ],
  ])('%s', async (_, path, given) => {
    const { engine, gate } = await guarded();
    const answer = await post(gate, path, given);
    expect(answer.status).toBe(400);
    expect([engine.received.length, engine.unloads(), engine.loads()]).toEqual([0, 0, 0]);
    const text = path.startsWith('/api/')
      ? { error: expect.any(String) }
      : { error: { code: 'invalid_request_error' } };
    expect(await answer.json()).toMatchObject(text);
  });
});

test('a limit that it does not know reaches it as the one it does', async () => {
  const { engine, gate } = await guarded();
  const path = '/v1/chat/completions';
  const answer = await post(gate, path, body(path, { max_completion_tokens: 20 }));
  await answer.text();
  expect(engine.received[0]?.body).toMatchObject({ max_tokens: 20 });
});

test.each(['/', '/api/version', '/api/tags', '/api/ps', '/v1/models'])(
  'GET %s passes',
  async (path) => {
    const { gate } = await guarded();
    expect((await fetch(gate.url + path)).status).toBe(200);
  },
);

describe('when it fails', () => {
  test.each([
    ['too long', 400],
    ['busy', 503],
    ['out of memory', 503],
    ['dies', 503],
  ] as const)('"%s" is a %i, in the words of each API', async (face, status) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const own = await post(gate, '/api/generate', body('/api/generate'));
    expect([own.status, await own.json()]).toEqual([status, { error: expect.any(String) }]);
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test.each(['dies', 'out of memory'] as const)(
    '"%s": it gets no work until a token of it was seen',
    async (face: OllamaFace) => {
      const { engine, gate } = await guarded();
      engine.show(face);
      await (await post(gate, '/api/generate', body('/api/generate'))).text();
      const refused = await post(gate, '/api/generate', body('/api/generate', { prompt: 'again' }));
      expect(refused.status).toBe(503);
      await refused.text();
      const prompts = () => JSON.stringify(engine.received);
      expect(prompts()).not.toContain('again');
      engine.show('answers');
      await eventually(async () => {
        const answer = await post(gate, '/api/generate', body('/api/generate'));
        await answer.text();
        expect(answer.status).toBe(200);
      });
      expect(prompts()).toContain('"num_predict":1');
    },
  );
});
