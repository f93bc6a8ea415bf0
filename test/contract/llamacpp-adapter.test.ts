/** What is particular about llama-server, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import type { EngineHints } from '../../backend-adapters/adapter.ts';
import { DEFAULT_FRAMING } from '../../backend-adapters/framing.ts';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { GgufMetadata } from '../../proxy/memory/gguf/metadata.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { type Answers, fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import { ggufMetadata } from '../support/gguf-header.ts';
import {
  ANY_FACTS,
  CHAT,
  CHAT_ROUTE,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const HEALTHY = answersOf('llamacpp');

async function probed(
  changed: {
    readonly answers?: Answers;
    readonly commandLine?: readonly string[] | null;
    readonly hints?: Partial<EngineHints>;
    /** What the model's file holds, where it can be read. */
    readonly metadata?: GgufMetadata;
  } = {},
) {
  const { metadata = null } = changed;
  const io = {
    ...fakeEngine({ ...HEALTHY, ...changed.answers }, changed.commandLine ?? null),
    modelMetadata: async (path: string) => (path.startsWith('/models/') ? metadata : null),
  };
  const result = await llamacpp.probe(io, { ...NO_HINTS, ...changed.hints }, signal);
  if (!result.ok) throw new Error(result.why);
  const { layout } = result.facts;
  if (layout.model !== 'slots') throw new Error(`layout ${layout.model}`);
  return { ...result, layout };
}

