/** The operator's routes: what they tell, to whom, and that none of them is ever forwarded. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createSimulatedServer } from '../../backend-adapters/simulated-server/server.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';
import { CHAT, chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { beginStream } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const GUARDED = ['/metrics', '/memory_stats', '/stats'];

async function json(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(url)).json()) as Record<string, unknown>;
}

describe('with a simulated GPU', () => {
  const simulated = createSimulatedServer({ personality: 'dynamic', speed: 100 });
  let gate: TestGate;
  beforeAll(async () => {
    const { url } = await simulated.listen(0, '127.0.0.1');
    gate = await startTestGate({ backend: [url], attention: 'flash', 'drain-timeout': 0 }, url);
    await fetch(gate.url + CHAT, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-session-id': 'chat-1' },
      body: chat({ max_tokens: 16 }),
    });
  });
  afterAll(async () => {
    await gate.stop();
    await simulated.close();
  });

  test('/memory_stats has its agreed keys', async () => {
    const stats = await json(`${gate.url}/memory_stats`);
    expect(stats).toMatchObject({
      active_sessions: 1,
      total_kv_mb: expect.any(Number),
      gpu_usage: expect.stringMatching(/^\d{1,3}\.\d%$/),
      gpu_free_mb: expect.any(Number),
      rejected_count: 0,
      routed_4gpu_count: 0,
      degraded_count: 0,
    });
    expect(stats.session_details).toEqual([
      expect.objectContaining({
        id: 'chat-1',
        kv_mb: expect.any(Number),
        requests: 1,
        idle_seconds: expect.any(Number),
      }),
    ]);
    expect(stats.gpu_memory).toEqual([
      expect.objectContaining({
        gpu_id: 0,
        free_gb: expect.any(Number),
        total_gb: expect.closeTo(79.65, 1),
        used_gb: expect.any(Number),
        usage_percent: expect.any(Number),
      }),
    ]);
  });

  test('/health tells the state and the model, and no more', async () => {
    expect(await json(`${gate.url}/health`)).toEqual({
      status: 'ok',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      dtype: expect.any(String),
      model: {
        model_id: 'gpt-oss-20b',
        model_size: '20b',
        dtype: expect.any(String),
        gpu_mode: expect.any(String),
        prompt_version: expect.any(String),
      },
      backends: [{ name: 'default-1', pool: 'default', state: 'healthy' }],
    });
  });

  test('/metrics has the four required names', async () => {
    const answer = await fetch(`${gate.url}/metrics`);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const page = await answer.text();
    for (const name of [
      'memory_pressure_gauge',
      'sessions_active',
      'admission_rejected_total',
      'degradation_triggered_total',
    ]) {
      expect(page).toContain(`# TYPE ${name} `);
    }
    expect(page).not.toContain('chat-1');
  });

  test('/stats counts what is going on', async () => {
    expect(await json(`${gate.url}/stats`)).toMatchObject({
      requests_in_flight: 0,
      request_ids: [],
      queue_length: 0,
      decisions: { 'accept:fits': 1 },
      instances: [{ instance: 'default-1', leases: 0 }],
    });
  });

  test('/explain decides, and takes and sends nothing', async () => {
    const received = simulated.state().received;
    const answer = await fetch(`${gate.url}/explain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: chat({ max_tokens: 16 }),
    });
    expect([answer.status, await answer.json()]).toMatchObject([
      200,
      { decision: { action: 'accept', reason: 'fits' }, shape: { requestedOutputTokens: 16 } },
    ]);
    expect(gate.leases()).toBe(0);
    expect(simulated.state().received).toBe(received);
    expect(await json(`${gate.url}/stats`)).toMatchObject({ decisions: { 'accept:fits': 1 } });
  });
});

describe('with a stub backend', () => {
  let stub: GuardedStub;
  afterEach(() => stub.stop());

  test('what is unknown is null', async () => {
    stub = await startGuardedStub();
    expect(await json(`${stub.url}/memory_stats`)).toMatchObject({
      active_sessions: 0,
      total_kv_mb: 0,
      gpu_usage: null,
      gpu_free_mb: null,
      session_details: [],
      gpu_memory: [],
    });
  });

  test('/ready and /health follow the backend', async () => {
    stub = await startGuardedStub();
    expect((await fetch(`${stub.url}/ready`)).status).toBe(200);
    stub.backend.loading(true);
    await eventually(async () => expect((await fetch(`${stub.url}/ready`)).status).toBe(503));
    expect(await json(`${stub.url}/health`)).toMatchObject({ status: 'unavailable' });
    const refused = await stub.post(chat());
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { error: { code: 'server_is_overloaded' } },
    ]);
    expect(refused.headers.has('retry-after')).toBe(true);
    stub.backend.loading(false);
    await eventually(async () => expect((await fetch(`${stub.url}/ready`)).status).toBe(200));
  });

  test('a bad body is explained like any other', async () => {
    stub = await startGuardedStub();
    const answer = await fetch(`${stub.url}/explain`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    expect([answer.status, await answer.json()]).toMatchObject([
      400,
      { error: { code: 'invalid_request_error' } },
    ]);
  });

  test('whoever leaves in the middle of /explain costs nothing but that', async () => {
    stub = await startGuardedStub();
    const raw = await connectRaw(stub.url);
    raw.send('POST /explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"messages":');
    raw.destroy();
    await eventually(async () => expect((await fetch(`${stub.url}/stats`)).status).toBe(200));
    expect(stub.test.logged.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test.each([
    ['POST', '/health', 405],
    ['POST', '/metrics', 405],
    ['GET', '/explain', 405],
    ['GET', '/cancel/x', 405],
    ['POST', '/cancel/x', 404],
    ['GET', '/memory_stats/', 404],
    ['GET', '/stats/x', 404],
  ])('%s %s is %d, and is not forwarded', async (method, path, status) => {
    stub = await startGuardedStub();
    expect((await fetch(stub.url + path, { method })).status).toBe(status);
    expect(stub.backend.received).toEqual([]);
  });
});

describe('without an admin token', () => {
  let stub: GuardedStub;
  beforeAll(async () => {
    stub = await startGuardedStub();
  });
  afterAll(() => stub.stop());

  /** The status of a GET with exactly these headers. */
  async function statusWith(path: string, ...headers: string[]): Promise<number> {
    const raw = await connectRaw(stub.url);
    raw.send(`${[`GET ${path} HTTP/1.1`, ...headers, 'Connection: close'].join('\r\n')}\r\n\r\n`);
    return Number((await raw.rest).split(' ')[1]);
  }

  test.each(['localhost', 'localhost:9797', '127.0.0.1:1', '[::1]:9797'])(
    'host %s may',
    async (host) => {
      for (const path of GUARDED) expect(await statusWith(path, `Host: ${host}`)).toBe(200);
    },
  );

  test.each([
    ['a foreign host (DNS rebinding)', ['Host: evil.test']],
    ['a host that only looks like ours', ['Host: localhost.evil.test']],
    ['a request through a proxy', ['Host: localhost', 'X-Forwarded-For: 10.0.0.1']],
    ['a request through a proxy that says so otherwise', ['Host: localhost', 'Forwarded: for=x']],
    ['a request through a proxy for another host', ['Host: localhost', 'X-Forwarded-Host: a']],
    ['a page of another site', ['Host: localhost', 'Origin: https://evil.test']],
    ['a page of nowhere', ['Host: localhost', 'Origin: null']],
    ['a page on another port', ['Host: localhost:1', 'Origin: http://localhost:2']],
  ])('%s may not, but may ask for health', async (_name, headers) => {
    for (const path of GUARDED) expect(await statusWith(path, ...headers)).toBe(403);
    for (const path of ['/health', '/ready']) expect(await statusWith(path, ...headers)).toBe(200);
  });
});

