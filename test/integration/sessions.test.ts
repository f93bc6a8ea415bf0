/** A session holds what it may and no more, is seen, and is forgotten when it is idle. */
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { ANSWER, answerJson, beginStream } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const LIMIT_MB = 16;
const OVER_LIMIT = chat({
  messages: [{ role: 'user', content: 'many words '.repeat(3000) }],
  max_tokens: 16,
});

const files = createTempFiles();
afterAll(() => files.remove());

let stub: GuardedStub;
afterEach(() => stub.stop());

interface SessionShown {
  readonly id: string;
  readonly kv_mb: number;
  readonly requests: number;
  readonly idle_seconds: number;
}

async function sessions(): Promise<readonly SessionShown[]> {
  const stats = await (await fetch(`${stub.url}/memory_stats`)).json();
  return (stats as { session_details: SessionShown[] }).session_details;
}

const start = (flags = {}) =>
  startGuardedStub({ 'session-kv-limit-mb': LIMIT_MB, ...flags }, { contextTokens: 100_000 });

test('a request that is alone over the limit is refused for good', async () => {
  stub = await start();
  const answer = await stub.post(OVER_LIMIT, { 'x-session-id': 'a' });
  expect([answer.status, await answer.json()]).toMatchObject([
    400,
    { error: { type: 'invalid_request_error', code: 'session_kv_limit' } },
  ]);
  expect(answer.headers.get('x-should-retry')).toBe('false');
  expect(stub.backend.received).toEqual([]);
});

test('without a session there is no limit of one', async () => {
  stub = await start();
  expect((await stub.post(OVER_LIMIT)).status).toBe(200);
});

describe('while requests of a session run', () => {
  const half = chat({ max_tokens: 400, stream: true });

  async function startHalf(): Promise<void> {
    stub.backend.answerWith(beginStream(': waiting\n\n', () => {}));
    expect((await stub.post(half, { 'x-session-id': 'a' })).status).toBe(200);
    stub.backend.answerWith(answerJson(200, ANSWER));
  }

  test('another one of it may have to wait until they are done', async () => {
    stub = await start();
    await startHalf();
    const answer = await stub.post(half, { 'x-session-id': 'a' });
    expect([answer.status, await answer.json()]).toMatchObject([
      429,
      { error: { type: 'rate_limit_error', code: 'session_kv_limit' } },
    ]);
    expect(answer.headers.has('retry-after')).toBe(true);
  });

  test('other sessions are not concerned', async () => {
    stub = await start();
    await startHalf();
    expect((await stub.post(half, { 'x-session-id': 'b' })).status).toBe(200);
  });

  test('it is shown with what it holds', async () => {
    stub = await start();
    await startHalf();
    expect(await sessions()).toEqual([
      expect.objectContaining({ id: 'a', requests: 1, idle_seconds: 0 }),
    ]);
    expect((await sessions())[0]?.kv_mb).toBeGreaterThan(1);
  });
});

test('requests are counted, and an idle session is forgotten', async () => {
  stub = await start({ 'idle-timeout-seconds': 1 });
  for (const _ of [1, 2]) await (await stub.post(chat(), { 'x-session-id': 'a' })).text();
  await eventually(async () =>
    expect(await sessions()).toEqual([expect.objectContaining({ id: 'a', requests: 2 })]),
  );
  await eventually(async () => expect(await sessions()).toEqual([]));
  expect(stub.test.logged).toContainEqual(
    expect.objectContaining({
      msg: 'Session evicted',
      fields: expect.objectContaining({ session: 'a', reason: 'idle' }),
    }),
  );
  const page = await (await fetch(`${stub.url}/metrics`)).text();
  expect(page).toContain('kvgate_session_evictions_total{reason="idle"} 1');
});

test('tenants with the same session id do not share a session', async () => {
  const keys = files.write('keys', 'sk-one\nsk-two\n');
  stub = await start({ 'api-key-file': keys });
  for (const key of ['sk-one', 'sk-two']) {
    const headers = { 'x-session-id': 'a', authorization: `Bearer ${key}` };
    await (await stub.post(chat(), headers)).text();
  }
  expect((await sessions()).map(({ id, requests }) => [id, requests])).toEqual([
    ['a', 1],
    ['a', 1],
  ]);
});

test('an id in the body is hashed, and never a reason to refuse', async () => {
  stub = await start();
  const body = chat({ conversation: { id: 'my secret / \u4e16' } });
  expect((await stub.post(body)).status).toBe(200);
  const [session] = await sessions();
  expect(session?.id).toMatch(/^[A-Za-z0-9_-]{22}$/);
});
