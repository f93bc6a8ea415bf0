/** The same prompt is the same prompt: one cache key, one prefix in the engine, not a byte rewritten. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { bringPressure, capacityOf, GuardedServers, samplesOf } from '../support/guarded-server.ts';
import { splitRequests } from '../support/http-messages.ts';
import { type RecordingRelay, startRecordingRelay } from '../support/recording-relay.ts';
import { get, post } from '../support/simulated-http.ts';

const servers = new GuardedServers();
const relays: RecordingRelay[] = [];
afterEach(async () => {
  await servers.closeAll();
  await Promise.all(relays.splice(0).map((relay) => relay.stop()));
});

const PATH = '/v1/chat/completions';
const BODY = {
  model: 'gpt-oss-20b',
  messages: [
    { role: 'system', content: 'Answer briefly.' },
    { role: 'user', content: 'Was ist größer: 2 oder 10?' },
  ],
  max_tokens: 4,
};

async function keyOf(url: string, body: object | string): Promise<string | null> {
  const { status, headers } = await post(`${url}${PATH}`, body);
  expect(status).toBe(200);
  return headers.get('x-kvgate-cache-key');
}

describe('prompt determinism', () => {
  test('the same request gets the same cache key, also from another gate', async () => {
    const first = await servers.start({ personality: 'paged' });
    const second = await servers.gate({ backend: [first.backendUrl] }, first.backendUrl);
    const keys = [
      await keyOf(first.url, BODY),
      await keyOf(first.url, BODY),
      await keyOf(second.url, BODY),
    ];
    expect(keys[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(keys).size).toBe(1);
  });

  test('whitespace, key order, escapes and limits do not change the key; content does', async () => {
    const { url } = await servers.start({ personality: 'paged' });
    const { model, messages, max_tokens } = BODY;
    const key = await keyOf(url, BODY);
    const same = [
      JSON.stringify(BODY, null, 2),
      { max_tokens, messages, model },
      { ...BODY, messages: messages.map(({ role, content }) => ({ content, role })) },
      JSON.stringify(BODY).replace('ö', '\\u00f6'),
      { ...BODY, max_tokens: 5, temperature: 0.5, seed: 7 },
    ];
    for (const body of same) expect(await keyOf(url, body)).toBe(key);

    const user = (content: string) => ({ ...BODY, messages: [{ role: 'user', content }] });
    const different = [
      user('Was ist größer: 2 oder 10?'),
      user('Was ist größer: 2 oder 10? '),
      user(' Was ist größer: 2 oder 10?'),
      user('Was ist größer:  2 oder 10?'),
      user('Was ist größer: 2 oder 10?\n'),
      { ...BODY, messages: [...messages].reverse() },
      { ...BODY, tools: [{ type: 'function', function: { name: 'compare' } }] },
    ];
    const keys = [key];
    for (const body of different) keys.push(await keyOf(url, body));
    expect(new Set(keys).size).toBe(1 + different.length);
  });

  test('the backend gets the body byte for byte, also where a limit was changed', async () => {
    const { server, url: backendUrl } = await servers.backend({ personality: 'dynamic' });
    const relay = await startRecordingRelay(backendUrl);
    relays.push(relay);
    const gate = await servers.gate({ backend: [relay.url], attention: 'flash' }, backendUrl);
    const text = '"  tab\\t nbsp\\u00a0 emoji \\ud83d\\ude00 ünï  \\r\\n\\"end\\" "';
    const body = `\n{ "max_tokens":1000,\t"messages" : [{"content":${text},"role":"user"}] ,"seed":12345678901234567890, "temperature":1.0}\n`;
    expect((await post(`${gate.url}${PATH}`, body)).headers.has('x-kvgate-changed')).toBe(false);
    await bringPressure({ server, gate }, capacityOf(gate), 0.82);
    const degraded = await post(`${gate.url}${PATH}`, body);
    expect(degraded.headers.get('x-kvgate-changed')).toBe('max_tokens, temperature');

    const bodies = relay
      .connections()
      .flatMap(({ requestBytes }) => splitRequests(requestBytes))
      .filter(({ startLine }) => startLine.includes(PATH))
      .map((request) => request.body.toString('utf8'));
    expect(bodies).toEqual([
      body,
      body.replace('"max_tokens":1000', '"max_tokens":700').replace('1.0}', '0.5}'),
    ]);
  });

  test('a repeated prompt is found in the prefix cache of the engine', async () => {
    const { url } = await servers.start({ personality: 'paged' }, { 'response-metadata': true });
    const long = { ...BODY, messages: [{ role: 'user', content: 'again '.repeat(200) }] };
    const answers = [await post(`${url}${PATH}`, long), await post(`${url}${PATH}`, long)];
    const [first, second] = answers.map(({ text }) => JSON.parse(text));
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(first.metadata.cache_hit).toBe(false);
    const cached = second.usage.prompt_tokens_details.cached_tokens;
    expect(cached).toBeGreaterThan(1_000);
    expect(second.metadata.cache_hit).toBe(true);
    expect(second.metadata.cache_key).toBe(first.metadata.cache_key);

    const page = (await get(`${url}/metrics`)).text;
    const hits = samplesOf(page, 'kvgate_prefix_cache_hit_tokens_total');
    expect(hits.map(({ value }) => value)).toEqual([cached]);
  });
});
