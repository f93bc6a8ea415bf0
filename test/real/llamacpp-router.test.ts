/**
 * A real llama-server as a router, which starts a server for each model that is
 * asked for: it can't be guarded, what it starts can.
 */

import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { startTestGate } from '../support/gate.ts';
import { post } from '../support/llama-client.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { writeTinyGguf } from '../support/tiny-gguf.ts';

const CHAT = '/v1/chat/completions';
const messages = [{ role: 'user', content: 'hi' }];

describeReal('a router of llama-server', () => {
  let router: RunningLlamaServer;
  beforeAll(async () => {
    const models = join(tmpdir(), 'kvgate-tiny-models');
    mkdirSync(models, { recursive: true });
    writeTinyGguf(join(models, 'tiny.gguf'));
    const args = ['--models-dir', models, '-c', '4096', '-np', '2'];
    router = await startLlamaServer(args, { model: 'none' });
  });
  afterAll(() => router.stop());

  const start = (url: string) =>
    startTestGate({
      backend: [url],
      'gpu-source': 'none',
      'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    });

  test('is refused with the reason, and the server that it started is guarded in its place', async () => {
    await expect(start(router.url)).rejects.toThrow(/llama\.cpp router.*none runs now/);

    const body = { model: 'tiny', messages, max_tokens: 2 };
    expect(await post(router, CHAT, body)).toMatchObject({ status: 200 });
    const error = await start(router.url).catch((reason: Error) => reason.message);
    const port = /now: tiny on port (\d+)/.exec(String(error))?.[1];
    expect([port, error]).toEqual([expect.stringMatching(/^\d+$/), error]);

    const gate = await start(`http://127.0.0.1:${port}`);
    expect(gate.gate.overview.instances()).toMatchObject([
      { adapter: 'llamacpp', capacityUnits: 4096, maxSequences: 2, health: { state: 'healthy' } },
    ]);
    expect(gate.logged.filter(({ msg }) => msg === 'Backend facts assumed')).toEqual([]);
    const answer = await fetch(gate.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 2 } });
    await gate.stop();
  });
});
