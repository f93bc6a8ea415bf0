/** What is particular about vLLM, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import { vllm } from '../../backend-adapters/vllm.ts';
import { fakeEngine, json, reply } from '../support/fake-engine-io.ts';
import {
  ANY_FACTS,
  CHAT,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;

function parsed(path: string, body: object) {
  const request = scannedRequest(path, body);
  const shape = vllm.parse(request, ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return { request, shape };
}

/** More tokens than any prompt may have whose logits are asked for. */
const LONG = 'word '.repeat(1000);

function cutTo(tokens: number, body: object): object {
  return { prompt: LONG, truncate_prompt_tokens: tokens, ...body };
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
    ['KV that outlives the answer', { prompt: 'a', kv_transfer_params: {} }, 'kv_transfer_params'],
    ['a cut that is none', { prompt: 'a', truncate_prompt_tokens: -2 }, 'truncate_prompt_tokens'],
    ['a beam search that is no switch', { prompt: 'a', use_beam_search: 3 }, 'use_beam_search'],
    ['logits of a long prompt', { prompt: LONG, prompt_logprobs: 0 }, 'prompt_logprobs'],
    ['all of them', { prompt: LONG, prompt_logprobs: -1 }, 'prompt_logprobs'],
    ['logits of a long prompt by its echo', { prompt: LONG, echo: true, logprobs: 1 }, 'echo'],
  ])('refuses %s', (_, body, param) => {
    expect(vllm.parse(scannedRequest(COMPLETION, body), ANY_FACTS)).toMatchObject({ param });
  });

  test.each([
    ['logits of a short prompt', { prompt: 'a', prompt_logprobs: 3 }],
    ['logits of a long one that is cut', cutTo(1024, { prompt_logprobs: 3 })],
    ['logits of 1024 ids', { prompt: Array.from({ length: 1024 }, () => 7), prompt_logprobs: 3 }],
    ['an echo without logits', { prompt: LONG, echo: true }],
    ['an echo and nothing more', { prompt: LONG, echo: true, max_tokens: 0 }],
    ['logits of the answer', { prompt: LONG, logprobs: 5 }],
    ['null for each of them', { prompt: LONG, prompt_logprobs: null, kv_transfer_params: null }],
  ])('takes %s', (_, body) => {
    expect(vllm.parse(scannedRequest(COMPLETION, body), ANY_FACTS)).not.toHaveProperty('invalid');
  });

  test('a chat that is echoed makes the logits of its prompt', () => {
    const messages = [{ role: 'user', content: LONG }];
    const chat = scannedRequest(CHAT, { messages, echo: true });
    expect(vllm.parse(chat, ANY_FACTS)).toMatchObject({ param: 'echo' });
  });

  test('a beam search holds as many sequences as it is wide', () => {
    const body = { prompt: ['a', 'b'], use_beam_search: true, n: 4 };
    expect(parsed(COMPLETION, body).shape).toMatchObject({ prompts: 2, samplesPerPrompt: 4 });
  });

  test('a prompt is no longer than what it is cut to, each of them', () => {
    const cut = (body: object) => parsed(COMPLETION, body).shape.promptTokens;
    expect(cut({ prompt: LONG, truncate_prompt_tokens: 100 })).toMatchObject({
      hi: 100,
      expected: 100,
    });
    expect(cut({ prompt: [LONG, LONG], truncate_prompt_tokens: 100 }).hi).toBe(200);
    expect(cut({ prompt: 'a', truncate_prompt_tokens: 100 }).hi).toBeLessThan(100);
    // -1 is the context, 8192 here.
    expect(cut({ prompt: LONG.repeat(4), truncate_prompt_tokens: -1 }).hi).toBe(8192);
    expect(cut({ prompt: LONG.repeat(4), truncate_prompt_tokens: null }).hi).toBeGreaterThan(8192);
  });

  test('a template of the client may print as much as the context holds', () => {
    const loop = '{% for i in range(9999) %}a{% endfor %}';
    const { promptTokens } = parsed(CHAT, { messages: MESSAGES, chat_template: loop }).shape;
    expect(promptTokens.hi).toBe(8192);
    expect(promptTokens.expected).toBeLessThan(1000);
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

  test('adds a margin for gpt-oss, of which it leaves out some of what harmony adds', async () => {
    const io = fakeEngine({ 'POST /tokenize': json({ count: 70 }) });
    const chat = scannedRequest(CHAT, { model: 'openai/gpt-oss-20b', messages: MESSAGES });
    expect(await vllm.countTokens(io, chat, signal)).toBe(86);
    const text = scannedRequest(COMPLETION, { model: 'openai/gpt-oss-20b', prompt: 'abc' });
    expect(await vllm.countTokens(io, text, signal)).toBe(70);
  });

  test('counts messages as their own route does', async () => {
    const expected = `{"messages":${JSON.stringify(MESSAGES)},"system":"Be brief."}`;
    const io = fakeEngine({
      'POST /v1/messages/count_tokens': (body) =>
        body === expected ? json({ input_tokens: 68 }) : reply(400, body),
    });
    const messages = { system: 'Be brief.', max_tokens: 5, messages: MESSAGES };
    expect(await vllm.countTokens(io, scannedRequest('/v1/messages', messages), signal)).toBe(68);
  });

  test('counts one text; a list of prompts it leaves alone', async () => {
    const io = fakeEngine({ 'POST /tokenize': json({ count: 3 }) });
    const one = scannedRequest(COMPLETION, { prompt: 'abc' });
    expect(await vllm.countTokens(io, one, signal)).toBe(3);
    const list = scannedRequest(COMPLETION, { prompt: ['abc'] });
    expect(await vllm.countTokens(io, list, signal)).toBeNull();
    const cut = scannedRequest(COMPLETION, { prompt: 'abc', truncate_prompt_tokens: 2 });
    expect(await vllm.countTokens(io, cut, signal)).toBeNull();
    const informed = scannedRequest(CHAT, { messages: MESSAGES, documents: [{ text: 'long' }] });
    expect(await vllm.countTokens(io, informed, signal)).toBeNull();
  });
});

