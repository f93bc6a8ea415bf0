/** The life of the process: how it ends when told to, and how it refuses to start. */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { ggufBytes } from '../support/gguf-header.ts';
import { CHAT, chat } from '../support/guarded-stub.ts';
import { type KvgateProcess, startKvgate } from '../support/kvgate-process.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import {
  beginStream,
  EVENTS,
  type StubBackend,
  startStubBackend,
} from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const WHOLE = EVENTS[2] ?? '';
const QUIET = ['--port', '0', '--gpu-source', 'none', '--kv-layout', 'split'];

let kvgate: KvgateProcess | null = null;
afterEach(async () => {
  kvgate?.signal('SIGKILL');
  await kvgate?.exited;
});

describe('told to stop', () => {
  let backend: StubBackend;
  beforeEach(async () => {
    backend = await startStubBackend();
  });
  afterEach(() => backend.stop());

  /** A stream through a running kvgate that has begun; `finish` ends it regularly. */
  async function withOpenStream(...flags: string[]) {
    const running = startKvgate(['serve', '--backend', backend.url, ...QUIET, ...flags]);
    kvgate = running;
    const url = await running.listening;
    const finish: (() => void)[] = [];
    backend.answerWith(
      beginStream(
        WHOLE,
        ({ response }) => void finish.push(() => response.end('data: [DONE]\n\n')),
      ),
    );
    const answer = await ask(url, { stream: true });
    const text = answer.text();
    // Awaited where its end is looked at.
    text.catch(() => {});
    await eventually(() => expect(finish).toHaveLength(1));
    return { running, url, text, finish: () => finish.forEach((end) => void end()) };
  }

  function ask(url: string, fields: Record<string, unknown> = {}): Promise<Response> {
    return fetch(url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: chat(fields),
    });
  }

  test('it lets a running stream end, refuses new work, and exits with 0', async () => {
    const { running, url, text, finish } = await withOpenStream();
    running.signal('SIGTERM');
    await eventually(async () => expect((await fetch(`${url}/ready`)).status).toBe(503));
    const refused = await ask(url);
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { error: { type: 'server_error', code: 'server_is_overloaded' } },
    ]);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect((await fetch(`${url}/v1/models?x`)).status).toBe(503);

    finish();
    expect(await text).toBe(`${WHOLE}data: [DONE]\n\n`);
    expect(await running.exited).toBe(0);
    expect(running.err()).toBe('');
    expect(backend.received).toHaveLength(1);
  });

  test('with nothing in flight it exits at once', async () => {
    const running = startKvgate(['serve', '--backend', backend.url, ...QUIET]);
    kvgate = running;
    const url = await running.listening;
    // A connection that is kept alive must not hold it back.
    await (await fetch(`${url}/health`)).text();
    running.signal('SIGINT');
    expect(await running.exited).toBe(0);
  });

  test('what still runs at the deadline is cut with an error event', async () => {
    const { running, url, text } = await withOpenStream('--drain-timeout', '0.3');
    const raw = await connectRaw(url);
    raw.send(rawPost(CHAT, chat({ stream: true })));
    await raw.until('content');
    running.signal('SIGTERM');
    expect(await raw.rest).toMatch(/data: \{"error":\{"message":"This server is shutting down\."/);
    expect(raw.text()).not.toContain('[DONE]');
    await expect(text).rejects.toThrow();
    expect(await running.exited).toBe(0);
    await eventually(() => expect(backend.open()).toBe(0));
  });

  test('a second signal ends it at once', async () => {
    const { running, url, text } = await withOpenStream();
    running.signal('SIGTERM');
    await eventually(async () => expect((await fetch(`${url}/ready`)).status).toBe(503));
    running.signal('SIGTERM');
    expect(await running.exited).toBe(1);
    await expect(text).rejects.toThrow();
  });
});

describe('it does not start', () => {
  let server: Server;
  beforeEach(async () => {
    server = createServer((request, response) => {
      const listing = { object: 'list', data: [{ id: 'acme/unheard-of', object: 'model' }] };
      const answer = request.url === '/health' ? { status: 'ok' } : listing;
      response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': '1' });
      response.end(JSON.stringify(answer));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = () => (server.address() as AddressInfo).port;

  test('without a backend: 2, with what to do', async () => {
    kvgate = startKvgate(['serve']);
    expect(await kvgate.exited).toBe(2);
    expect(kvgate.err()).toContain('pass --backend http://HOST:PORT');
    expect(kvgate.err()).toContain('kvgate demo');
  });

  test('on a port that is in use: 1, with the address', async () => {
    const backend = await startStubBackend();
    kvgate = startKvgate(['serve', '--backend', backend.url, '--port', String(port())]);
    expect(await kvgate.exited).toBe(1);
    expect(kvgate.err()).toMatch(new RegExp(`address already in use.*127\\.0\\.0\\.1:${port()}`));
    await backend.stop();
  });

  test('in front of a server whose memory can not be known: 2, with the reason', async () => {
    kvgate = startKvgate(['serve', '--backend', `http://127.0.0.1:${port()}`, ...QUIET]);
    expect(await kvgate.exited).toBe(2);
    expect(kvgate.err()).toContain(`http://127.0.0.1:${port()}`);
    expect(kvgate.err()).toContain("can't be guarded: pass --model-config");
  });

  test.each([
    ['a GGUF file that is cut off', 'GGUF\u0003\0\0\0', '(counts) is cut off'],
    [
      'a GGUF file that tells too little',
      Buffer.from(ggufBytes({ 'general.architecture': { type: 'string', value: 'llama' } })),
      '--model-config: llama.embedding_length: is missing',
    ],
    ['a config.json that tells too little', '{}', '--model-config: num_hidden_layers: is missing'],
  ])('with %s: 2, with the field', async (_, bytes, problem) => {
    const files = createTempFiles();
    const path = files.write('model', '');
    writeFileSync(path, bytes);
    kvgate = startKvgate([
      'serve',
      '--backend',
      `http://127.0.0.1:${port()}`,
      '--model-config',
      path,
    ]);
    expect(await kvgate.exited).toBe(2);
    expect(kvgate.err()).toContain(problem);
    files.remove();
  });

  test('on a GPU too small for one useful request: 2, with the arithmetic', async () => {
    kvgate = startKvgate(['demo', '--port', '0', '--simulated-gpu-mb', '15000']);
    expect(await kvgate.exited).toBe(2);
    expect(kvgate.err()).toMatch(/smallest useful request .* needs \d+ MiB, but only \d+ MiB/s);
  });
});
