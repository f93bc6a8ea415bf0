/** SGLang: how its settings and its load are read, and what is written into its own bodies. */
import { describe, expect, test } from '@jest/globals';
import type { GenerationRoute } from '../../backend-adapters/adapter.ts';
import { sglang } from '../../backend-adapters/sglang.ts';
import { splice } from '../../proxy/json/splice.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { unitBytes } from '../../proxy/memory/units.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { type Answers, fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import { ANY_FACTS, CHAT_ROUTE, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const LOADS = 'GET /v1/loads?include=core,queues';
const ANSWERS = answersOf('sglang');
const GENERATE: GenerationRoute = { path: '/generate', kind: 'native-text', api: 'openai' };
const INFO = JSON.parse(recorded('sglang/server-info.json').body);

async function probed(changed: Answers, hints = NO_HINTS) {
  const result = await sglang.probe(fakeEngine({ ...ANSWERS, ...changed }), hints, signal);
  if (!result.ok) throw new Error(result.why);
  return result;
}

function withInfo(changed: object): Answers {
  return { 'GET /server_info': json({ ...INFO, ...changed }) };
}

function withLoad(changed: object): Answers {
  const loads = JSON.parse(recorded('sglang/loads.json').body);
  return { [LOADS]: json({ ...loads, loads: [{ ...loads.loads[0], ...changed }] }) };
}

function parsed(body: object | string): RequestShape {
  const shape = sglang.parse(scannedRequest(GENERATE, body), ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

describe('probe', () => {
  test('tells the pool in pages, and how its layers share it', async () => {
    const { facts, reading } = await probed({});
    expect(facts).toMatchObject({
      layout: {
        model: 'paged',
        blockTokens: 16,
        contextTokens: 131_072,
        inFlightTokens: 8192,
        kvBytesPerElement: 2,
        drafting: null,
        tokenPool: { blocks: 75_388, slidingShare: 0.8, outputChunkTokens: 1 },
      },
      version: '0.5.20',
      ranks: 1,
      media: { image: 'none', audio: 'none', video: 'none' },
      warnings: [],
    });
    expect(reading).toMatchObject({
      capacityUnits: 75_388,
      usedUnits: 1500,
      runningSequences: 3,
      waitingSequences: 1,
      maxSequences: 2048,
      preemptions: 7,
      hostTier: null,
      ranks: [],
    });
  });

  test('keeps no key, neither in facts nor in what goes wrong', async () => {
    const whole = await probed({});
    const broken = fakeEngine({
      ...ANSWERS,
      [LOADS]: reply(500, JSON.stringify(INFO)),
      'GET /metrics': reply(404, ''),
    });
    const failed = await sglang.probe(broken, NO_HINTS, signal);
    expect(failed.ok).toBe(false);
    // Cut off in the middle, it is no JSON, and must not be quoted either.
    const cut = reply(200, recorded('sglang/server-info.json').body.slice(0, 400));
    const unread = await probed({ 'GET /server_info': cut });
    expect(JSON.stringify([whole, failed, unread])).not.toContain('canary');
  });

  test('a pool smaller than the context bounds it, and that is said', async () => {
    const { facts } = await probed(withInfo({ max_total_num_tokens: 50_000 }));
    expect(facts.layout).toMatchObject({ contextTokens: 50_000 });
    expect(facts.warnings).toEqual([expect.stringContaining('the KV pool holds 50000 tokens')]);
  });

  test.each([
    ['fp8 KV', { kv_cache_dtype: 'fp8_e4m3' }, { kvBytesPerElement: 1 }],
    ['tensor parallelism', { tp_size: 4 }, { tensorParallel: 4 }],
    [
      'attention split by ranks',
      { tp_size: 8, dp_size: 4, enable_dp_attention: true },
      { tensorParallel: 2 },
    ],
    [
      'one pool for all layers',
      { disable_hybrid_swa_memory: true },
      { tokenPool: { slidingShare: null } },
    ],
    [
      'speculation',
      { speculative_algorithm: 'EAGLE3', speculative_num_draft_tokens: 4 },
      { drafting: { lookaheadTokens: 8, layers: 0 } },
    ],
    ['guesses without an algorithm', { speculative_num_draft_tokens: 4 }, { drafting: null }],
    ['prefill in one piece', { chunked_prefill_size: -1 }, { inFlightTokens: 16_384 }],
    ['no page size', { page_size: null }, { blockTokens: 1 }],
  ])('reads %s', async (_, settings, layout) => {
    expect((await probed(withInfo(settings))).facts.layout).toMatchObject(layout);
  });

  test('a token of latent attention is packed where it is kept in 8 bits beside an indexer', async () => {
    const gptOss = findModel('gpt-oss-20b');
    if (gptOss === null) throw new Error('the catalog is empty');
    const shape = { layers: 61, kvHeads: 1, valueDim: 0, windowTokens: null };
    const groups = [
      { ...shape, keyDim: 576 },
      { ...shape, keyDim: 128, packedTokenBytes: 132 },
    ];
    const hints = { ...NO_HINTS, modelSpec: { ...gptOss, groups } };
    const tokenBytes = async (kv_cache_dtype: string) =>
      unitBytes((await probed(withInfo({ kv_cache_dtype, page_size: 1 }), hints)).facts.layout);
    expect(await tokenBytes('auto')).toBe(61 * (2 * 576 + 132));
    expect(await tokenBytes('fp8_e4m3')).toBe(61 * (656 + 132));
  });

  test.each([
    ['0.5.15', false],
    ['0.5.16', true],
    ['0.5.19.post1', true],
    ['0.5.20', false],
    ['0.5.160', false],
  ])('of %s it is said that it goes on for who has left: %s', async (version, isSaid) => {
    const { facts } = await probed(withInfo({ version }));
    expect(facts.warnings.some((text) => text.includes('client has left'))).toBe(isSaid);
  });

  test('says what is assumed where the settings are not to be had', async () => {
    const { facts } = await probed({ 'GET /server_info': reply(401, '') });
    expect(facts.layout).toMatchObject({ blockTokens: 1, contextTokens: 131_072 });
    expect(facts.warnings).toContainEqual(expect.stringContaining('/server_info can not be read'));
  });

  test('reads the older name of the settings as well', async () => {
    const renamed = Object.entries(ANSWERS).map(([route, answer]) => [
      route === 'GET /server_info' ? 'GET /get_server_info' : route,
      answer,
    ]);
    const answers: Answers = Object.fromEntries(renamed);
    const result = await sglang.probe(fakeEngine(answers), NO_HINTS, signal);
    expect(result).toMatchObject({ facts: { version: '0.5.20' } });
  });

  test('says so where the server raises the limit of requests that name none', async () => {
    for (const preferred of ['{"max_new_tokens": 4096}', { max_new_tokens: 4096 }]) {
      const { facts } = await probed(withInfo({ preferred_sampling_params: preferred }));
      expect(facts.warnings).toEqual([expect.stringContaining('4096')]);
    }
  });

  test('without a length of context it can not be guarded', async () => {
    const bare = fakeEngine({ ...ANSWERS, 'GET /v1/models': json({ data: [{ id: 'm' }] }) });
    expect(await sglang.probe(bare, NO_HINTS, signal)).toMatchObject({ state: 'unusable' });
  });

  test('asks for nothing that generates', async () => {
    const io = fakeEngine(ANSWERS);
    await sglang.detect(io, signal);
    await sglang.probe(io, NO_HINTS, signal);
    expect(io.asked.filter((route) => /health|POST/.test(route))).toEqual([]);
  });
});

describe('state', () => {
  test('the fullest pool is what counts', async () => {
    const { reading } = await probed(withLoad({ token_usage: 0.5 }));
    // Half of 1,206,208 tokens, less what the rounding may hide.
    expect(reading.usedUnits).toBe(Math.ceil(Math.floor(0.499_95 * 1_206_208) / 16));
  });

  test.each([
    ['negative', { num_used_tokens: -1, token_usage: -1 }],
    ['a text', { num_used_tokens: 'many', token_usage: 'full' }],
    ['missing', { num_used_tokens: null, token_usage: null }],
  ])('use that is %s is unknown', async (_, load) => {
    const { reading, facts } = await probed(withLoad(load));
    expect(reading.usedUnits).toBeNull();
    expect(facts.warnings).toContain('the engine does not tell the tokens in use');
  });

  test('a load without its requests is none, and the metrics take its place', async () => {
    const { reading } = await probed(withLoad({ num_running_reqs: null }));
    expect(reading).toMatchObject({ runningSequences: 3, maxSequences: null, usedUnits: 1500 });
  });

  test('an older server tells its load in other words', async () => {
    const old = { [LOADS]: reply(404, ''), 'GET /metrics': reply(404, '') };
    const { reading, facts } = await probed({
      ...old,
      'GET /get_load': recorded('sglang/get-load.json'),
    });
    expect(reading).toMatchObject({
      capacityUnits: 75_388,
      usedUnits: 1500,
      runningSequences: 3,
      waitingSequences: 1,
      maxSequences: null,
      preemptions: null,
    });
    expect(facts.warnings).toContainEqual(expect.stringContaining('--enable-metrics'));
  });

  test('each rank has a reading, in the order of the ranks', async () => {
    const { reading, facts } = await probed({ [LOADS]: recorded('sglang/loads-two-ranks.json') });
    expect(facts.ranks).toBe(2);
    expect(reading.ranks).toMatchObject([
      { capacityUnits: 75_000, usedUnits: 1000, runningSequences: 2 },
      { capacityUnits: 75_388, usedUnits: 4000, runningSequences: 5 },
    ]);
    expect(reading).toMatchObject({
      capacityUnits: 75_000,
      usedUnits: 4000,
      runningSequences: 7,
      waitingSequences: 1,
      maxSequences: 1024,
    });
    expect(facts.warnings).toEqual([expect.stringContaining('2 data-parallel ranks')]);
  });

  test('retractions of several ranks add up, and one that reports twice counts once', async () => {
    const lines = [
      'sglang:num_retracted_requests_total{dp_rank="0",tp_rank="0"} 3',
      'sglang:num_retracted_requests_total{dp_rank="0",tp_rank="1"} 3',
      'sglang:num_retracted_requests_total{dp_rank="1",tp_rank="2"} 4',
    ];
    const { reading } = await probed({ 'GET /metrics': reply(200, lines.join('\n')) });
    expect(reading.preemptions).toBe(7);
  });

  test('KV in host memory is a tier of its own', async () => {
    const tiers = withInfo({ enable_hierarchical_cache: true });
    const blind = await probed(tiers);
    expect(blind.reading.hostTier).toBeNull();
    expect(blind.facts.warnings).toContainEqual(expect.stringContaining('KV in host memory'));
    const lines =
      'sglang:hicache_host_total_tokens 200000\nsglang:hicache_host_used_tokens 50000\n';
    const metrics = reply(200, recorded('sglang/metrics.txt').body + lines);
    const { reading } = await probed({ ...tiers, 'GET /metrics': metrics });
    // 44,236.8 bytes for a token of gpt-oss-20b, its share of the second pool included.
    expect(reading.hostTier?.usedShare).toBe(0.25);
    expect((reading.hostTier?.capacityBytes ?? 0) / 200_000).toBeCloseTo(44_236.8, 0);
    expect(reading.capacityUnits).toBe(75_388);
  });
});

describe('detection', () => {
  test('by the description of the model where there is no list of models', async () => {
    const { 'GET /v1/models': _, ...answers } = ANSWERS;
    const described = { ...answers, 'GET /get_model_info': recorded('sglang/model-info.json') };
    expect(await sglang.detect(fakeEngine(described), signal)).toBe(true);
    expect(await sglang.detect(fakeEngine({}), signal)).toBe(false);
  });
});

describe('a body of /generate', () => {
  test.each([
    ['a text', { text: 'hello' }, 1, { lo: 1, hi: 7 }],
    ['texts', { text: ['hello', 'ho'] }, 2, { lo: 1, hi: 11 }],
    ['token ids', { input_ids: [1, 2, 3] }, 1, { lo: 3, hi: 3 }],
    ['lists of token ids', { input_ids: [[1, 2, 3], [4]] }, 2, { lo: 4, hi: 4 }],
  ])('with %s', (_, body, prompts, promptTokens) => {
    expect(parsed(body)).toMatchObject({ kind: 'completion', model: null, prompts, promptTokens });
  });

  test.each([
    [{}, 128],
    [{ sampling_params: null }, 128],
    [{ sampling_params: {} }, 128],
    [{ sampling_params: { max_new_tokens: 7 } }, 7],
    // None, in words: up to the end of the context.
    [{ sampling_params: { max_new_tokens: null } }, null],
  ])('%j asks for %s tokens', (more, expected) => {
    expect(parsed({ text: 'a', ...more }).requestedOutputTokens).toBe(expected);
  });

  test('says how to sample in its parameters', () => {
    const sampling = { n: 3, temperature: 0, top_p: 0.5, json_schema: '{}' };
    expect(parsed({ text: 'a', stream: true, sampling_params: sampling })).toMatchObject({
      samplesPerPrompt: 3,
      temperature: 0,
      topP: 0.5,
      hasResponseFormat: true,
      stream: true,
    });
  });

  test.each([
    ['nothing', {}, 'text'],
    ['a text and token ids', { text: 'a', input_ids: [1] }, 'input_ids'],
    ['embeddings', { input_embeds: [[0.1]] }, 'input_embeds'],
    ['a session', { text: 'a', session_params: { id: 's' } }, 'session_params'],
    ['an image', { text: 'a', image_data: 'x' }, 'image_data'],
    ['a rank', { text: 'a', data_parallel_rank: 1 }, 'data_parallel_rank'],
    ['a list of parameters', { text: ['a'], sampling_params: [{}] }, 'sampling_params'],
    [
      'a limit in quotes',
      { text: 'a', sampling_params: { max_new_tokens: '5' } },
      'sampling_params.max_new_tokens',
    ],
    ['too many samples', { text: 'a', sampling_params: { n: 500 } }, 'sampling_params.n'],
    [
      'a limit named twice',
      '{"text":"a","sampling_params":{"max_new_tokens":5,"max_new_tokens":900}}',
      'sampling_params',
    ],
  ])('with %s is refused', (_, body, param) => {
    expect(sglang.parse(scannedRequest(GENERATE, body), ANY_FACTS)).toEqual({
      invalid: expect.any(String),
      param,
    });
  });
});

describe('bodies of other routes', () => {
  test.each([
    ['a chat of token ids', CHAT_ROUTE, { messages: MESSAGES, input_ids: [1, 2] }, 'input_ids'],
    [
      'a chat in a session',
      CHAT_ROUTE,
      { messages: MESSAGES, session_params: {} },
      'session_params',
    ],
    ['a chat with a rank', CHAT_ROUTE, { messages: MESSAGES, routed_dp_rank: 0 }, 'routed_dp_rank'],
    [
      'an image to be ranked',
      { path: '/v1/rerank', kind: 'ranking', api: 'openai' } as const,
      { query: 'a', documents: [[{ type: 'image_url', image_url: { url: 'x' } }]] },
      'documents',
    ],
    [
      'two inputs to encode',
      { path: '/encode', kind: 'embedding', api: 'openai' } as const,
      { text: 'a', input_ids: [1] },
      'input_ids',
    ],
    [
      'an input to encode by the name of another route',
      { path: '/encode', kind: 'embedding', api: 'openai' } as const,
      { input: 'a' },
      'input_ids',
    ],
  ])('%s is refused', (_, route, body, param) => {
    expect(sglang.parse(scannedRequest(route, body), ANY_FACTS)).toMatchObject({ param });
  });

  test('what is encoded has no output', () => {
    const route = { path: '/encode', kind: 'embedding', api: 'openai' } as const;
    const shape = sglang.parse(scannedRequest(route, { text: ['a', 'b'] }), ANY_FACTS);
    expect(shape).toMatchObject({ kind: 'embedding', prompts: 2, requestedOutputTokens: 0 });
  });
});

describe('rewriting /generate', () => {
  function written(body: string, grant: Parameters<typeof sglang.rewrite>[2]) {
    const request = scannedRequest(GENERATE, body);
    const rewrite = sglang.rewrite(request, parsed(body), grant);
    const bytes = splice(request.body, request.object, rewrite.edits);
    return { ...rewrite, body: new TextDecoder().decode(bytes) };
  }

  test('changes what was granted and nothing beside it', () => {
    const body =
      '{"text":"a", "sampling_params":{"max_new_tokens": 900,"stop":["\\u0041"],"sampling_seed":18446744073709551615}}';
    expect(written(body, { outputTokens: 50, sampling: {} })).toMatchObject({
      body: body.replace('900', '50'),
      changed: ['sampling_params.max_new_tokens'],
      asksForUsage: false,
    });
  });

  test.each([null, 900, 1000])('a grant of %s leaves 900 alone', (outputTokens) => {
    const body = '{"text":"a","sampling_params":{"max_new_tokens":900}}';
    expect(written(body, { outputTokens, sampling: {} }).edits).toEqual([]);
  });

  test('the default is lowered where it is not named, and a floor above the limit with it', () => {
    expect(written('{"text":"a"}', { outputTokens: 50, sampling: {} }).body).toBe(
      '{"text":"a","sampling_params":{"max_new_tokens":50}}',
    );
    const floor = '{"text":"a","sampling_params":{"min_new_tokens":100}}';
    expect(written(floor, { outputTokens: 50, sampling: {} }).body).toBe(
      '{"text":"a","sampling_params":{"min_new_tokens":50,"max_new_tokens":50}}',
    );
  });

  test('sampling is lowered, never raised', () => {
    const body = '{"text":"a","sampling_params":{"temperature":0.2,"top_p":1.0}}';
    const sampling = { temperature: 0.5, topP: 0.9 };
    expect(written(body, { outputTokens: null, sampling }).body).toBe(
      '{"text":"a","sampling_params":{"temperature":0.2,"top_p":0.9}}',
    );
  });
});

describe('answers', () => {
  const meta = { finish_reason: null, prompt_tokens: 9, completion_tokens: 4, cached_tokens: 2 };

  test('an event tells all tokens so far', () => {
    expect(sglang.streamEvent(JSON.stringify({ text: 'abcd', meta_info: meta }), GENERATE)).toEqual(
      {
        outputTokens: 1,
        usage: { promptTokens: 9, completionTokens: 4, cachedTokens: 2 },
        isEnd: false,
        error: null,
        isUsageOnly: false,
      },
    );
    expect(sglang.streamEvent('[DONE]', GENERATE).isEnd).toBe(true);
  });

  test('the sequences of an answer add up', () => {
    expect(sglang.usage([{ meta_info: meta }, { meta_info: meta }], GENERATE)).toEqual({
      promptTokens: null,
      completionTokens: 8,
      cachedTokens: null,
    });
    expect(sglang.usage({ text: 'a' }, GENERATE)).toBeNull();
  });

  const aborted = (message: string) => ({
    text: '',
    meta_info: { ...meta, finish_reason: { type: 'abort', message, status_code: null } },
  });

  test('an abort is no success, and its words tell what it is', () => {
    expect(sglang.hiddenFailure?.({ text: 'a', meta_info: meta }, GENERATE)).toBeNull();
    expect(sglang.hiddenFailure?.(aborted('The request queue is full.'), GENERATE)).toBe('busy');
    expect(sglang.hiddenFailure?.(aborted('Unknown'), GENERATE)).toBe('fault');
    const chat = { choices: [{ index: 0, finish_reason: 'abort' }] };
    expect(sglang.hiddenFailure?.(chat, CHAT_ROUTE)).toBe('fault');
    expect(sglang.streamEvent(JSON.stringify(aborted('Gone')), GENERATE).error).toBe('Gone');
    expect(sglang.streamEvent(JSON.stringify(chat), CHAT_ROUTE).error).toContain('aborted');
  });

  test('a text that speaks of aborting is none', () => {
    const event = { choices: [{ index: 0, delta: { content: '"abort"' }, finish_reason: null }] };
    expect(sglang.streamEvent(JSON.stringify(event), CHAT_ROUTE).error).toBeNull();
  });

  test.each([
    [400, "The input (5 tokens) is longer than the model's context length (4 tokens).", 'too-long'],
    [
      400,
      "Requested token count exceeds the model's maximum context length of 4 tokens.",
      'too-long',
    ],
    [
      400,
      'Input length (9 tokens) exceeds the maximum allowed length (8 tokens). Use a shorter input or enable --allow-auto-truncate.',
      'too-long',
    ],
    [
      400,
      'max_completion_tokens is too large: 9.This model supports at most 8 completion tokens.',
      'too-long',
    ],
    [400, 'Duplicate request ID detected: a', 'client'],
    [400, 'a prompt about being out of memory even after retracting', 'client'],
    [503, 'The request queue is full.', 'busy'],
    [503, 'The request is aborted by a higher priority request.', 'busy'],
    [503, 'Request waiting timeout reached.', 'busy'],
    [
      500,
      'Out of memory even after retracting all other requests in the decode batch.',
      'overflow',
    ],
    [
      200,
      'Out of memory even after retracting all other requests in the decode batch.',
      'overflow',
    ],
    [500, 'CUDA out of memory. Tried to allocate 2.00 GiB', 'oom'],
    [500, 'Internal server error: bad shape', 'fault'],
  ])('%i "%s" is %s, whatever its shape', (status, message, expected) => {
    for (const body of [
      { object: 'error', message, type: 'x', param: null, code: status },
      { error: { message } },
    ]) {
      expect(sglang.classifyError(status, JSON.stringify(body))).toBe(expected);
    }
  });
});

describe('counting', () => {
  test('what decides the count is sent, and nothing else', async () => {
    const sent: string[] = [];
    const io = fakeEngine({
      'POST /tokenize': (body) => {
        sent.push(body);
        return json({ tokens: [1, 2], count: 2, max_model_len: 1 });
      },
    });
    const chat = { model: 'm', messages: [], max_tokens: 5, tools: null };
    expect(await sglang.countTokens(io, scannedRequest(CHAT_ROUTE, chat), signal)).toBe(2);
    const text = { text: 'a "b"', sampling_params: {} };
    expect(await sglang.countTokens(io, scannedRequest(GENERATE, text), signal)).toBe(2);
    expect(sent).toEqual(['{"model":"m","messages":[]}', '{"prompt":"a \\"b\\""}']);
  });

  test.each([
    ['several texts', GENERATE, { text: ['a'] }],
    ['token ids', GENERATE, { input_ids: [1] }],
  ])('%s are left alone', async (_, route, body) => {
    const io = fakeEngine({});
    expect(await sglang.countTokens(io, scannedRequest(route, body), signal)).toBeNull();
    expect(io.asked).toEqual([]);
  });

  test('a version that counts no chats leaves it unknown', async () => {
    const io = fakeEngine({ 'POST /tokenize': reply(400, '{"object":"error"}') });
    const chat = scannedRequest(CHAT_ROUTE, { messages: MESSAGES });
    expect(await sglang.countTokens(io, chat, signal)).toBeNull();
  });
});

describe('the proof of one token', () => {
  const generated = json({ text: 'a', meta_info: { completion_tokens: 1, finish_reason: {} } });

  test.each([
    ['a token', { 'POST /generate': generated }, null],
    [
      'an embedding of a model that only embeds',
      { 'POST /encode': json({ embedding: [1] }) },
      null,
    ],
    ['neither', {}, '/generate answered 404'],
  ])('is %s', async (_, answers: Answers, why) => {
    const found = await sglang.tryOneToken(fakeEngine(answers), ANY_FACTS, signal);
    if (why === null) expect(found).toBeNull();
    else expect(found).toContain(why);
  });

  test('is no answer that was aborted', async () => {
    const finish = { type: 'abort', message: 'gone' };
    const answer = json({ text: '', meta_info: { completion_tokens: 0, finish_reason: finish } });
    const io = fakeEngine({ 'POST /generate': answer });
    expect(await sglang.tryOneToken(io, ANY_FACTS, signal)).not.toBeNull();
  });
});
