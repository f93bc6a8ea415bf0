/** What a vLLM server is said to be, and its state, from the answers of its versions. */
import { describe, expect, test } from '@jest/globals';
import type { EngineHints } from '../../backend-adapters/adapter.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { type Answers, fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';

const signal = new AbortController().signal;
const HEALTHY = answersOf('vllm');
const TWO_ENGINES = { 'GET /metrics': recorded('vllm/metrics-two-engines.txt') };
const SPECULATING = { 'GET /metrics': recorded('vllm/metrics-speculating.txt') };

async function probed(
  answers: Answers = {},
  commandLine: readonly string[] | null = null,
  hints: EngineHints = NO_HINTS,
) {
  const io = fakeEngine({ ...HEALTHY, ...answers }, commandLine);
  const result = await vllm.probe(io, hints, signal);
  if (!result.ok) throw new Error(result.why);
  expect(await vllm.read(io, result.facts, signal)).toEqual(result.reading);
  return result;
}

function metrics(text: string): Answers {
  return { 'GET /metrics': reply(200, text) };
}

function metricsOf(file: string): string {
  return recorded(`vllm/${file}`).body;
}

describe('one engine', () => {
  test('tells its pool, its context and its work', async () => {
    const { facts, reading } = await probed({}, ['vllm', 'serve', '--max-num-seqs', '64']);
    expect(facts).toMatchObject({ version: '0.32.0', ranks: 1, warnings: [] });
    expect(facts.layout).toEqual({
      model: 'paged',
      spec: expect.objectContaining({ id: 'gpt-oss-20b' }),
      kvBytesPerElement: 1,
      blockTokens: 16,
      contextTokens: 131_072,
      inFlightTokens: 16_384,
      tensorParallel: 1,
      drafting: null,
    });
    // 40,001 blocks, one of them the null block.
    expect(reading).toEqual({
      state: 'ready',
      capacityUnits: 40_000,
      usedUnits: 10_000,
      runningSequences: 3,
      waitingSequences: 2,
      maxSequences: 64,
      preemptions: 7,
      hostTier: null,
      ranks: [],
    });
  });

  test('as a real server of v0.32 told it', async () => {
    const { facts, reading } = await probed(metrics(metricsOf('metrics-v0.32-run.txt')));
    expect(facts.layout).toMatchObject({ blockTokens: 32, kvBytesPerElement: 2, drafting: null });
    expect(reading).toMatchObject({
      state: 'ready',
      capacityUnits: 159,
      usedUnits: 0,
      runningSequences: 0,
      waitingSequences: 0,
      preemptions: 1,
      hostTier: null,
      ranks: [],
    });
    expect(facts.warnings).toEqual([expect.stringContaining('--max-num-seqs')]);
  });

  test('by its older names; what is missing is null and said', async () => {
    const old = { 'GET /metrics': recorded('vllm/metrics-before-v0.10.txt') };
    const { facts, reading } = await probed(old);
    expect(reading).toMatchObject({
      capacityUnits: null,
      usedUnits: null,
      runningSequences: 1,
      waitingSequences: null,
      preemptions: null,
    });
    for (const name of ['num_gpu_blocks', 'waiting requests', 'preemptions']) {
      expect(facts.warnings).toContainEqual(expect.stringContaining(name));
    }
    expect(facts.warnings).not.toContainEqual(expect.stringContaining('usage'));
  });

  test.each([
    ['a usage above 1', 'vllm:kv_cache_usage_perc{engine="0"} 1.5'],
    ['a usage that is no number', 'vllm:kv_cache_usage_perc{engine="0"} NaN'],
    ['a negative usage', 'vllm:kv_cache_usage_perc{engine="0"} -0.1'],
    ['no usage', ''],
  ])('with %s is not taken to be empty', async (_, line) => {
    const text = `vllm:cache_config_info{num_gpu_blocks="10",block_size="16"} 1\n${line}\n`;
    const { facts, reading } = await probed(metrics(text));
    expect(reading).toMatchObject({ capacityUnits: 9, usedUnits: null });
    expect(facts.warnings).toContainEqual(expect.stringContaining('usage'));
  });

  test('a second server process that was not told its blocks does not hide them', async () => {
    const none = metricsOf('metrics.txt').replace(
      'num_gpu_blocks="40001"',
      'num_gpu_blocks="None"',
    );
    const { reading } = await probed(metrics(`${none}${metricsOf('metrics.txt')}`));
    expect(reading.capacityUnits).toBe(40_000);
  });
});

