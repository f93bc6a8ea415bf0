/** kvgate in front of a server of which nothing but OpenAI's API is known. */
import { describe, expect, test } from '@jest/globals';
import { openai } from '../../backend-adapters/openai.ts';
import { type OpenAiFace, startOpenAi } from '../support/engines/openai.ts';
import { eventually } from '../support/eventually.ts';
import type { Flags } from '../support/gate.ts';
import { post, TestEngines } from '../support/guarded-engine.ts';

const CHAT = '/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];
const engines = new TestEngines();

async function guarded(flags: Flags = {}) {
  return engines.guard(await startOpenAi(), flags);
}

const BODIES: Readonly<Record<string, object>> = {
  [CHAT]: { model: 'gpt-oss-20b', messages: MESSAGES },
  '/v1/completions': { model: 'gpt-oss-20b', prompt: 'hi' },
  '/v1/responses': { model: 'gpt-oss-20b', input: 'hi' },
  '/v1/embeddings': { model: 'gpt-oss-20b', input: 'hi' },
};
const STREAMS = [CHAT, '/v1/completions', '/v1/responses'];

test('is found by its list of models, and says what it can not guard', async () => {
  const { gate } = await guarded();
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'openai',
    capacityUnits: null,
    maxSequences: null,
  });
  const warned = JSON.stringify(gate.logged.filter(({ level }) => level === 'warn'));
  expect(warned).toContain('--max-concurrency');
});

test('gets no more at a time than the operator allows', async () => {
  const { engine, gate } = await guarded({ 'max-concurrency': 2 });
  engine.show('works');
  const asked = [1, 2, 3].map(() => post(gate, CHAT, { messages: MESSAGES }));
  await eventually(() => expect([engine.running(), gate.leases()]).toEqual([2, 2]));
  engine.show('answers');
  for (const answer of await Promise.all(asked)) {
    expect(answer.status).toBe(200);
    await answer.text();
  }
  expect(engine.received).toHaveLength(3);
});

describe('every generation route', () => {
  test('is in this test', () => {
    expect(Object.keys(BODIES)).toEqual(openai.generationRoutes.map(({ path }) => path));
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
    // Nothing was written into it.
    expect(engine.received).toEqual([{ path, body }]);
  });

  test.each(STREAMS)('%s streams to its end', async (path) => {
    const { engine, gate } = await guarded();
    const body = { ...BODIES[path], stream: true };
    const text = await (await post(gate, path, body)).text();
    expect(text).toMatch(/\[DONE\]|response\.completed/);
    expect(engine.received[0]?.body).toEqual(body);
    await eventually(() => expect(gate.leases()).toBe(0));
  });
});

test('a stream that says why it finished is complete without [DONE]', async () => {
  const { engine, gate } = await guarded();
  engine.show('sends no done');
  const answer = await post(gate, CHAT, { messages: MESSAGES, stream: true });
  expect(await answer.text()).toContain('"finish_reason":"stop"');
});

test.each(['fails in its stream', 'ends in its stream'] as const)(
  'a stream that %s does not look complete',
  async (face: OpenAiFace) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const answer = await post(gate, CHAT, { messages: MESSAGES, stream: true });
    await expect(answer.text()).rejects.toThrow();
    await eventually(() => expect(gate.leases()).toBe(0));
  },
);

test.each([
  '/v1/messages',
  '/v1/audio/transcriptions',
  '/v1/fine_tuning/jobs',
  '/completion',
  '/v1/batches',
])('%s is refused, and nothing of it is sent', async (path) => {
  const { engine, gate } = await guarded();
  expect((await post(gate, path, { messages: MESSAGES, prompt: 'hi' })).status).toBe(404);
  expect(engine.received).toEqual([]);
});

test.each([
  ['too long', 400, 'context_length_exceeded'],
  ['busy', 503, 'server_is_overloaded'],
  ['out of memory', 503, 'server_is_overloaded'],
] as const)('"%s" is a %i %s', async (face, status, code) => {
  const { engine, gate } = await guarded();
  engine.show(face);
  const answer = await post(gate, CHAT, { messages: MESSAGES });
  expect([answer.status, await answer.json()]).toMatchObject([status, { error: { code } }]);
  await eventually(() => expect(gate.leases()).toBe(0));
});
