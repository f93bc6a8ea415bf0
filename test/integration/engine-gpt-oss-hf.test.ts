/** kvgate in front of what a gpt-oss-hf-server looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { type GptOssHfFace, startGptOssHf } from '../support/engines/gpt-oss-hf.ts';
import { eventually } from '../support/eventually.ts';
import type { TestGate } from '../support/gate.ts';
import { healthOf, post, TestEngines } from '../support/guarded-engine.ts';

const CHAT = '/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];
const engines = new TestEngines();

/** No GPU is read here, so requests pass without a budget. */
const FLAGS = { 'on-stale': 'pass' };

async function guarded() {
  return engines.guard(await startGptOssHf(), FLAGS);
}

function ask(gate: TestGate, rest: object = {}, path = CHAT): Promise<Response> {
  return post(gate, path, { model: 'gpt-oss-20b', messages: MESSAGES, ...rest });
}

test('is found once its model is loaded: until then its port is closed', async () => {
  const first = await startGptOssHf();
  await first.stop();
  const gate = await engines.gateFor(first.url, FLAGS);
  expect((await ask(gate)).status).toBe(503);
  const engine = await startGptOssHf({ port: first.port });
  engines.keep(engine);
  await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
  expect(gate.gate.overview.instances()[0]).toMatchObject({
    adapter: 'gpt-oss-hf',
    memoryModel: 'dynamic',
    maxSequences: 10,
  });
  expect((await ask(gate)).status).toBe(200);
});

test('without its model it makes the start fail, however healthy it says it is', async () => {
  const engine = await startGptOssHf({ withoutModel: true });
  engines.keep(engine);
  await expect(engines.gateFor(engine.url, FLAGS)).rejects.toThrow('its model failed to load');
});

describe('a chat', () => {
  test.each([false, true])('holds a lease while it works (stream: %p)', async (stream) => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const pending = ask(gate, { stream });
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
    engine.show('answers');
    const answer = await pending;
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain('Hello');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('streams in its own words to its own end', async () => {
    const { gate } = await guarded();
    const text = await (await ask(gate, { stream: true })).text();
    expect(text).toContain('"type":"start"');
    expect(text.trim()).toMatch(/data: \{"type":"done".*\}$/);
  });

  test.each(['fails in its stream', 'ends in its stream'] as const)(
    'that %s does not look complete',
    async (face: GptOssHfFace) => {
      const { engine, gate } = await guarded();
      engine.show(face);
      const answer = await ask(gate, { stream: true });
      await expect(answer.text()).rejects.toThrow();
      await eventually(() => expect(gate.leases()).toBe(0));
    },
  );

  test('with a limit of null gets an answer, where the server alone would fail', async () => {
    const { engine, gate } = await guarded();
    const answer = await ask(gate, { max_tokens: null });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-kvgate-changed')).toContain('max_tokens');
    await answer.text();
    expect(engine.received[0]?.body).toMatchObject({ max_tokens: 100 });
  });

  test('that would be a greedy stream is refused', async () => {
    const { engine, gate } = await guarded();
    const answer = await ask(gate, { stream: true, temperature: 0 });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { detail: expect.stringContaining('temperature') },
    ]);
    expect(engine.received).toEqual([]);
  });
});

test.each(['/v1/completions', '/v1/responses', '/generate', '/v1/chat/completions/'])(
  '%s is refused, and nothing of it is sent',
  async (path) => {
    const { engine, gate } = await guarded();
    expect((await ask(gate, { prompt: 'hi' }, path)).status).toBe(404);
    expect(engine.received).toEqual([]);
  },
);

describe('when it fails', () => {
  test.each(['busy', 'out of memory'] as const)('"%s" is a 503', async (face) => {
    const { engine, gate } = await guarded();
    engine.show(face);
    const answer = await ask(gate);
    expect([answer.status, await answer.json()]).toEqual([503, { detail: expect.any(String) }]);
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('a success that hides an error takes it out of work until a token was seen', async () => {
    const { engine, gate } = await guarded();
    engine.show('out of memory');
    await (await ask(gate)).text();
    const refused = await ask(gate, { seed: 4711 });
    expect(refused.status).toBe(503);
    await refused.text();
    expect(JSON.stringify(engine.received)).not.toContain('4711');
    engine.show('answers');
    await eventually(async () => {
      const answer = await ask(gate);
      await answer.text();
      expect(answer.status).toBe(200);
    });
  });
});
