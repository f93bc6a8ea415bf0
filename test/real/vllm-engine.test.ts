/**
 * What kvgate's vLLM adapter takes for granted about the engine: its gauges,
 * preemption and cancellation, seen on a real one with a small pool.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { ask, type Completion } from '../support/model-client.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { connectRaw, rawPost } from '../support/raw-connection.ts';
import { startVllmServer, VLLM_MODEL, VLLM_WINDOW } from '../support/vllm-server.ts';

const TEXT = '/v1/completions';
const BLOCKS = 160;
const BLOCK_TOKENS = 32;
/** Seconds of work, so that it ends early only where something ends it. */
const LONG_TOKENS = VLLM_WINDOW - 8;

function suite(): void {
  let server: RunningPythonServer;
  beforeAll(async () => {
    const pool = [
      '--num-gpu-blocks-override',
      String(BLOCKS),
      '--block-size',
      String(BLOCK_TOKENS),
    ];
    server = await startVllmServer(pool);
  }, 150_000);
  afterAll(() => server.stop());

  /** A sample's labels and value, for the only sample whose name and labels hold `parts`. */
  const sample = async (...parts: readonly string[]) => {
    const { text } = await ask(`${server.url}/metrics`);
    const lines = text.split('\n').filter((line) => parts.every((part) => line.includes(part)));
    expect(lines).toHaveLength(1);
    const [line = ''] = lines;
    const value = line.slice(line.lastIndexOf(' ') + 1);
    return {
      labels: line.slice(line.indexOf('{'), line.lastIndexOf('}') + 1),
      value: Number(value),
    };
  };
  const gauge = async (...parts: readonly string[]) => (await sample(...parts)).value;
  const running = () => gauge('vllm:num_requests_running{');

  test.each([
    'num_requests_running',
    'num_requests_waiting',
    'kv_cache_usage_perc',
    'num_preemptions_total',
    'prefix_cache_queries_total',
    'prefix_cache_hits_total',
    'prompt_tokens_total',
    'generation_tokens_total',
  ])('vllm:%s has the labels engine and model_name', async (name) => {
    const { labels } = await sample(`vllm:${name}{`);
    expect(labels).toBe(`{engine="0",model_name="${VLLM_MODEL}"}`);
  });

  test('cache_config_info tells of blocks; its size in tokens is far under what the pool holds', async () => {
    const { labels, value } = await sample('vllm:cache_config_info{');
    const label = (name: string) => new RegExp(`[{,]${name}="([^"]*)"`).exec(labels)?.[1];
    expect(value).toBe(1);
    expect(label('engine')).toBe('0');
    expect(label('num_gpu_blocks')).toBe(String(BLOCKS));
    expect(label('block_size')).toBe(String(BLOCK_TOKENS));
    expect(label('sliding_window')).toBe('None');
    expect(Number(label('kv_cache_size_tokens'))).toBeLessThan((BLOCKS * BLOCK_TOKENS) / 2);
  });

  test('usage counts the blocks of running requests over all blocks but one', async () => {
    const request = { prompt: 'x'.repeat(500), max_tokens: 1_000, stream: true };
    const client = await connectRaw(server.url);
    await client.send(rawPost(TEXT, JSON.stringify(request)));
    await client.until('data: ');
    const blocks = (await gauge('vllm:kv_cache_usage_perc{')) * (BLOCKS - 1);
    expect(blocks).toBeCloseTo(Math.round(blocks), 6);
    // The full layers' group holds every token, the sliding layers' no more than its window needs.
    const everyToken = Math.ceil(500 / BLOCK_TOKENS);
    expect(blocks).toBeGreaterThanOrEqual(everyToken);
    expect(blocks).toBeLessThan(2 * everyToken);
    client.destroy();
    await eventually(async () => expect(await running()).toBe(0));
    expect(await gauge('vllm:kv_cache_usage_perc{')).toBe(0);
  });

  test.each([{ stream: true }, { stream: false }])(
    'a client that leaves stops the engine: %j',
    async ({ stream }) => {
      const generated = () => gauge('vllm:generation_tokens_total{');
      const before = await generated();
      const client = await connectRaw(server.url);
      const request = { prompt: 'x', max_tokens: LONG_TOKENS, stream };
      await client.send(rawPost(TEXT, JSON.stringify(request)));
      await eventually(async () => expect(await generated()).toBeGreaterThan(before));
      client.destroy();
      await eventually(async () => expect(await running()).toBe(0));
      expect(await generated()).toBeLessThan(before + LONG_TOKENS);
      // Not even counted as aborted.
      expect(await gauge('vllm:request_success_total{', 'finished_reason="abort"')).toBe(0);
    },
  );

  test('requests that outgrow the pool are preempted, and every one is answered in full', async () => {
    const before = await gauge('vllm:num_preemptions_total{');
    const answers = await Promise.all(
      [0, 1, 2, 3].map((each) =>
        ask<Completion>(`${server.url}${TEXT}`, {
          prompt: `${each}${'x'.repeat(700)}`,
          max_tokens: 600,
        }),
      ),
    );
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body.usage).toMatchObject({ prompt_tokens: 701, completion_tokens: 600 });
    }
    expect(await gauge('vllm:num_preemptions_total{')).toBeGreaterThan(before);
  }, 60_000);
}

describeReal('vLLM on a CPU: a pool of blocks', suite, findPython('vllm'));
