/** Estimate, admission, sessions and degradation: what keeps GPU memory from running out. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { bringPressure, capacityOf, GuardedServers, samplesOf } from '../support/guarded-server.ts';
import { get, post } from '../support/simulated-http.ts';

const servers = new GuardedServers();
const streams: { abort(): void }[] = [];
afterEach(async () => {
  for (const stream of streams.splice(0)) stream.abort();
  await servers.closeAll();
});

const CHAT = '/v1/chat/completions';
const COMPLETIONS = '/v1/completions';

/** A prompt of exactly so many tokens: ids, whose number no tokenizer changes. */
const ids = (tokens: number) => Array.from({ length: tokens }, (_, index) => index % 1_000);

const user = (content: string) => [{ role: 'user', content }];

/** llama.cpp's rules with one pool of cells for all slots, where an overflow kills everybody. */
const unified = (contextTokens: number) => ({ personality: 'slots', contextTokens }) as const;
const UNIFIED = { 'kv-layout': 'unified', 'min-output-tokens': 16 };

async function memoryStats(url: string) {
  const { status, text } = await get(`${url}/memory_stats`);
  expect(status).toBe(200);
  return JSON.parse(text);
}

/** Starts a stream that goes on until the end of the test, and gives the headers of its answer. */
async function occupy(url: string, promptTokens: number, outputTokens: number): Promise<Headers> {
  const controller = new AbortController();
  streams.push(controller);
  const { status, headers } = await fetch(`${url}${COMPLETIONS}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: ids(promptTokens), max_tokens: outputTokens, stream: true }),
    signal: controller.signal,
  });
  expect(status).toBe(200);
  return headers;
}

describe('memory management', () => {
  test('the estimate is exact for gpt-oss-20b, with the naive formula beside it', async () => {
    const { url } = await servers.start(unified(131_072), UNIFIED);
    // 24 layers, every other one with a window of 128 tokens, 8 KV heads of 64, 2 bytes each.
    const bytesPerTokenOfLayer = 2 * 8 * 64 * 2;
    const sizes = [
      { promptTokens: 1, outputTokens: 1 },
      { promptTokens: 100, outputTokens: 27 },
      { promptTokens: 100, outputTokens: 28 },
      { promptTokens: 100, outputTokens: 29 },
      { promptTokens: 4_000, outputTokens: 96 },
      { promptTokens: 20_000, outputTokens: 800 },
    ];
    for (const { promptTokens, outputTokens } of sizes) {
      const body = { prompt: ids(promptTokens), max_tokens: outputTokens };
      const { decision } = JSON.parse((await post(`${url}/explain`, body)).text);
      const tokens = promptTokens + outputTokens;
      expect(decision).toMatchObject({
        action: 'accept',
        promptTokens,
        charge: {
          peakUnits: tokens,
          kvBytes: bytesPerTokenOfLayer * (12 * tokens + 12 * Math.min(tokens, 128)),
          naiveBytes: bytesPerTokenOfLayer * 24 * tokens,
        },
      });
    }

    // A server that allocates for each request keeps accounts of its own: the peak it saw.
    const dynamic = await servers.start({ personality: 'dynamic' }, { attention: 'flash' });
    const body = { prompt: 'k'.repeat(4_000), max_tokens: 100 };
    const { decision } = JSON.parse((await post(`${dynamic.url}/explain`, body)).text);
    const idleBytes = dynamic.server.gpu.peakUsedBytes;
    await post(`${dynamic.url}${COMPLETIONS}`, body);
    const estimateOverActual =
      decision.charge.peakUnits / (dynamic.server.gpu.peakUsedBytes - idleBytes);
    expect(estimateOverActual).toBeGreaterThanOrEqual(1);
    expect(estimateOverActual).toBeLessThan(1.01);
  });

  test('what fits is accepted as it came; what would not is shrunk to fit, and says so', async () => {
    const { url, server } = await servers.start({ ...unified(4_096), speed: 1 }, UNIFIED);
    await occupy(url, 1_000, 1_500);
    const body = { prompt: ids(500), max_tokens: 1_000 };
    const accepted = await post(`${url}/explain`, body);
    expect(JSON.parse(accepted.text).decision).toMatchObject({ action: 'accept', reason: 'fits' });

    const larger = await occupy(url, 500, 1_800);
    expect(larger.get('x-kvgate-decision')).toBe('shrink');
    expect(larger.get('x-kvgate-reason')).toBe('memory_pressure');
    expect(larger.get('x-kvgate-max-tokens')).toBe('requested=1800; granted=1096');
    expect(larger.get('x-kvgate-changed')).toBe('max_tokens');
    expect(server.state().overflow).toBe(0);
  });

  test('what never fits is refused for good, what does not fit now until memory is free', async () => {
    const { url, server } = await servers.start(
      { ...unified(4_096), speed: 1 },
      { ...UNIFIED, 'queue-max': 0 },
    );
    const never = await post(`${url}${COMPLETIONS}`, { prompt: ids(5_000), max_tokens: 10 });
    expect(never.status).toBe(400);
    expect(never.headers.get('x-should-retry')).toBe('false');
    expect(JSON.parse(never.text).error.code).toBe('context_length_exceeded');

    await occupy(url, 2_000, 2_000);
    const later = await post(`${url}${COMPLETIONS}`, { prompt: ids(500), max_tokens: 500 });
    expect(later.status).toBe(429);
    expect(later.headers.get('x-kvgate-decision')).toBe('reject');
    expect(Number(later.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(later.headers.get('retry-after'))).toBeLessThanOrEqual(30);
    expect(JSON.parse(later.text).error.type).toBe('rate_limit_error');
    expect((await memoryStats(url)).rejected_count).toBe(2);
    expect(server.state()).toMatchObject({ received: 1, overflow: 0 });
  });

  test('a large request, and one that finds its pool full, is routed to the 4-GPU pool', async () => {
    const usual = await servers.backend({ personality: 'paged', contextTokens: 16_384, speed: 1 });
    const large = await servers.backend({ personality: 'paged', gpuCount: 4 });
    const { url } = await servers.gate(
      { backend: [usual.url], 'backend-large': [`four=${large.url}`], 'max-concurrency': 1 },
      usual.url,
    );
    const routed = await post(`${url}${COMPLETIONS}`, { prompt: ids(8_001), max_tokens: 8 });
    expect(routed.headers.get('x-kvgate-decision')).toBe('route');
    expect(routed.headers.get('x-kvgate-reason')).toBe('large_request');
    expect(routed.headers.get('x-kvgate-instance')).toBe('four');

    const stays = await occupy(url, 8_000, 900);
    expect(stays.get('x-kvgate-decision')).toBe('accept');
    const spilled = await post(`${url}${COMPLETIONS}`, { prompt: ids(100), max_tokens: 8 });
    expect(spilled.headers.get('x-kvgate-decision')).toBe('route');
    expect(spilled.headers.get('x-kvgate-reason')).toBe('pool_full');
    expect((await memoryStats(url)).routed_4gpu_count).toBe(2);
    expect([usual, large].map(({ server }) => server.state().received)).toEqual([1, 2]);
  });

  test('a session stays within its limit, and idle sessions go by least recent use', async () => {
    const { url, gate } = await servers.start(
      { personality: 'slots', contextTokens: 16_384, slots: 4, speed: 100 },
      { 'kv-layout': 'split', 'session-kv-limit-mb': 64, 'max-kv-gb': 0.125, 'shrink-floor': 1 },
    );
    const ask = (session: string, promptTokens: number) =>
      post(
        `${url}${COMPLETIONS}`,
        { prompt: ids(promptTokens), max_tokens: 8 },
        { 'x-session-id': session },
      );
    // 24,576 bytes a token beyond the window: 64 MiB are some 2,600 tokens.
    const tooLong = await ask('long', 2_700);
    expect(tooLong.status).toBe(400);
    expect(JSON.parse(tooLong.text).error.code).toBe('session_kv_limit');

    for (const session of ['a', 'b', 'a', 'c', 'd']) {
      expect((await ask(session, 2_000)).status).toBe(200);
    }
    const { session_details, total_kv_mb, active_sessions } = await memoryStats(url);
    const details: { id: string; requests: number }[] = session_details;
    expect(details.map(({ id, requests }) => [id, requests])).toEqual([
      ['d', 1],
      ['c', 1],
    ]);
    expect(active_sessions).toBe(2);
    expect(total_kv_mb).toBeLessThanOrEqual(128);
    const evicted = gate.logged.filter(({ msg }) => msg === 'Session evicted');
    expect(evicted.map(({ fields }) => fields)).toMatchObject([
      { session: 'b', reason: 'lru' },
      { session: 'a', reason: 'lru' },
    ]);
  });

  test('levels rise at once and fall with hysteresis, each disclosed in the headers', async () => {
    const guarded = await servers.start(
      { personality: 'dynamic' },
      { attention: 'flash', 'min-dwell': 0 },
    );
    const budgetBytes = capacityOf(guarded.gate);
    const body = { messages: user('hi'), max_tokens: 1_000, temperature: 0.9, top_p: 1 };
    const headersAt = async (pressure: number) => {
      await bringPressure(guarded, budgetBytes, pressure);
      const { status, headers } = await post(`${guarded.url}${CHAT}`, body);
      expect(status).toBe(200);
      return ['level', 'max-tokens', 'changed'].map((name) => headers.get(`x-kvgate-${name}`));
    };
    const expectations: [number, string, number, string | null][] = [
      [0.6, 'low', 1_000, null],
      [0.75, 'medium', 900, 'max_tokens, top_p'],
      [0.82, 'high', 700, 'max_tokens, temperature'],
      [0.87, 'critical', 500, 'max_tokens, temperature'],
      [0.95, 'emergency', 300, 'max_tokens, temperature'],
      // Falling, a level is left 0.03 below where it begins.
      [0.88, 'emergency', 300, 'max_tokens, temperature'],
      [0.86, 'critical', 500, 'max_tokens, temperature'],
      [0.78, 'high', 700, 'max_tokens, temperature'],
      [0.76, 'medium', 900, 'max_tokens, top_p'],
      [0.68, 'medium', 900, 'max_tokens, top_p'],
      [0.66, 'low', 1_000, null],
    ];
    for (const [pressure, level, granted, changed] of expectations) {
      const disclosed = [level, `requested=1000; granted=${granted}`, changed];
      expect([pressure, ...(await headersAt(pressure))]).toEqual([pressure, ...disclosed]);
    }
    const never = await post(`${guarded.url}${CHAT}`, body, { 'x-kvgate-degrade': 'never' });
    expect(never.headers.has('x-kvgate-changed')).toBe(false);
    expect((await memoryStats(guarded.url)).degraded_count).toBe(9);
  });

  test('concurrency is halved, quartered and brought to one by the level', async () => {
    for (const [pressure, cap] of [
      [0, 8],
      [0.75, 8],
      [0.82, 4],
      [0.87, 2],
      [0.95, 1],
    ] as const) {
      const guarded = await servers.start(
        { personality: 'dynamic', speed: 1 },
        { attention: 'flash', 'max-concurrency': 8 },
      );
      await bringPressure(guarded, capacityOf(guarded.gate), pressure);
      // None of them ends before the client leaves.
      const controller = new AbortController();
      const answers = Array.from({ length: 12 }, () =>
        fetch(`${guarded.url}${CHAT}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ messages: user('hi'), max_tokens: 5_000 }),
          signal: controller.signal,
        }),
      );
      await eventually(async () => {
        const { queue_length } = JSON.parse((await get(`${guarded.url}/stats`)).text);
        const { running, maxRunning } = guarded.server.state();
        expect({ running, maxRunning, queue_length }).toEqual({
          running: cap,
          maxRunning: cap,
          queue_length: 12 - cap,
        });
      });
      controller.abort();
      await Promise.allSettled(answers);
    }
  });

  test('memory, sessions and counts are shown under the names that operators were promised', async () => {
    const { url } = await servers.start(
      { personality: 'dynamic' },
      { attention: 'flash', 'stale-after-ms': 60_000 },
    );
    await post(`${url}${CHAT}`, { messages: user('hi'), max_tokens: 4 }, { 'x-session-id': 's-1' });
    const stats = await eventually(async () => {
      const read = await memoryStats(url);
      expect(read.session_details).toHaveLength(1);
      return read;
    });
    const gib = 81_559 / 1_024;
    expect(stats).toMatchObject({
      active_sessions: 1,
      total_kv_mb: 0,
      gpu_usage: expect.stringMatching(/^\d+\.\d%$/),
      gpu_free_mb: expect.any(Number),
      session_details: [{ id: 's-1', kv_mb: 0, requests: 1, idle_seconds: expect.any(Number) }],
      gpu_memory: [
        {
          gpu_id: 0,
          free_gb: expect.any(Number),
          total_gb: expect.closeTo(gib, 1),
          used_gb: expect.any(Number),
          usage_percent: expect.any(Number),
        },
      ],
      rejected_count: 0,
      routed_4gpu_count: 0,
      degraded_count: 0,
    });
    const [gpu] = stats.gpu_memory;
    expect(gpu.used_gb + gpu.free_gb).toBeCloseTo(gpu.total_gb, 1);
    expect(Number.parseFloat(stats.gpu_usage)).toBeCloseTo(gpu.usage_percent, 0);
    expect((gpu.free_gb * 1_024) / stats.gpu_free_mb).toBeCloseTo(1, 2);

    const page = (await get(`${url}/metrics`)).text;
    const names = [
      ['memory_pressure_gauge', 'gauge'],
      ['sessions_active', 'gauge'],
      ['admission_rejected_total', 'counter'],
      ['degradation_triggered_total', 'counter'],
    ];
    for (const [name, type] of names) expect(page).toContain(`# TYPE ${name} ${type}\n`);
    expect(samplesOf(page, 'sessions_active')).toEqual([{ labels: '', value: 1 }]);
    expect(samplesOf(page, 'memory_pressure_gauge')).toEqual([
      { labels: expect.stringContaining('model_id="gpt-oss-20b"'), value: 0 },
    ]);
  });
});