const PROMPT_TOO_LONG =
  "This model's maximum context length is 4096 tokens. However, your prompt contains 5000 input tokens, which exceeds this limit even without any output tokens.";
const OLDER_TOO_LONG =
  "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 tokens and your request has 5 input tokens (9000 > 4096 - 5).";
const OUTPUT_TOO_LONG =
  'max_completion_tokens=9 cannot be greater than max_model_len=8. Please request fewer output tokens.';
const DECODER_TOO_LONG =
  'The decoder prompt (length 5000) is longer than the maximum model length of 4096.';
const CUT_TOO_LONG = 'truncate_prompt_tokens=9 cannot be greater than max_model_len = 8.';
const QUEUE_FULL = 'The engine is currently busy and cannot accept new requests.';
const DEAD = 'EngineCore encountered an issue. See stack trace (above) for the root cause.';
const DEAD_SINCE_V0_33 = 'The server had an error while processing your request.';

test.each([
  [400, PROMPT_TOO_LONG, 'BadRequestError', 'too-long'],
  [400, OLDER_TOO_LONG, 'BadRequestError', 'too-long'],
  [400, OUTPUT_TOO_LONG, 'BadRequestError', 'too-long'],
  [400, DECODER_TOO_LONG, 'BadRequestError', 'too-long'],
  [400, CUT_TOO_LONG, 'BadRequestError', 'client'],
  [400, DEAD, 'BadRequestError', 'client'],
  [404, 'The model `m` does not exist.', 'NotFoundError', 'client'],
  [503, QUEUE_FULL, 'Service Unavailable', 'busy'],
  [503, 'Request failed; please retry', 'ServiceUnavailableError', 'busy'],
  [500, DEAD, 'InternalServerError', 'dying'],
  [500, DEAD_SINCE_V0_33, 'InternalServerError', 'dying'],
  [500, 'CUDA out of memory. Tried to allocate 2.00 GiB.', 'InternalServerError', 'oom'],
  [500, 'Internal server error', 'InternalServerError', 'fault'],
])('%i "%s" (%s) is %s', (code, message, type, expected) => {
  const body = JSON.stringify({ error: { message, type, param: null, code } });
  expect(vllm.classifyError(code, body)).toBe(expected);
});

test('an error that is a text and an error inside a stream are classified as well', () => {
  expect(vllm.classifyError(401, '{"error":"Unauthorized"}')).toBe('client');
  expect(vllm.classifyError(200, DEAD)).toBe('dying');
  expect(vllm.classifyError(200, 'Internal server error')).toBe('fault');
});

describe('routes', () => {
  /** Generate, and are read by nobody here (vllm/entrypoints). */
  const SIDE_DOORS = [
    ...['/invocations', '/inference/v1/generate', '/v1/chat/completions/batch', '/v2/embed'],
    ...['/v1/audio/transcriptions', '/v1/audio/translations', '/v1/realtime', '/v1/decisions'],
    ...['/v1/systemone', '/generative_scoring', '/cohere/v2/chat', '/generate'],
    ...['/sleep', '/wake_up', '/reset_prefix_cache', '/collective_rpc', '/pause', '/server_info'],
    ...['/v1/load_lora_adapter', '/v1/unload_lora_adapter', '/start_profile', '/scale_elastic_ep'],
  ];

  test('side doors are in no list', () => {
    const listed = [...vllm.generationRoutes, ...vllm.passthroughRoutes].map(({ path }) => path);
    for (const path of SIDE_DOORS) expect(listed).not.toContain(path);
    expect(listed.filter((path) => path.includes('*'))).toEqual([]);
  });

  test.each([
    '/pooling',
    '/classify',
    '/score',
    '/v1/score',
    '/rerank',
    '/v1/rerank',
    '/v2/rerank',
  ])('%s computes KV and is guarded', (path) => {
    expect(vllm.generationRoutes.map((route) => route.path)).toContain(path);
  });
});
