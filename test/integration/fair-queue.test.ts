/** Callers with keys of their own share what there is; the class they may claim is the operator's to give. */
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import type { Flags } from '../support/gate.ts';
import { GuardedServers, samplesOf } from '../support/guarded-server.ts';
import { chat } from '../support/guarded-stub.ts';
import { type Answer, get, post } from '../support/simulated-http.ts';
import { createTempFiles } from '../support/temp-files.ts';

const servers = new GuardedServers();
afterEach(() => servers.closeAll());
const files = createTempFiles();
afterAll(() => files.remove());

const KEYS = files.write('keys', 'sk-flood\nsk-other\nsk-first high\nsk-last low\n');

/** One slot: whoever comes second waits. */
async function guard(speed: number, flags: Flags = {}) {
  const simulated = { personality: 'slots', slots: 1, contextTokens: 8192, speed } as const;
  const guarded = await servers.start(simulated, { 'api-key-file': KEYS, ...flags });
  const headersOf = (key: string, priority?: string) => ({
    authorization: `Bearer ${key}`,
    ...(priority === undefined ? {} : { 'x-kvgate-priority': priority }),
  });
  const ask = (key: string, fields: object = {}, priority?: string): Promise<Answer> =>
    post(
      `${guarded.url}/v1/chat/completions`,
      chat({ max_tokens: 100, ...fields }),
      headersOf(key, priority),
    );
  const depth = async () => {
    const page = await get(`${guarded.url}/metrics`);
    return samplesOf(page.text, 'kvgate_queue_depth')[0]?.value;
  };
  /** Sends requests one after the other, until so many wait in all. */
  const fill = async (key: string, count: number, waitingThen: number) => {
    // The first one runs long enough for all the others to be seen waiting.
    const answers = [400, ...Array<number>(count - 1).fill(60)].map((tokens) =>
      ask(key, { max_tokens: tokens }),
    );
    await eventually(async () => expect(await depth()).toBe(waitingThen));
    return answers;
  };
  return { ...guarded, ask, depth, fill };
}

describe('a flood of one key', () => {
  test('does not hold up the other', async () => {
    const { ask, fill } = await guard(4);
    const done: string[] = [];
    const flood = await fill('sk-flood', 8, 7);
    for (const answer of flood) void answer.then(() => done.push('flood'));
    const other = await ask('sk-other').then((answer) => {
      done.push('other');
      return answer;
    });
    expect(other.status).toBe(200);
    // The one that ran, and perhaps the first of those that waited.
    expect(done.length).toBeLessThanOrEqual(4);
    expect((await Promise.all(flood)).map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(done).toHaveLength(9);
  });

  test('leaves its newest place in a full queue to the other', async () => {
    const { ask, fill, url } = await guard(3, { 'queue-max': 3 });
    const flood = await fill('sk-flood', 4, 3);
    const other = ask('sk-other');
    const displaced = await Promise.race(flood);
    expect(displaced.status).toBe(429);
    expect(JSON.parse(displaced.text).error.code).toBe('queue_full');
    expect(Number(displaced.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    const refused = await ask('sk-flood');
    expect(JSON.parse(refused.text).error.code).toBe('queue_full');

    const { text } = await get(`${url}/metrics`);
    const waits = samplesOf(text, 'kvgate_queue_wait_seconds_count');
    expect(waits).toEqual([{ labels: '{outcome="displaced",priority="normal"}', value: 1 }]);
    expect((await other).status).toBe(200);
  });

  test('a client that leaves makes room within 100 ms', async () => {
    const { url, depth, ask, server } = await guard(2);
    const running = ask('sk-flood', { max_tokens: 200 });
    await eventually(() => expect(server.state()).toMatchObject({ received: 1 }));
    const leaving = new AbortController();
    const waiting = fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      signal: leaving.signal,
      headers: { 'content-type': 'application/json', authorization: 'Bearer sk-other' },
      body: chat({ max_tokens: 100 }),
    });
    await eventually(async () => expect(await depth()).toBe(1));
    const leftAtMs = performance.now();
    leaving.abort();
    await expect(waiting).rejects.toThrow();
    await eventually(async () => expect(await depth()).toBe(0));
    expect(performance.now() - leftAtMs).toBeLessThan(100);
    expect((await running).status).toBe(200);
  });
});

describe('X-Kvgate-Priority', () => {
  test.each<[key: string, claimed: string, held: string]>([
    ['sk-first', 'HIGH', 'high'],
    ['sk-first', 'low', 'low'],
    ['sk-other', 'high', 'normal'],
    ['sk-last', 'Normal', 'low'],
  ])('%s claims %s and gets %s', async (key, claimed, held) => {
    const { ask } = await guard(100);
    const answer = await ask(key, {}, claimed);
    expect([answer.status, answer.headers.get('x-kvgate-priority')]).toEqual([200, held]);
  });

  test('is not spoken of where it was not sent, and told with a refusal too', async () => {
    const { ask } = await guard(100);
    expect((await ask('sk-first')).headers.has('x-kvgate-priority')).toBe(false);
    const refused = await ask(
      'sk-other',
      { messages: [{ role: 'user', content: 'a'.repeat(9_000) }] },
      'high',
    );
    expect([refused.status, refused.headers.get('x-kvgate-priority')]).toEqual([400, 'normal']);
  });

  test.each(['highest', '1', 'high, low'])('%j is nonsense', async (claimed) => {
    const { ask, server } = await guard(100);
    const answer = await ask('sk-first', {}, claimed);
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text).error).toMatchObject({ param: 'x-kvgate-priority' });
    expect(server.state()).toMatchObject({ received: 0 });
  });

  test('without keys everybody may claim what --max-priority gives', async () => {
    const { url } = await servers.start(
      { personality: 'slots', slots: 1 },
      { 'max-priority': 'high' },
    );
    const answer = await post(`${url}/v1/chat/completions`, chat({ max_tokens: 4 }), {
      'x-kvgate-priority': 'high',
    });
    expect(answer.headers.get('x-kvgate-priority')).toBe('high');
  });

  test('the higher class goes first', async () => {
    const { ask, fill, depth } = await guard(4);
    const done: string[] = [];
    const others = await fill('sk-other', 4, 3);
    for (const answer of others) void answer.then(() => done.push('normal'));
    const urgent = ask('sk-first', {}, 'high').then(() => done.push('high'));
    await eventually(async () => expect(await depth()).toBe(4));
    await Promise.all([urgent, ...others]);
    expect(done.indexOf('high')).toBeLessThanOrEqual(1);
  });
});