describe('two data-parallel engines', () => {
  test('each have half of the blocks that are told as one sum', async () => {
    const { facts, reading } = await probed(TWO_ENGINES);
    expect(facts.ranks).toBe(2);
    expect(reading.ranks).toMatchObject([
      { capacityUnits: 1000, usedUnits: 100, runningSequences: 3, waitingSequences: 0 },
      { capacityUnits: 1000, usedUnits: 400, runningSequences: 5, waitingSequences: 1 },
    ]);
    expect(facts.warnings).toContainEqual(expect.stringContaining('2 data-parallel engines'));
  });

  test('that tell blocks of their own keep them', async () => {
    const text = metricsOf('metrics-two-engines.txt').replace('"2002"', '"1201"');
    const { reading } = await probed(metrics(text));
    expect(reading.ranks.map(({ capacityUnits }) => capacityUnits)).toEqual([1200, 2001]);
  });

  test('are in the order of their ranks, not of their lines or letters', async () => {
    const line = (engine: number) =>
      `vllm:num_requests_running{engine="${engine}"} ${engine}\nvllm:kv_cache_usage_perc{engine="${engine}"} 0\n`;
    const { reading } = await probed(metrics([10, 2, 9].map(line).join('')));
    expect(reading.ranks.map(({ runningSequences }) => runningSequences)).toEqual([2, 9, 10]);
  });

  test('of a version that takes no rank are guarded as one, the smallest and the fullest', async () => {
    const { facts, reading } = await probed({
      ...TWO_ENGINES,
      'GET /version': json({ version: '0.11.0' }),
    });
    expect(facts.ranks).toBe(1);
    expect(reading).toMatchObject({
      capacityUnits: 1000,
      usedUnits: 400,
      runningSequences: 8,
      waitingSequences: 1,
      preemptions: 3,
      ranks: [],
      isMixture: true,
    });
    expect(facts.warnings).toContainEqual(expect.stringContaining('guarded as one'));
  });

  test.each([
    ['0.9.2', 1],
    ['0.11.0', 1],
    ['0.11.1', 2],
    ['0.11.2rc1', 2],
    ['0.12.0', 2],
    ['1.0.0', 2],
    ['0.1.dev1+gabcdef0', 2],
  ])('of version %s are guarded as %i', async (version, ranks) => {
    const answers = { ...TWO_ENGINES, 'GET /version': json({ version }) };
    expect((await probed(answers)).facts.ranks).toBe(ranks);
  });
});