describe('with an admin token', () => {
  const token = 'admin-secret';
  let stub: GuardedStub;
  afterEach(() => stub.stop());
  const ask = (path: string, shown: string | null, method = 'GET') =>
    fetch(stub.url + path, {
      method,
      headers: shown === null ? {} : { authorization: `Bearer ${shown}` },
    });

  test('it is needed, even from loopback', async () => {
    stub = await startGuardedStub({ 'admin-token-file': files.write('token', `${token}\n`) });
    for (const path of GUARDED) {
      expect((await ask(path, null)).status).toBe(403);
      expect((await ask(path, 'wrong')).status).toBe(403);
      expect((await ask(path, token)).status).toBe(200);
    }
    expect((await ask('/health', null)).status).toBe(200);
  });

  test('a request may also be cancelled by the tenant it belongs to, and by no other', async () => {
    stub = await startGuardedStub({
      'admin-token-file': files.write('token', token),
      'api-key-file': files.write('keys', 'sk-one\nsk-two\n'),
    });
    stub.backend.answerWith(beginStream(': waiting\n\n', () => {}));
    const answer = await stub.post(chat({ stream: true }), { authorization: 'Bearer sk-one' });
    const path = `/cancel/${answer.headers.get('x-request-id')}`;
    expect((await ask(path, 'sk-two', 'POST')).status).toBe(403);
    expect((await ask(path, null, 'POST')).status).toBe(403);
    expect((await ask(path, 'sk-one', 'POST')).status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
  });
});

describe('--admin-listen', () => {
  let stub: GuardedStub;
  beforeAll(async () => {
    stub = await startGuardedStub({ 'admin-listen': '127.0.0.1:0' });
  });
  afterAll(() => stub.stop());

  test('moves the routes to a port of their own', async () => {
    const admin = `http://127.0.0.1:${stub.test.gate.adminPort}`;
    for (const path of GUARDED) {
      expect((await fetch(stub.url + path)).status).toBe(404);
      expect((await fetch(admin + path)).status).toBe(200);
    }
    for (const base of [admin, stub.url]) expect((await fetch(`${base}/health`)).status).toBe(200);
    expect((await fetch(`${admin}${CHAT}`, { method: 'POST', body: chat() })).status).toBe(404);
    expect(stub.backend.received).toEqual([]);
  });
});
