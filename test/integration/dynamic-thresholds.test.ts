/** `--dynamic-thresholds` and its route: what an engine says moves the headroom, and the operator switches it. */
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { chat, type GuardedStub, startGuardedStub } from '../support/guarded-stub.ts';
import { answerJson } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';

const files = createTempFiles();
afterAll(() => files.remove());

const PATH = '/admin/dynamic-thresholds';
const TOKEN = 'admin-secret';
const OOM = JSON.stringify({
  error: { message: 'CUDA out of memory. Tried to allocate 2.00 GiB' },
});

let stub: GuardedStub;
afterEach(() => stub.stop());

async function startWithToken(flags: Readonly<Record<string, boolean>> = {}): Promise<void> {
  stub = await startGuardedStub({ 'admin-token-file': files.write('token', TOKEN), ...flags });
}

async function ask(body?: string, method = body === undefined ? 'GET' : 'POST', path = PATH) {
  const answer = await fetch(stub.url + path, {
    method,
    body: body ?? null,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
  });
  return [answer.status, await answer.json()];
}

const state = (enabled: boolean, share: number) => ({
  enabled,
  instances: [{ instance: 'default-1', headroom_share: share }],
});

const moves = () =>
  stub.test.logged.filter(({ msg }) => msg === 'Headroom moved').map(({ fields }) => fields);

test('out of memory lowers the headroom, off restores it at once, on begins at the fixed values', async () => {
  await startWithToken({ 'dynamic-thresholds': true });
  expect(await ask()).toEqual([200, state(true, 1)]);
  stub.backend.answerWith(answerJson(500, OOM));
  await stub.post(chat());
  expect(await ask()).toEqual([200, state(true, 0.7)]);
  const page = await fetch(`${stub.url}/metrics`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  expect(await page.text()).toMatch(/kvgate_headroom_share\{instance="default-1",.*\} 0\.7\n/);

  expect(await ask('{"enabled": false}')).toEqual([200, state(false, 1)]);
  expect(moves()).toEqual([
    { instance: 'default-1', cause: 'oom', from: 1, to: 0.7 },
    { instance: 'default-1', cause: 'off', from: 0.7, to: 1 },
  ]);
  expect(await ask('{"enabled":true}')).toEqual([200, state(true, 1)]);
});

test('it is off unless asked for, and nothing moves then', async () => {
  await startWithToken();
  stub.backend.answerWith(answerJson(500, OOM));
  await stub.post(chat());
  expect(await ask()).toEqual([200, state(false, 1)]);
  expect(moves()).toEqual([]);
});

describe('a body that is no switch is refused by field, and switches nothing', () => {
  test.each<[string, string | null]>([
    ['{"enabled": "yes"}', 'enabled'],
    ['{"enabled": null}', 'enabled'],
    ['{"enabled": 1}', 'enabled'],
    ['{}', 'enabled'],
    ['{"enabled": false, "enable": true}', 'enable'],
    ['{"enabled": fals}', null],
    ['[true]', null],
    ['', null],
  ])('%s', async (body, param) => {
    await startWithToken({ 'dynamic-thresholds': true });
    expect(await ask(body, 'POST')).toMatchObject([
      400,
      { error: { code: 'invalid_request_error', param } },
    ]);
    expect(await ask()).toEqual([200, state(true, 1)]);
  });

  test('one that is too long is not read', async () => {
    await startWithToken();
    const [status] = await ask(`{"enabled":${' '.repeat(10_000)}true}`);
    expect(status).toBe(413);
  });
});

describe('who may', () => {
  test('nobody without the token, not even from this machine where none is set', async () => {
    stub = await startGuardedStub();
    for (const method of ['GET', 'POST']) {
      expect((await fetch(stub.url + PATH, { method })).status).toBe(403);
      expect((await ask(undefined, method))[0]).toBe(403);
    }
  });

  test('nobody with another', async () => {
    await startWithToken();
    const wrong = { authorization: 'Bearer wrong' };
    expect((await fetch(stub.url + PATH, { headers: wrong })).status).toBe(403);
    expect((await fetch(stub.url + PATH)).status).toBe(403);
  });

  test.each([
    ['DELETE', PATH, 405],
    ['GET', `${PATH}/x`, 404],
    ['GET', '/admin/', 404],
    ['POST', '/admin/anything', 404],
  ])('%s %s is %d, and is not forwarded', async (method, path, status) => {
    await startWithToken();
    expect((await ask(undefined, method, path))[0]).toBe(status);
    expect(stub.backend.received).toEqual([]);
  });
});