describe('sequences at a time', () => {
  const seen = (...flags: string[]) => ['python3', '/usr/bin/vllm', 'serve', 'm', ...flags];

  test.each([
    [seen('--max-num-seqs', '32'), 32],
    [seen('--max_num_seqs=32'), 32],
    [seen('--max-num-seqs', '32', '--max-num-active-seqs', '8'), 8],
    [seen('--max-num-seqs', '0'), 256],
    [seen(), 256],
    [seen('--performance-mode', 'throughput'), 512],
    [['VLLM::APIServer_0'], 256],
    [null, 256],
  ])('with %j: %i', async (commandLine, maxSequences) => {
    expect((await probed({}, commandLine)).reading.maxSequences).toBe(maxSequences);
  });

  test('what is assumed is said, with the flag that makes it certain', async () => {
    const warned = (await probed({}, null)).facts.warnings;
    expect(warned).toEqual([expect.stringMatching(/can't be seen.*256.*--max-num-seqs/)]);
    expect((await probed({}, seen())).facts.warnings).toEqual([
      expect.stringContaining('without --max-num-seqs'),
    ]);
    expect((await probed({}, seen('--max-num-seqs', '8'))).facts.warnings).toEqual([]);
  });

  test('a pool larger than an A100 shows a large GPU: 1024', async () => {
    // 196,608 bytes a block in 8 bits: 80 GiB are 436,907 of them.
    const pool = (blocks: number) =>
      metrics(metricsOf('metrics.txt').replace('"40001"', `"${blocks}"`));
    const { facts, reading } = await probed(pool(500_000));
    expect(reading.maxSequences).toBe(1024);
    expect(facts.warnings).toEqual([]);
    expect((await probed(pool(436_000))).reading.maxSequences).toBe(256);
  });
});

test.each([
  [['vllm', 'serve', '--max-num-batched-tokens', '2048'], 4096],
  [['vllm', 'serve', '--max_num_batched_tokens=2048', '--no-async-scheduling'], 2048],
  [['vllm', 'serve', '--max-num-batched-tokens', '2048', '-pp', '4'], 10_240],
  [['vllm', 'serve', '--max-num-batched-tokens=2048', '-pp=4', '--no-async-scheduling'], 8192],
  [['vllm', 'serve', '--max-num-batched-tokens', '1000000'], 131_072],
])('%j keeps %d tokens of prefill in flight', async (commandLine, inFlightTokens) => {
  expect((await probed({}, commandLine)).facts.layout).toMatchObject({ inFlightTokens });
});

test.each([
  ['0.11.2', 2048],
  ['0.22.1', 2048],
  ['0.23.0', 4096],
  ['0.32.0', 4096],
  ['built from source', 4096],
])('v%s counts %d of them: older ones free blocks at once', async (version, inFlightTokens) => {
  const command = ['vllm', 'serve', '--max-num-batched-tokens', '2048'];
  const answers = { 'GET /version': json({ version }) };
  expect((await probed(answers, command)).facts.layout).toMatchObject({ inFlightTokens });
});

describe('speculative decoding', () => {
  const eagle = '{"method":"eagle3","model":"draft","num_speculative_tokens":3}';
  const withFlags = (...flags: string[]) => ['vllm', 'serve', '--max-num-seqs', '8', ...flags];

  test.each([
    [withFlags('--speculative-config', eagle), { lookaheadTokens: 6, layers: 1 }],
    [withFlags(`--speculative_config=${eagle}`), { lookaheadTokens: 6, layers: 1 }],
    [withFlags('-sc', eagle), { lookaheadTokens: 6, layers: 1 }],
    [
      withFlags(
        '--speculative-config.method',
        'mtp',
        '--speculative-config.num-speculative-tokens=2',
      ),
      { lookaheadTokens: 4, layers: 1 },
    ],
    [
      withFlags('--spec-method', 'dflash', '--spec-tokens', '7'),
      { lookaheadTokens: 15, layers: 0 },
    ],
    [
      withFlags('--speculative-model', '[ngram]', '--num-speculative-tokens', '5'),
      { lookaheadTokens: 5, layers: 0 },
    ],
    [
      withFlags(
        '--speculative-config',
        '{"model":"yuhuili/EAGLE-LLaMA3","num_speculative_tokens":2}',
      ),
      { lookaheadTokens: 4, layers: 1 },
    ],
    [withFlags('--speculative-config', '{"model":"draft"}'), { lookaheadTokens: 32, layers: 0 }],
    [withFlags('--speculative-config', 'no json'), null],
    [withFlags(), null],
  ])('%j', async (commandLine, drafting) => {
    expect((await probed({}, commandLine)).facts.layout).toMatchObject({ drafting });
  });

  test('the metrics show it where the command line does not', async () => {
    const { facts } = await probed(SPECULATING);
    expect(facts.layout).toMatchObject({ drafting: { lookaheadTokens: 6, layers: 0 } });
    expect(facts.warnings).toContainEqual(
      expect.stringMatching(/speculative decoding.*3 tokens.*not counted/),
    );
  });

  test('what the engine does counts more than what it was asked', async () => {
    const asked = '{"method":"ngram","num_speculative_tokens":9}';
    const { facts } = await probed(SPECULATING, withFlags('--speculative-config', asked));
    expect(facts.layout).toMatchObject({ drafting: { lookaheadTokens: 3, layers: 0 } });
    expect(facts.warnings).toEqual([]);
  });
});

describe('KV in host memory', () => {
  const offloading = (extra: object) =>
    JSON.stringify({ kv_connector: 'OffloadingConnector', kv_connector_extra_config: extra });

  test('is told by the metrics', async () => {
    const { reading } = await probed(SPECULATING);
    expect(reading.hostTier).toEqual({ capacityBytes: 8 * 2 ** 30, usedShare: 0.125 });
  });

  test.each([
    [['--kv-offloading-size', '4'], { capacityBytes: 4 * 2 ** 30, usedShare: null }],
    [
      ['--kv-offloading-size', '4', '--kv-offloading-backend', 'lmcache'],
      { capacityBytes: null, usedShare: null },
    ],
    [
      ['--kv-transfer-config', offloading({ cpu_bytes_to_use: 1000 })],
      { capacityBytes: 1000, usedShare: null },
    ],
    [
      [
        '--kv-transfer-config',
        `{"kv_connector":"MultiConnector","kv_connector_extra_config":{"connectors":[{"kv_connector":"NixlConnector"},${offloading({ cpu_bytes_to_use: 1000 })}]}}`,
      ],
      { capacityBytes: 1000, usedShare: null },
    ],
    [
      ['--kv-transfer-config', '{"kv_connector":"LMCacheConnectorV1"}'],
      { capacityBytes: null, usedShare: null },
    ],
    [['--kv-transfer-config', '{"kv_connector":"NixlConnector"}'], null],
    [['--cpu-offload-gb', '10'], null],
  ])('by %j', async (flags, hostTier) => {
    expect((await probed({}, ['vllm', 'serve', ...flags])).reading.hostTier).toEqual(hostTier);
  });
});

describe('an engine that does not serve', () => {
  const asleep = metricsOf('metrics-two-engines.txt').replace(
    /(engine="1".*sleep_state="awake"}) 1\.0/,
    '$1 0.0',
  );

  test('sleeps: it is not ready, when probed and when it falls asleep later', async () => {
    const io = fakeEngine({ ...HEALTHY, ...metrics(asleep) });
    expect(await vllm.probe(io, NO_HINTS, signal)).toEqual({
      ok: false,
      state: 'loading',
      why: expect.stringContaining('sleeps'),
    });
    const { facts } = await probed(TWO_ENGINES);
    expect(await vllm.read(io, facts, signal)).toMatchObject({ state: 'loading' });
  });

  test('is dead', async () => {
    const dead = fakeEngine({ ...HEALTHY, 'GET /health': reply(503, '') });
    expect(await vllm.probe(dead, NO_HINTS, signal)).toMatchObject({
      state: 'unreachable',
      why: '/health answered 503, expected 200',
    });
  });

  test('tells no context length', async () => {
    const models = json({ object: 'list', data: [{ id: 'm' }] });
    const mute = fakeEngine({ ...HEALTHY, 'GET /v1/models': models });
    expect(await vllm.probe(mute, NO_HINTS, signal)).toMatchObject({
      state: 'unusable',
      why: expect.stringContaining('max_model_len'),
    });
  });
});

test('the model is the served one, not an adapter of it', async () => {
  const models = json({
    data: [
      { id: 'gpt-oss-20b', max_model_len: 4096, parent: null },
      { id: 'my-lora', max_model_len: null, parent: 'gpt-oss-20b' },
    ],
  });
  const { facts } = await probed({ 'GET /v1/models': models });
  expect(facts).toMatchObject({ modelId: 'gpt-oss-20b', layout: { contextTokens: 4096 } });
});