function parsed(path: string, body: object) {
  const shape = llamacpp.parse(scannedRequest(path, body), ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

describe('requests', () => {
  test.each([
    [{ n_predict: 5, max_completion_tokens: 6, max_tokens: 7 }, 5],
    [{ max_completion_tokens: 6, max_tokens: 7 }, 6],
    [{ max_tokens: 7 }, 7],
    [{ n_predict: null, max_tokens: 7 }, 7],
    [{ n_predict: -1, max_tokens: 7 }, null],
    [{ max_tokens: -1 }, null],
    [{}, null],
  ])('of the limits %j the engine obeys %p', (limits, requestedOutputTokens) => {
    for (const [path, input] of [
      [CHAT, { messages: MESSAGES }],
      [COMPLETION, { prompt: 'a' }],
    ] as const) {
      expect(parsed(path, { ...input, ...limits })).toMatchObject({ requestedOutputTokens });
    }
  });

  test('a completion of no tokens evaluates its prompt, a chat of none is refused', () => {
    expect(parsed(COMPLETION, { prompt: 'a', n_predict: 0 }).requestedOutputTokens).toBe(0);
    const chat = scannedRequest(CHAT, { messages: MESSAGES, n_predict: 0 });
    expect(llamacpp.parse(chat, ANY_FACTS)).toMatchObject({ param: 'n_predict' });
  });

  test('n_cmpl multiplies as n does', () => {
    expect(parsed(CHAT, { messages: MESSAGES, n_cmpl: 3 }).samplesPerPrompt).toBe(3);
    expect(parsed(CHAT, { messages: MESSAGES, n_cmpl: 2, n: 4 }).samplesPerPrompt).toBe(4);
  });

  test.each([
    ['one text', 'abcd', 1, { lo: 1, hi: 6 }],
    ['token ids', [1, 2, 3], 1, { lo: 3, hi: 3, source: 'token-ids' }],
    ['texts', ['ab', 'cd'], 2, { lo: 1, hi: 8 }],
    ['lists of ids', [[1, 2], [3]], 2, { lo: 3, hi: 3, source: 'token-ids' }],
    ['text and ids in one prompt', [1, 2, 'abcd'], 1, { lo: 3, hi: 8 }],
    ['texts beside lists', ['ab', [1, 2]], 2, { lo: 3, hi: 8 }],
  ])('a prompt of %s', (_, prompt, prompts, promptTokens) => {
    expect(parsed(COMPLETION, { prompt })).toMatchObject({ prompts, promptTokens });
  });

  test('a number beside a list is no prompt', () => {
    const request = scannedRequest(COMPLETION, { prompt: [1, [2]] });
    expect(llamacpp.parse(request, ANY_FACTS)).toMatchObject({ param: 'prompt' });
  });
});

describe('detection', () => {
  test('knows it while it loads, by its header or by its words', async () => {
    const loading = recorded('llamacpp/loading.json', 503);
    const byHeader = fakeEngine({ 'GET /health': reply(503, '', { server: 'llama.cpp' }) });
    expect(await llamacpp.detect(byHeader, signal)).toBe(true);
    expect(await llamacpp.detect(fakeEngine({ 'GET /health': loading }), signal)).toBe(true);
  });

  test('knows it by /props where another server stands in front', async () => {
    const answers = { ...HEALTHY, 'GET /health': json({ status: 'ok' }, { server: 'nginx' }) };
    expect(await llamacpp.detect(fakeEngine(answers), signal)).toBe(true);
  });
});

describe('probe', () => {
  test('reads slots, context and work', async () => {
    const { facts, reading, layout } = await probed();
    expect(facts.modelId).toBe('gpt-oss-20b');
    expect(layout).toMatchObject({ slots: 4, contextTokens: 2048, kvBytesPerElement: 2 });
    // Slots 0 and 2 work with 615 and 85 tokens; what slot 1 still holds is reclaimable.
    expect(reading).toEqual({
      state: 'ready',
      capacityUnits: 2048,
      usedUnits: 700,
      runningSequences: 2,
      waitingSequences: null,
      maxSequences: 4,
      preemptions: null,
      hostTier: null,
      ranks: [],
    });
    expect(facts.version).toBe('b11669-d5d6f51');
  });

  test('is loading while every route answers 503', async () => {
    const loading = recorded('llamacpp/loading.json', 503);
    const atHealth = fakeEngine({ ...HEALTHY, 'GET /health': loading });
    const atSlots = fakeEngine({ ...HEALTHY, 'GET /slots': loading });
    for (const io of [atHealth, atSlots]) {
      expect(await llamacpp.probe(io, NO_HINTS, signal)).toMatchObject({ state: 'loading' });
    }
    const { facts } = await probed();
    expect(await llamacpp.read(atSlots, facts, signal)).toMatchObject({
      state: 'loading',
      usedUnits: null,
    });
  });

  test('a router is unusable, and the servers that it runs are named', async () => {
    const router = { ...HEALTHY, 'GET /props': recorded('llamacpp/props-router.json') };
    const running = { ...router, 'GET /v1/models': recorded('llamacpp/models-router.json') };
    for (const [answers, servers] of [
      [router, 'none runs now'],
      [running, 'now: tiny-a on port 42601)'],
    ] as const) {
      expect(await llamacpp.probe(fakeEngine(answers), NO_HINTS, signal)).toMatchObject({
        state: 'unusable',
        why: expect.stringMatching(new RegExp(`llama.cpp router.*${servers.replace(')', '\\)')}`)),
      });
    }
  });

  test('a server that wants a key is unusable without it', async () => {
    const unauthorized = recorded('llamacpp/no-key.json', 401);
    const io = fakeEngine({ ...HEALTHY, 'GET /props': unauthorized, 'GET /slots': unauthorized });
    expect(await llamacpp.probe(io, NO_HINTS, signal)).toMatchObject({
      state: 'unusable',
      why: expect.stringContaining('--backend-api-key-file'),
    });
  });

  test.each([
    [null, null],
    [['llama-server'], { capacityBytes: 8192 * 1024 ** 2, usedShare: null }],
    [['llama-server', '-cram', '100'], { capacityBytes: 100 * 1024 ** 2, usedShare: null }],
    [['llama-server', '--cache-ram', '-1'], { capacityBytes: null, usedShare: null }],
    [['llama-server', '--cache-ram=0'], null],
  ])('with %j the host keeps %j of prompts', async (commandLine, hostTier) => {
    const { facts, reading } = await probed({ commandLine });
    expect(reading.hostTier).toEqual(hostTier);
    expect(await llamacpp.read(fakeEngine(HEALTHY), facts, signal)).toEqual(reading);
  });

  test('with --swa-full sliding layers keep every token', async () => {
    const windowed = (await probed()).layout.spec?.groups.map(({ windowTokens }) => windowTokens);
    expect(windowed).toContain(128);
    const { layout } = await probed({ commandLine: ['llama-server', '--swa-full'] });
    expect(layout.spec?.groups.map(({ windowTokens }) => windowTokens)).toEqual(
      windowed?.map(() => null),
    );
  });

  test.each([
    ['--context-shift', ['--context-shift'], 'max tokens'],
    ['--sleep-idle-seconds', ['--sleep-idle-seconds', '60'], 'not sleep'],
  ])('%s is warned of', async (_, flags, words) => {
    const warned = expect.stringContaining(words);
    expect((await probed()).facts.warnings).not.toContainEqual(warned);
    const { facts } = await probed({ commandLine: ['llama-server', ...flags] });
    expect(facts.warnings).toContainEqual(warned);
  });

  test.each([
    ['of text only', { vision: false, audio: false, video: false }, [], ['none', 'none', 'none']],
    ['with eyes', { vision: true, audio: false, video: true }, [], [600, 'none', null]],
    [
      'with a bound of its own',
      { vision: true, audio: true, video: false },
      ['--image-max-tokens', '300'],
      [300, null, 'none'],
    ],
    ['of an older build', undefined, [], [null, null, null]],
  ])('media of a model %s', async (_, modalities, flags, [image, audio, video]) => {
    const props = { ...JSON.parse(recorded('llamacpp/props.json').body), modalities };
    const { facts } = await probed({
      answers: { 'GET /props': json(props) },
      commandLine: ['llama-server', ...flags],
      hints: flags.length > 0 ? {} : { imageTokens: 600 },
    });
    expect(facts.media).toMatchObject({ image, audio, video });
  });

  test('hidden slots leave the work unknown, with a warning', async () => {
    const { facts, reading } = await probed({
      answers: { 'GET /slots': recorded('llamacpp/slots-hidden.json', 501) },
    });
    expect(reading).toMatchObject({ capacityUnits: 2048, usedUnits: null, runningSequences: null });
    expect(facts.warnings).toContainEqual(expect.stringContaining('--no-slots'));
  });

  test('a working slot that does not tell its tokens leaves their sum unknown', async () => {
    const slots = [
      { id: 0, is_processing: true },
      { id: 1, is_processing: false },
    ];
    const { reading } = await probed({ answers: { 'GET /slots': json(slots) } });
    expect(reading).toMatchObject({ usedUnits: null, runningSequences: 1 });
  });

  const UNKNOWN_MODEL: Answers = {
    'GET /props': json({
      default_generation_settings: { n_ctx: 4096 },
      total_slots: 1,
      model_path: '/models/m.gguf',
    }),
    'GET /v1/models': reply(404, ''),
  };
  const LLAMA = ggufMetadata('llama', {
    'general.name': 'Mine',
    block_count: 4,
    context_length: 8192,
    embedding_length: 512,
    feed_forward_length: 2048,
    'attention.head_count': 8,
    'attention.head_count_kv': 2,
    vocab_size: 32_000,
  });

  test('the file of any model tells its geometry, where it can be read', async () => {
    const { facts, layout } = await probed({ answers: UNKNOWN_MODEL, metadata: LLAMA });
    expect(layout.spec).toMatchObject({
      id: 'Mine',
      groups: [{ layers: 4, kvHeads: 2, keyDim: 64 }],
      source: '/models/m.gguf',
    });
    expect(facts.warnings.join()).not.toContain('--model-config');
  });

  const served = (meta: object | null): Answers => ({
    'GET /v1/models': json({ data: [{ id: 'gpt-oss-20b', meta }] }),
  });

  test('it goes before the name of the model, and after the word of the operator', async () => {
    const answers = served({ n_embd: 512, n_ctx_train: 8192 });
    const changed = { answers, metadata: LLAMA };
    expect((await probed(changed)).layout.spec).toMatchObject({ id: 'Mine' });
    const told = findModel('gpt-oss-120b');
    const { layout } = await probed({ ...changed, hints: { modelSpec: told } });
    expect(layout.spec).toBe(told);
  });

  test.each([
    ['another width', { n_embd: 2880, n_ctx_train: 8192 }, 'gpt-oss-20b'],
    ['another context', { n_embd: 512, n_ctx_train: 131_072 }, 'gpt-oss-20b'],
    ['nothing of it', {}, 'Mine'],
    ['nothing', null, 'Mine'],
  ])('where the server tells %s of what it loaded', async (_, meta, id) => {
    const { layout } = await probed({ answers: served(meta), metadata: LLAMA });
    expect(layout.spec).toMatchObject({ id });
  });

  test("the file's name goes before an alias", async () => {
    const { layout } = await probed({
      answers: {
        ...UNKNOWN_MODEL,
        'GET /props': json({
          default_generation_settings: { n_ctx: 4096 },
          total_slots: 1,
          model_alias: 'gpt-oss-20b',
          model_path: '/else/gpt-oss-120b-mxfp4.gguf',
        }),
      },
    });
    expect(layout.spec).toMatchObject({ id: 'gpt-oss-120b' });
  });

  test.each([
    ['no file', undefined],
    ['a file of an architecture that is not supported', ggufMetadata('deepseek4', {})],
    ['a file that lacks a number', ggufMetadata('llama', { block_count: 4 })],
  ])('%s leaves it to the name', async (_, metadata) => {
    const changed = metadata === undefined ? {} : { metadata };
    expect((await probed(changed)).layout.spec).toMatchObject({ id: 'gpt-oss-20b' });
    const { layout } = await probed({ answers: UNKNOWN_MODEL, ...changed });
    expect(layout.spec).toBeNull();
  });

  test('an unknown model is null, with a warning', async () => {
    const { facts, layout } = await probed({ answers: UNKNOWN_MODEL });
    expect(layout).toMatchObject({ spec: null, slots: 1 });
    expect(facts.modelId).toBe('/models/m.gguf');
    expect(facts.warnings).toContainEqual(expect.stringContaining('--model-config'));
  });
});

describe('who shares the cells', () => {
  test.each([
    ['no -np: one pool', ['llama-server', '-c', '2048'], true],
    ['-np: a part each', ['llama-server', '-c', '8192', '-np', '4'], false],
    ['-np with --kv-unified', ['llama-server', '-np', '4', '--kv-unified'], true],
    ['-np that is left to the server', ['llama-server', '-np', '-1'], true],
    ['--no-kv-unified', ['llama-server', '--no-kv-unified'], false],
    ['the last switch', ['llama-server', '-kvu', '-no-kvu', '-np', '4'], false],
    ['-np, and slots too large for parts', ['llama-server', '-c', '2048', '-np', '4'], true],
    ['a pool that holds every slot', ['llama-server', '--kv-unified-per-slot', '2048'], false],
    [
      'a pool as large as every slot',
      ['llama-server', '-kvu', '--kv-unified-per-slot', '2048', '-c', '8192'],
      false,
    ],
    [
      'a pool smaller than every slot',
      ['llama-server', '--kv-unified-per-slot', '2048', '-c', '4096'],
      true,
    ],
    [
      '-np with a limit for a slot',
      ['llama-server', '-np', '4', '--kv-unified-per-slot', '2048'],
      false,
    ],
  ])('%s', async (_, commandLine, unified) => {
    const { layout, reading } = await probed({ commandLine });
    expect(layout.unified).toBe(unified);
    expect(reading.capacityUnits).toBe(unified ? 2048 : 4 * 2048);
  });

  test('the operator has the last word', async () => {
    const commandLine = ['llama-server', '-kvu'];
    const { layout, facts } = await probed({ commandLine, hints: { kvLayout: 'split' } });
    expect(layout.unified).toBe(false);
    expect(facts.warnings).not.toContainEqual(expect.stringContaining('--kv-layout'));
  });

  test('the options of a proxy at its port are not its own', async () => {
    const proxy = ['/usr/bin/docker-proxy', '-np', '4', '-c', '8192'];
    const { layout, facts } = await probed({ commandLine: proxy });
    expect(layout.unified).toBe(true);
    expect(facts.warnings).toContainEqual(expect.stringContaining('--kv-layout split'));
    const renamed = [
      '/opt/server',
      '-m',
      '/models/gpt-oss-20b-mxfp4.gguf',
      '-np',
      '4',
      '-c',
      '8192',
    ];
    expect((await probed({ commandLine: renamed })).layout.unified).toBe(false);
  });

  test('without a command line one pool is assumed, with a warning', async () => {
    const { layout, facts } = await probed();
    expect(layout.unified).toBe(true);
    expect(facts.warnings).toContainEqual(expect.stringContaining('--kv-layout split'));
  });

  test.each([
    [[], 2],
    [['-ctk', 'q8_0', '-ctv', 'q8_0'], 1.0625],
    [['-ctk', 'q8_0'], 2],
    [['--cache-type-k', 'q4_0', '--cache-type-v', 'q5_1'], 0.75],
    [['-ctk', 'f32'], 4],
  ])('with %j an element takes %d bytes', async (flags, kvBytesPerElement) => {
    const { layout } = await probed({ commandLine: ['llama-server', ...flags] });
    expect(layout.kvBytesPerElement).toBe(kvBytesPerElement);
  });

  test.each([
    [['-ctk', 'q8_0', '-ctv', 'q4_0'], 34 / 32, 18 / 32],
    [['-ctk', 'q8_0'], 34 / 32, 2],
    [['-ctv', 'f32'], 2, 4],
  ])('with %j keys and values are told apart', async (flags, key, value) => {
    const { layout } = await probed({ commandLine: ['llama-server', ...flags] });
    expect(layout.kvTypes).toEqual({ keyBytesPerElement: key, valueBytesPerElement: value });
  });

  test.each([
    [[], undefined],
    [['-ub', '2048'], 2048],
    [['--ubatch-size', '256'], 256],
    [['-b', '100'], 100],
    [['-b', '4096'], 512],
    [['--batch-size', '1024', '-ub', '2048'], 1024],
    [['-ub', '0'], 2048],
    [['-ub', '0', '-b', '1024'], 1024],
    [['-ub', '4096'], 2048],
  ])('with %j a physical batch has %p tokens', async (flags, ubatchTokens) => {
    const { layout } = await probed({ commandLine: ['llama-server', ...flags] });
    expect(layout.ubatchTokens).toBe(ubatchTokens);
  });

  test('an unknown cache type is said', async () => {
    const { facts } = await probed({ commandLine: ['llama-server', '-ctk', 'tq1', '-ctv', 'f16'] });
    expect(facts.warnings).toContainEqual(expect.stringContaining('tq1'));
  });
});

describe('token counts', () => {
  const countsMessages = (body: string) => {
    const { messages }: { messages: readonly unknown[] } = JSON.parse(body);
    return json({ object: 'response.input_tokens', input_tokens: 64 + 5 * messages.length });
  };

  test('measures what the template adds, with a margin', async () => {
    const { facts } = await probed({
      answers: { 'POST /v1/chat/completions/input_tokens': countsMessages },
    });
    expect(facts.framing.baseTokens).toBeGreaterThanOrEqual(64);
    expect(facts.framing.perMessageTokens).toBeGreaterThanOrEqual(5);
    expect(facts.framing.baseTokens).toBeLessThan(DEFAULT_FRAMING.baseTokens);
    expect(facts.warnings).not.toContainEqual(expect.stringContaining('input_tokens'));
  });

  test('an older build without the route gets the default, with a warning', async () => {
    const { facts } = await probed();
    expect(facts.framing).toEqual(DEFAULT_FRAMING);
    expect(facts.warnings).toContainEqual(expect.stringContaining('input_tokens'));
  });

  test('a chat is counted by the same body, on the route beside its own', async () => {
    const request = scannedRequest('/chat/completions', { messages: MESSAGES, seed: 1 });
    const io = fakeEngine({
      'POST /chat/completions/input_tokens': (body) =>
        body === new TextDecoder().decode(request.body)
          ? json({ input_tokens: 70 })
          : reply(400, ''),
    });
    expect(await llamacpp.countTokens(io, request, signal)).toBe(70);
    expect(await llamacpp.countTokens(fakeEngine({}), request, signal)).toBeNull();
  });

  test('a completion is tokenized with its special tokens, its text as it was written', async () => {
    const io = fakeEngine({
      'POST /tokenize': (body) =>
        body === '{"content":"\\u0061 ü","add_special":true}'
          ? json({ tokens: [1, 2, 3] })
          : reply(400, ''),
    });
    const request = scannedRequest(COMPLETION, '{"prompt":"\\u0061 ü"}');
    expect(await llamacpp.countTokens(io, request, signal)).toBe(3);
    const list = scannedRequest(COMPLETION, { prompt: ['a', 'b'] });
    expect(await llamacpp.countTokens(io, list, signal)).toBeNull();
  });
});

test('usage of several choices is that of the first, so their output is unknown', () => {
  const usage = { prompt_tokens: 10, completion_tokens: 4 };
  expect(llamacpp.usage({ choices: [{}, {}], usage }, CHAT_ROUTE)).toEqual({
    promptTokens: 10,
    completionTokens: null,
    cachedTokens: null,
  });
});

test.each([
  [503, recorded('llamacpp/loading.json').body, 'loading'],
  [503, '{"error":{"message":"no slot available","type":"unavailable_error"}}', 'busy'],
  [
    500,
    '{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}',
    'overflow',
  ],
  [200, 'Context size has been exceeded.', 'overflow'],
  [500, '{"error":{"code":500,"message":"Compute error.","type":"server_error"}}', 'oom'],
  [500, '{"error":{"code":500,"message":"Invalid input batch.","type":"server_error"}}', 'fault'],
  [
    500,
    '{"error":{"code":500,"message":"input (600 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}',
    'too-long',
  ],
  [
    500,
    '{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"server_error"}}',
    'too-long',
  ],
  [501, '{"error":{"code":501,"message":"This server does not support embeddings."}}', 'client'],
  [401, '{"error":{"message":"Invalid API Key","type":"authentication_error"}}', 'client'],
  [
    400,
    '{"error":{"type":"exceed_context_size_error","n_prompt_tokens":9015,"n_ctx":2048}}',
    'too-long',
  ],
])('classifies %i %s', (status, body, expected) => {
  expect(llamacpp.classifyError(status, body)).toBe(expected);
});
