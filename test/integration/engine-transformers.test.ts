/** kvgate in front of what `transformers serve` looks like, found by itself. */
import { describe, expect, test } from '@jest/globals';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { transformers } from '../../backend-adapters/transformers.ts';
import type { ContractServer } from '../support/engines/contract-server.ts';
import { type Face, startTransformers } from '../support/engines/transformers.ts';
import { eventually } from '../support/eventually.ts';
import {
  brokenTextOf,
  type GuardedEngine,
  healthOf,
  post,
  TestEngines,
} from '../support/guarded-engine.ts';

const CHAT = '/v1/chat/completions';
const MESSAGES = [{ role: 'user', content: 'hi' }];
const BODIES: Readonly<Record<string, object>> = {
  [CHAT]: { messages: MESSAGES },
  '/v1/completions': { prompt: 'hi' },
  '/v1/responses': { input: 'hi' },
};
const engines = new TestEngines();

type Guarded = GuardedEngine<ContractServer<Face>>;

async function guarded(): Promise<Guarded> {
  const engine = engines.keep(await startTransformers());
  // Only its GPUs are of interest: the engine's memory is all in them.
  const gpus = createSimulatedServer({ personality: 'dynamic' });
  engines.keep({ stop: () => gpus.close() });
  const { url } = await gpus.listen(0, '127.0.0.1');
  const flags = { attention: 'flash', 'gpu-source': 'auto' };
  return { engine, gate: await engines.gateFor(engine.url, flags, url) };
}

describe('every generation route', () => {
  test('is in this test, and the engine is found', async () => {
    expect(Object.keys(BODIES)).toEqual(transformers.generationRoutes.map(({ path }) => path));
    const { gate } = await guarded();
    expect(gate.gate.overview.instances()).toMatchObject([
      { adapter: 'transformers', memoryModel: 'dynamic', up: true },
    ]);
  });

  test.each(Object.entries(BODIES))('%s holds a lease while it works', async (path, body) => {
    const { engine, gate } = await guarded();
    engine.show('works');
    const pending = post(gate, path, { ...body, stream: false });
    await eventually(() => expect([engine.running(), gate.leases()]).toEqual([1, 1]));
    engine.show('answers');
    const answer = await pending;
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
    await eventually(() => expect(gate.leases()).toBe(0));
    const limit = path === '/v1/responses' ? 'max_output_tokens' : 'max_tokens';
    expect(engine.received[0]?.body).toMatchObject({ [limit]: expect.any(Number) });
  });

  test.each(Object.entries(BODIES))('%s streams to its end without [DONE]', async (path, body) => {
    const { gate } = await guarded();
    const answer = await post(gate, path, { ...body, stream: true });
    const text = await answer.text();
    expect(text).toContain('def');
    expect(text).not.toContain('[DONE]');
    await eventually(() => expect(gate.leases()).toBe(0));
  });

  test('a request without a limit gets 1024 tokens, and that is said', async () => {
    const { engine, gate } = await guarded();
    const answer = await post(gate, CHAT, { messages: MESSAGES });
    await answer.arrayBuffer();
    expect(answer.headers.get('x-kvgate-max-tokens')).toBe('requested=1024; granted=1024');
    expect(answer.headers.get('x-kvgate-changed')).toBe('max_tokens');
    expect(engine.received[0]?.body).toEqual({ messages: MESSAGES, max_tokens: 1024 });
  });
});

test.each(['/v1/audio/transcriptions', '/v1/systemone', '/load_model', '/reset', '/v1/embeddings'])(
  '%s is refused, and nothing of it is sent',
  async (path) => {
    const { engine, gate } = await guarded();
    expect((await post(gate, path, { model: 'other', messages: MESSAGES })).status).toBe(404);
    expect(engine.received).toEqual([]);
  },
);

describe('when it fails', () => {
  test('a bare 500 is a suspicion: no work until a token of it was seen', async () => {
    const { engine, gate } = await guarded();
    engine.show('fails');
    const answer = await post(gate, CHAT, { messages: MESSAGES });
    expect([answer.status, await answer.json()]).toMatchObject([
      503,
      { error: { code: 'server_is_overloaded' } },
    ]);
    await eventually(() => expect(healthOf(gate)).toEqual(['quarantined']));
    engine.show('answers');
    await eventually(() => expect(healthOf(gate)).toEqual(['healthy']));
    expect(engine.received.at(-1)?.body).toMatchObject({ max_tokens: 1 });
    expect(gate.leases()).toBe(0);
  });

  test.each(['out of memory in its stream', 'dies in its stream'] as const)(
    '"%s" does not end like a success',
    async (face) => {
      const { engine, gate } = await guarded();
      engine.show(face);
      const answer = await post(gate, CHAT, { messages: MESSAGES, stream: true });
      const text = await brokenTextOf(answer);
      expect(text).toContain('abc');
      expect(text).toContain('"error"');
      expect(text).not.toContain('finish_reason":"');
      // A connection that breaks says nothing about the generation; a process that is gone does.
      if (face === 'dies in its stream') await engine.stop();
      await eventually(() => expect(gate.leases()).toBe(0));
    },
  );
});
