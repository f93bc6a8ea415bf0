/** What is particular about vLLM, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import { DEFAULT_FRAMING } from '../../backend-adapters/framing.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { type Answers, fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import { CHAT, COMPLETION, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const HEALTHY = answersOf('vllm');

async function probed(answers: Answers = {}, commandLine: readonly string[] | null = null) {
  const io = fakeEngine({ ...HEALTHY, ...answers }, commandLine);
  const result = await vllm.probe(io, NO_HINTS, signal);
  if (!result.ok) throw new Error(result.why);
  return result;
}

function parsed(path: string, body: object) {
  const request = scannedRequest(path, body);
  const shape = vllm.parse(request, DEFAULT_FRAMING);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return { request, shape };
}

describe('requests', () => {
  test.each([
    [CHAT, { max_completion_tokens: 6, max_tokens: 7 }, 6],
    [CHAT, { max_completion_tokens: null, max_tokens: 7 }, 7],
    [CHAT, {}, null],
    [COMPLETION, {}, 16],
    [COMPLETION, { max_tokens: null }, null],
    [COMPLETION, { max_tokens: 7 }, 7],
    [COMPLETION, { max_tokens: 7, max_completion_tokens: 5 }, 7],
    [COMPLETION, { max_completion_tokens: 5 }, 16],
    [CHAT, { n_predict: 5 }, null],
  ])('%s with %j ends after %p', (path, limits, requestedOutputTokens) => {
    const { shape } = parsed(path, { messages: MESSAGES, prompt: 'a', ...limits });
    expect(shape.requestedOutputTokens).toBe(requestedOutputTokens);
  });

  test('the larger of n and best_of is charged', () => {
    expect(parsed(COMPLETION, { prompt: 'a', n: 2, best_of: 5 }).shape.samplesPerPrompt).toBe(5);
  });

  test.each([
    ['-1 as a limit', { prompt: 'a', max_tokens: -1 }, 'max_tokens'],
    ['text and ids in one list', { prompt: ['a', 1] }, 'prompt'],
    ['embeddings as a prompt', { prompt: 'a', prompt_embeds: 'AAAA' }, 'prompt_embeds'],
    ['a floor that is no number', { prompt: 'a', min_tokens: 'x' }, 'min_tokens'],
  ])('refuses %s', (_, body, param) => {
    expect(vllm.parse(scannedRequest(COMPLETION, body), DEFAULT_FRAMING)).toMatchObject({ param });
  });

  test('lowers a floor that would be above the limit', () => {
    const { request, shape } = parsed(CHAT, { messages: MESSAGES, max_tokens: 90, min_tokens: 80 });
    const grant = { outputTokens: 50, sampling: {} };
    expect(vllm.rewrite(request, shape, grant).changed).toEqual(['max_tokens', 'min_tokens']);
  });

  test('a default above the grant is written down', () => {
    const { request, shape } = parsed(COMPLETION, { prompt: 'a' });
    const grant = { outputTokens: 8, sampling: {} };
    expect(vllm.rewrite(request, shape, grant).edits).toEqual([{ key: 'max_tokens', json: '8' }]);
  });

  test('greedy for several samples is refused by the engine, so it is skipped', () => {
    const grant = { outputTokens: null, sampling: { temperature: 0, topP: 0.9 } };
    const several = parsed(CHAT, { messages: MESSAGES, n: 2 });
    expect(vllm.rewrite(several.request, several.shape, grant)).toMatchObject({
      changed: ['top_p'],
      skipped: ['temperature'],
    });
    const one = parsed(CHAT, { messages: MESSAGES });
    expect(vllm.rewrite(one.request, one.shape, grant)).toMatchObject({
      changed: ['temperature', 'top_p'],
      skipped: [],
    });
  });
});

describe('probe', () => {
  test('reads pool, context and work', async () => {
    const { facts, reading } = await probed();
    expect(facts.layout).toMatchObject({
      model: 'paged',
      kvBytesPerElement: 1,
      blockTokens: 16,
      contextTokens: 131_072,
      inFlightTokens: 16_384,
      tensorParallel: 1,
    });
    expect(facts.warnings).toEqual([]);
    // 40,001 blocks, one of them the null block.
    expect(reading).toEqual({
      state: 'ready',
      capacityUnits: 40_000,
      usedUnits: 10_000,
      runningSequences: 3,
      waitingSequences: 2,
      maxSequences: null,
      preemptions: 7,
    });
  });

  test('reads the older name of usage; what is missing is null and said', async () => {
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

  test('guards several engines as the smallest and fullest of them', async () => {
    const two = { 'GET /metrics': recorded('vllm/metrics-two-engines.txt') };
    const { facts, reading } = await probed(two);
    expect(reading).toMatchObject({
      capacityUnits: 900,
      usedUnits: 360,
      runningSequences: 8,
      waitingSequences: 1,
      preemptions: 3,
    });
    expect(facts.warnings).toContainEqual(expect.stringContaining('2 data-parallel engines'));
  });

  test.each([
    ['a usage above 1', 'vllm:kv_cache_usage_perc{engine="0"} 1.5'],
    ['a usage that is no number', 'vllm:kv_cache_usage_perc{engine="0"} NaN'],
    ['no usage', ''],
  ])('takes %s for unknown', async (_, line) => {
    const text = `vllm:cache_config_info{num_gpu_blocks="10",block_size="16"} 1\n${line}\n`;
    const { facts, reading } = await probed({ 'GET /metrics': reply(200, text) });
    expect(reading).toMatchObject({ capacityUnits: 9, usedUnits: null });
    expect(facts.warnings).toContainEqual(expect.stringContaining('usage'));
  });

  test.each([
    [['vllm', 'serve', '--max-num-batched-tokens', '2048'], 4096],
    [['vllm', 'serve', '--max-num-batched-tokens=2048', '--no-async-scheduling'], 2048],
    [['vllm', 'serve', '--max-num-batched-tokens', '1000000'], 131_072],
  ])('%j keeps %d tokens in flight', async (commandLine, inFlightTokens) => {
    expect((await probed({}, commandLine)).facts.layout).toMatchObject({ inFlightTokens });
  });

  test('is unreachable when its engine is dead, unusable without a context length', async () => {
    const dead = fakeEngine({ ...HEALTHY, 'GET /health': reply(503, '') });
    expect(await vllm.probe(dead, NO_HINTS, signal)).toMatchObject({
      state: 'unreachable',
      why: '/health answered 503, expected 200',
    });
    const models = json({ object: 'list', data: [{ id: 'm' }] });
    const mute = fakeEngine({ ...HEALTHY, 'GET /v1/models': models });
    expect(await vllm.probe(mute, NO_HINTS, signal)).toMatchObject({
      state: 'unusable',
      why: expect.stringContaining('max_model_len'),
    });
  });
});

describe('token counts', () => {
  test('posts what decides the count and nothing else', async () => {
    const expected = `{"model":"m","messages":${JSON.stringify(MESSAGES)},"tools":[{"a":1.0}]}`;
    const text = `{"seed":1,"tools":[{"a":1.0}],"messages":${JSON.stringify(MESSAGES)},"model":"m"}`;
    const io = fakeEngine({
      'POST /tokenize': (body) =>
        body === expected ? json({ count: 70, tokens: [] }) : reply(400, body),
    });
    expect(await vllm.countTokens(io, scannedRequest(CHAT, text), signal)).toBe(70);
  });

  test('counts one text; a list of prompts it leaves alone', async () => {
    const io = fakeEngine({ 'POST /tokenize': json({ count: 3 }) });
    const one = scannedRequest(COMPLETION, { prompt: 'abc' });
    expect(await vllm.countTokens(io, one, signal)).toBe(3);
    const list = scannedRequest(COMPLETION, { prompt: ['abc'] });
    expect(await vllm.countTokens(io, list, signal)).toBeNull();
  });
});

test.each([
  [503, '{"error":{"message":"Too many queued","type":"Service Unavailable","code":503}}', 'busy'],
  [
    500,
    '{"error":{"message":"EngineCore encountered an issue.","type":"InternalServerError"}}',
    'fault',
  ],
  [401, '{"error":"Unauthorized"}', 'client'],
  [400, '{"error":{"message":"max_tokens=9 cannot be greater than max_model_len=8"}}', 'client'],
])('classifies %i %s', (status, body, expected) => {
  expect(vllm.classifyError(status, body)).toBe(expected);
});
