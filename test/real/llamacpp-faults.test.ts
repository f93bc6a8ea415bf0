/**
 * A real llama-server that is locked, still loading, killed or stopped, behind
 * kvgate: the operator and the clients are told the truth, nothing stays
 * reserved, and it comes back.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { type Flags, startTestGate, type TestGate } from '../support/gate.ts';
import { slotsOf } from '../support/llama-client.ts';
import {
  type LlamaServerOptions,
  type RunningLlamaServer,
  startLlamaServer,
} from '../support/llama-server.ts';
import { createTempFiles } from '../support/temp-files.ts';

const CHAT = '/v1/chat/completions';
const JSON_BODY = { 'content-type': 'application/json' };

const running: { stop(): Promise<unknown> }[] = [];
const files = createTempFiles();
afterAll(() => files.remove());
afterEach(async () => {
  for (const each of running.splice(0).reverse()) await each.stop();
});

async function startServer(
  args: readonly string[],
  options?: LlamaServerOptions,
): Promise<RunningLlamaServer> {
  const server = await startLlamaServer(args, options);
  running.push(server);
  return server;
}

async function startGate(url: string, flags: Flags = {}): Promise<TestGate> {
  const gate = await startTestGate({
    backend: [url],
    'gpu-source': 'none',
    'drain-timeout': 0,
    'model-config': 'test/fixtures/tiny-gpt-oss-config.json',
    ...flags,
  });
  running.push(gate);
  return gate;
}

function ask(gate: TestGate, body: object, path = CHAT): Promise<Response> {
  const messages = [{ role: 'user', content: 'hi' }];
  return fetch(gate.url + path, {
    method: 'POST',
    headers: JSON_BODY,
    body: JSON.stringify({ messages, ...body }),
  });
}

const stateOf = (gate: TestGate) => gate.gate.overview.instances()[0]?.health.state;

describeReal('llama-server with --api-key', () => {
  test('is not guarded without the key, and the operator is told which flag gives it', async () => {
    const server = await startServer(['-c', '2048', '-np', '1', '--api-key', 'sesame']);
    await expect(startGate(server.url)).rejects.toThrow(/wants an API key.*--backend-api-key-file/);
  });

  test('is guarded and used with it, and the client needs none', async () => {
    const server = await startServer(['-c', '2048', '-np', '1', '--api-key', 'sesame']);
    const gate = await startGate(server.url, {
      'backend-api-key-file': files.write('key', 'sesame\n'),
    });
    expect(stateOf(gate)).toBe('healthy');
    const answer = await ask(gate, { max_tokens: 3 });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 3 } });
    expect((await fetch(`${gate.url}/props`)).status).toBe(200);
  });
});

describeReal('llama-server while it loads', () => {
  test('is known and waited for; requests get 503 and not its own words', async () => {
    const pipe = pipeIn(process.env.KVGATE_CACHE ?? join(homedir(), '.cache', 'kvgate'));
    // It opens this file while it loads, and goes on when whoever writes to it has closed it.
    const blocked = ['--spec-type', 'ngram-cache', '--lookup-cache-static', pipe];
    const server = await startServer(['-c', '2048', '-np', '1', ...blocked], { until: 'loading' });
    const gate = await startGate(server.url);
    expect(gate.gate.overview.instances()).toMatchObject([
      { adapter: 'llamacpp', health: { state: 'loading' } },
    ]);
    const early = await ask(gate, { max_tokens: 3 });
    expect(early.status).toBe(503);
    expect(await early.json()).toMatchObject({ error: { code: 'server_is_overloaded' } });
    expect(early.headers.get('retry-after')).toMatch(/^\d+$/);

    await (await open(pipe, 'w')).close();
    await eventually(() => expect(stateOf(gate)).toBe('healthy'), 10_000);
    expect((await ask(gate, { max_tokens: 3 })).status).toBe(200);
    rmSync(pipe);
  });
});

describeReal('llama-server that ends with SIGKILL in the middle of a stream', () => {
  const ARGS = ['-c', '65536', '-np', '2'];

  test('leaves an error event and a broken connection, and is trusted again only after a token', async () => {
    const first = await startServer(ARGS);
    const gate = await startGate(first.url);
    const answer = await ask(gate, { max_tokens: 30_000, stream: true });
    const reader = reading(answer);
    await reader.some();
    expect(gate.leases()).toBe(1);

    first.signal('SIGKILL');
    const { text, broken } = await reader.rest();
    expect(broken).toBe(true);
    expect(text).not.toContain('[DONE]');
    expect(JSON.parse(text.slice(text.lastIndexOf('data: ') + 6))).toMatchObject({
      error: { code: 'backend_failed' },
    });
    await eventually(() => expect(gate.leases()).toBe(0), 5_000);
    await eventually(() => expect(stateOf(gate)).not.toBe('healthy'));
    expect((await ask(gate, { max_tokens: 3 })).status).toBe(503);

    const second = await startServer(ARGS, { port: first.port });
    await eventually(() => expect(stateOf(gate)).toBe('healthy'), 10_000);
    // Nobody else has asked it for anything yet.
    const used = (await slotsOf(second)).filter((slot) => slot.n_prompt_tokens !== undefined);
    expect(used).toHaveLength(1);
    expect((await ask(gate, { max_tokens: 3 })).status).toBe(200);
  });
});

describeReal('llama-server that SIGSTOP holds in the middle of a stream', () => {
  test('costs that stream and its clients get 503, until it goes on', async () => {
    const server = await startServer(['-c', '65536', '-np', '2']);
    const gate = await startGate(server.url, { 'stream-idle-timeout': 0.5 });
    const reader = reading(await ask(gate, { max_tokens: 30_000, stream: true }));
    await reader.some();

    server.signal('SIGSTOP');
    const { text, broken } = await reader.rest();
    expect(broken).toBe(true);
    expect(text).not.toContain('[DONE]');
    expect(JSON.parse(text.slice(text.lastIndexOf('data: ') + 6))).toMatchObject({
      error: { code: 'backend_timeout' },
    });
    // It may still hold what it was working on.
    expect(gate.leases()).toBe(1);
    await eventually(() => expect(stateOf(gate)).toBe('unreachable'), 15_000);
    expect((await ask(gate, { max_tokens: 3 })).status).toBe(503);

    server.signal('SIGCONT');
    await eventually(() => expect(stateOf(gate)).toBe('healthy'), 10_000);
    await eventually(() => expect(gate.leases()).toBe(0), 15_000);
    expect((await ask(gate, { max_tokens: 3 })).status).toBe(200);
  }, 60_000);
});

function pipeIn(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `lookup-cache-${process.pid}`);
  rmSync(path, { force: true });
  execFileSync('mkfifo', [path]);
  return path;
}

/** A stream as it comes: how it ends, well or broken, is part of what was read. */
function reading(answer: Response) {
  const chunks = answer.body?.getReader();
  if (chunks === undefined) throw new Error('no body');
  const decoder = new TextDecoder();
  let text = '';
  const more = async (): Promise<boolean> => {
    const { done, value } = await chunks.read();
    if (value !== undefined) text += decoder.decode(value, { stream: true });
    return !done;
  };
  return {
    /** Waits until at least ten events are there. */
    async some(): Promise<void> {
      while (text.split('\n\n').length < 10) expect(await more()).toBe(true);
    },
    async rest(): Promise<{ readonly text: string; readonly broken: boolean }> {
      try {
        while (await more());
        return { text: text.trimEnd(), broken: false };
      } catch {
        return { text: text.trimEnd(), broken: true };
      }
    },
  };
}
