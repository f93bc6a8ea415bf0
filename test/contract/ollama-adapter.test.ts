/** What is particular about Ollama, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import type {
  EngineFacts,
  EngineHints,
  GenerationRoute,
  ScannedRequest,
} from '../../backend-adapters/adapter.ts';
import { ollama } from '../../backend-adapters/ollama.ts';
import { splice } from '../../proxy/json/splice.ts';
import type { GgufMetadata, GgufValue } from '../../proxy/memory/gguf/metadata.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { type Answers, fakeEngine, json, recorded } from '../support/fake-engine-io.ts';
import { MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const ANSWERS = answersOf('ollama');
const NOTHING_LOADED = { ...ANSWERS, 'GET /api/ps': json({ models: [] }) };
const CONTEXT = 32_768;

function route(path: string): GenerationRoute {
  const found = ollama.generationRoutes.find((known) => known.path === path);
  if (found === undefined) throw new Error(`${path} is no route`);
  return found;
}

async function probed(
  answers: Answers = ANSWERS,
  hints: EngineHints = NO_HINTS,
  args: readonly string[] | null = null,
) {
  const result = await ollama.probe(fakeEngine(answers, args), hints, signal);
  if (!result.ok) throw new Error(`${result.state}: ${result.why}`);
  return result;
}

async function factsOf(answers: Answers = ANSWERS): Promise<EngineFacts> {
  return (await probed(answers)).facts;
}

async function parse(path: string, body: object) {
  return ollama.parse(scannedRequest(route(path), body), await factsOf());
}

async function parsed(path: string, body: object): Promise<RequestShape> {
  const shape = await parse(path, body);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

function models(...loaded: readonly object[]) {
  return { ...ANSWERS, 'GET /api/ps': json({ models: loaded }) };
}

function shown(info: object, rest: object = {}) {
  return json({ model_info: info, capabilities: ['completion'], ...rest });
}

describe('a request of its own API', () => {
  test('streams unless it says otherwise', async () => {
    const body = { model: 'm', messages: MESSAGES };
    expect((await parsed('/api/chat', body)).stream).toBe(true);
    expect((await parsed('/api/chat', { ...body, stream: false })).stream).toBe(false);
    expect((await parsed('/api/chat', { ...body, stream: null })).stream).toBe(true);
  });

  test('is read from its options', async () => {
    const shape = await parsed('/api/chat', {
      model: 'm',
      messages: MESSAGES,
      tools: [{ type: 'function', function: { name: 'f' } }],
      format: 'json',
      options: { num_predict: 50, temperature: 0.5, top_p: 0.8, seed: 7 },
    });
    expect(shape).toMatchObject({
      kind: 'chat',
      model: 'm',
      requestedOutputTokens: 50,
      temperature: 0.5,
      topP: 0.8,
      hasTools: true,
      hasResponseFormat: true,
    });
  });

  test.each([
    [{}, null],
    [{ num_predict: -1 }, null],
    [{ num_predict: -2 }, null],
    [{ num_predict: null }, null],
    [{ num_predict: 5 }, 5],
  ])('with %j asks for %p tokens', async (options, tokens) => {
    const shape = await parsed('/api/generate', { model: 'm', prompt: 'a', options });
    expect(shape.requestedOutputTokens).toBe(tokens);
  });

  test('counts everything that becomes its prompt, and earlier tokens by their number', async () => {
    const bare = await parsed('/api/generate', { model: 'm', prompt: 'a' });
    const context = Array.from({ length: 500 }, (_, id) => id);
    const rest = { suffix: 's'.repeat(100), system: 'y'.repeat(200), template: 't'.repeat(300) };
    const full = await parsed('/api/generate', { model: 'm', prompt: 'a', context, ...rest });
    expect(full.promptTokens.hi).toBeGreaterThanOrEqual(bare.promptTokens.hi + 500 + 600);
    expect(full.promptTokens.lo).toBeGreaterThanOrEqual(500);
  });

  test.each([
    ['/api/chat', { messages: 'hi' }, 'messages'],
    ['/api/chat', { messages: ['hi'] }, 'messages'],
    ['/api/generate', { prompt: ['hi'] }, 'prompt'],
    ['/api/generate', { prompt: 'hi', context: ['a'] }, 'context'],
    ['/api/generate', { prompt: 'hi', system: 5 }, 'system'],
    ['/api/generate', { prompt: 'hi', stream: 'no' }, 'stream'],
    ['/api/generate', { prompt: 'hi', options: [] }, 'options'],
    ['/api/generate', { prompt: 'hi', options: { num_predict: 1.5 } }, 'options.num_predict'],
    ['/api/generate', { prompt: 'hi', options: { num_predict: -3 } }, 'options.num_predict'],
    ['/api/generate', { prompt: 'hi', options: { num_predict: '5' } }, 'options.num_predict'],
    ['/api/generate', { prompt: 'hi', options: { temperature: 'hot' } }, 'options.temperature'],
    // Left out on the way to the runner, which then knows no limit.
    ['/api/generate', { prompt: 'hi', options: { num_predict: 0 } }, 'options.num_predict'],
    ['/api/chat', { messages: MESSAGES, _debug_render_only: true }, '_debug_render_only'],
    [
      '/v1/chat/completions',
      { messages: MESSAGES, _debug_render_only: true },
      '_debug_render_only',
    ],
  ])('to %s with %j is refused', async (path, body, param) => {
    expect(await parse(path, { model: 'm', ...body })).toMatchObject({ param });
  });

  test('is changed inside its options, and nowhere else', async () => {
    const text =
      '{"model":"m", "prompt":"a","options": {"seed": 12345678901234567890, "num_predict":900}}';
    const request = scannedRequest(route('/api/generate'), text);
    const shape = ollama.parse(request, await factsOf());
    if ('invalid' in shape) throw new Error(shape.invalid);
    const grant = { outputTokens: 300, sampling: { temperature: 0.5 } };
    const { edits, changed } = ollama.rewrite(request, shape, grant);
    expect(changed).toEqual(['options.num_predict', 'options.temperature']);
    expect(new TextDecoder().decode(splice(request.body, request.object, edits))).toBe(
      '{"model":"m", "prompt":"a","options": {"seed": 12345678901234567890, "num_predict":300,"temperature":0.5}}',
    );
  });

  test('gets options where it has none', async () => {
    const request = scannedRequest(route('/api/chat'), { model: 'm', messages: MESSAGES });
    const shape = await parsed('/api/chat', { model: 'm', messages: MESSAGES });
    const grant = { outputTokens: null, sampling: { temperature: 0 } };
    expect(ollama.rewrite(request, shape, grant).edits).toEqual([
      { key: 'options', json: '{"temperature":0}' },
    ]);
    const nothing = { outputTokens: null, sampling: {} };
    expect(ollama.rewrite(request, shape, nothing).edits).toEqual([]);
  });
});

describe('what would move memory under others', () => {
  const prompt = { model: 'm', prompt: 'hi' };

  test.each([
    ['num_ctx', 4096],
    ['num_batch', 1024],
    ['num_gpu', 20],
    ['num_gpu', 0],
    ['main_gpu', 0],
    ['use_mmap', true],
    ['num_thread', 8],
    ['draft_num_predict', 2],
  ])('options.%s %p is refused: the model would be loaded anew', async (name, value) => {
    for (const path of ['/api/generate', '/api/embed']) {
      const body = { ...prompt, input: 'hi', options: { [name]: value } };
      expect(await parse(path, body)).toMatchObject({ param: `options.${name}` });
    }
  });

  test.each([{ num_ctx: CONTEXT }, { num_ctx: null }, { num_gpu: -1 }, { num_keep: 4 }])(
    'options %j change nothing and pass',
    async (options) => {
      expect(await parsed('/api/generate', { ...prompt, options })).toMatchObject({ prompts: 1 });
    },
  );

  test.each([true, false])('shift %p is refused', async (shift) => {
    expect(await parse('/api/generate', { ...prompt, shift })).toMatchObject({ param: 'shift' });
  });

  test.each([
    ['/api/generate', {}],
    ['/api/generate', { prompt: '' }],
    ['/api/generate', { prompt: null }],
    ['/api/chat', {}],
    ['/api/chat', { messages: [] }],
  ])('%s with %j loads, and unloads with a keep_alive of nothing', async (path, body) => {
    const load = { model: 'm', ...body };
    expect(await parsed(path, load)).toMatchObject({ requestedOutputTokens: 0, stream: false });
    for (const keep_alive of [300, -1, '5m', '1h30m', '-1']) {
      expect(await parsed(path, { ...load, keep_alive })).toMatchObject({ prompts: 1 });
    }
    for (const keep_alive of [0, 0.0001, '0', '0s', '0m0s', '0.5s', '1ns', '', [], true]) {
      expect(await parse(path, { ...load, keep_alive })).toMatchObject({ param: 'keep_alive' });
    }
  });

  test('a request with a prompt may say how long the model stays', async () => {
    expect(await parsed('/api/generate', { ...prompt, keep_alive: 0 })).toMatchObject({
      prompts: 1,
    });
  });
});

describe('names that only Go takes for fields', () => {
  test.each([
    ['/v1/chat/completions', 'Max_Tokens'],
    ['/v1/chat/completions', 'MAX_TOKENS'],
    ['/v1/chat/completions', 'max_to\u212Aens'],
    ['/api/chat', 'option\u017F'],
    ['/api/chat', 'Options'],
    ['/api/generate', 'Keep_Alive'],
    ['/v1/responses', 'Max_Output_Tokens'],
  ])('on %s %j is refused', async (path, name) => {
    const body = { model: 'm', messages: MESSAGES, prompt: 'a', input: 'a', [name]: 9 };
    expect(await parse(path, body)).toMatchObject({ param: name });
  });

  test('others pass', async () => {
    const body = { model: 'm', messages: MESSAGES, userId: 5, X: 1 };
    expect(await parsed('/v1/chat/completions', body)).toMatchObject({ kind: 'chat' });
  });
});

describe('what is longer than the context', () => {
  const long = 'word '.repeat(CONTEXT);

  test.each([
    ['/api/chat', { messages: [{ role: 'user', content: long }] }, 1],
    ['/api/generate', { prompt: long }, 1],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: long }], max_tokens: 50 }, 1],
    ['/v1/completions', { prompt: long }, 1],
    ['/api/embed', { input: [long, long] }, 2],
  ])('on %s is cut, so it is no longer than that', async (path, body, prompts) => {
    const shape = await parsed(path, { model: 'm', ...body });
    expect(shape.promptTokens.hi).toBeLessThanOrEqual(prompts * CONTEXT);
    expect(shape.promptTokens.hi).toBeGreaterThan(prompts * (CONTEXT - 1_025));
    expect(shape.promptTokens.lo).toBe(prompts);
    const output = Math.min(shape.requestedOutputTokens ?? 1_024, 1_024);
    expect(shape.promptTokens.hi / prompts + output).toBeLessThanOrEqual(CONTEXT);
  });

  test('an image counts as no more than that', async () => {
    const messages = [{ role: 'user', content: 'what?', images: ['aGk='] }];
    const shape = await parsed('/api/chat', { model: 'm', messages });
    expect(shape.promptTokens.hi).toBeLessThanOrEqual(CONTEXT);
  });
});

describe("OpenAI's routes", () => {
  const rewrite = async (path: string, body: object) => {
    const request: ScannedRequest = scannedRequest(route(path), { model: 'm', ...body });
    const shape = await parsed(path, { model: 'm', ...body });
    return { shape, ...ollama.rewrite(request, shape, { outputTokens: null, sampling: {} }) };
  };

  test('a limit that it does not know is written as the one it does', async () => {
    const body = { messages: MESSAGES, max_completion_tokens: 77 };
    const { shape, edits } = await rewrite('/v1/chat/completions', body);
    expect(shape.requestedOutputTokens).toBe(77);
    expect(edits).toEqual([{ key: 'max_tokens', json: '77' }]);
  });

  test('usage is asked for where that adds one event, and not where it changes all', async () => {
    const chat = await rewrite('/v1/chat/completions', { messages: MESSAGES, stream: true });
    expect(chat.asksForUsage).toBe(true);
    const completion = await rewrite('/v1/completions', { prompt: 'a', stream: true });
    expect(completion.asksForUsage).toBe(false);
  });

  test('n is not obeyed', async () => {
    const { shape } = await rewrite('/v1/chat/completions', { messages: MESSAGES, n: 4 });
    expect(shape.samplesPerPrompt).toBe(1);
  });
});

describe('the server', () => {
  test('is described by the model that is loaded', async () => {
    const { facts, reading } = await probed();
    expect(facts).toMatchObject({
      modelId: 'hf.co/ggml-org/gpt-oss-20b-GGUF:latest',
      version: '0.14.2',
      layout: { model: 'slots', unified: false, slots: 1, contextTokens: CONTEXT },
    });
    expect(reading).toMatchObject({ capacityUnits: CONTEXT, maxSequences: 1, usedUnits: null });
  });

  test('by the largest one that can generate, and says what else is loaded', async () => {
    const embedding = { name: 'embed:latest', context_length: 8192, size_vram: 9e10 };
    const small = { name: 'small:latest', context_length: 4096, size_vram: 1 };
    const large = { name: 'large:latest', context_length: 2048, size_vram: 5e9 };
    const answers = {
      ...models(embedding, small, large),
      'POST /api/show': (body: string) =>
        json({ capabilities: body.includes('embed') ? ['embedding'] : ['completion'] }),
    };
    const { facts } = await probed(answers);
    expect(facts).toMatchObject({ modelId: 'large:latest', layout: { contextTokens: 2048 } });
    expect(facts.warnings.join('\n')).toContain('embed:latest, small:latest');
  });

  test('while none is loaded, by the newest local one, with the least context that it may get', async () => {
    const answers = {
      ...NOTHING_LOADED,
      'POST /api/show': (body: string) =>
        body.includes('nomic')
          ? json({ capabilities: ['embedding'] })
          : recorded('ollama/show-gpt-oss.json'),
    };
    const { facts } = await probed(answers);
    expect(facts).toMatchObject({
      modelId: 'hf.co/ggml-org/gpt-oss-20b-GGUF:latest',
      layout: { contextTokens: 4096 },
    });
    expect(facts.warnings.join('\n')).toContain('no model is loaded');
  });

  test.each([
    ['num_ctx                        16384\nstop    "x"', 131_072, 16_384],
    ['num_ctx                        16384', 8_192, 8_192],
    ['temperature 1', 2_048, 2_048],
  ])('a Modelfile may tell the context: %j', async (parameters, trained, contextTokens) => {
    const info = { 'general.architecture': 'llama', 'llama.context_length': trained };
    const answers = { ...NOTHING_LOADED, 'POST /api/show': shown(info, { parameters }) };
    expect((await factsOf(answers)).layout).toMatchObject({ contextTokens });
  });

  test('without any model is waited for', async () => {
    const answers = { ...NOTHING_LOADED, 'GET /api/tags': json({ models: [] }) };
    expect(await ollama.probe(fakeEngine(answers), NO_HINTS, signal)).toMatchObject({
      ok: false,
      state: 'loading',
    });
  });

  test('is described anew once its model has another context, or another one is loaded in its place', async () => {
    const { facts } = await probed();
    const read = async (answers: Answers) =>
      (await ollama.read(fakeEngine(answers), facts, signal)).state;
    const loaded = (name: string, context_length: number) => models({ name, context_length });
    expect(await read(ANSWERS)).toBe('ready');
    expect(await read(NOTHING_LOADED)).toBe('ready');
    expect(await read(loaded(facts.modelId, 8192))).toBe('loading');
    expect(await read(loaded('other', 1024))).toBe('loading');
    const embedding = { 'POST /api/show': json({ capabilities: ['embedding'] }) };
    expect(await read({ ...loaded('other', 1024), ...embedding })).toBe('ready');
  });

  test('runs as many requests at a time as the operator says, or its runner', async () => {
    const told = await probed(ANSWERS, { ...NO_HINTS, ollamaNumParallel: 4, kvBytesPerElement: 1 });
    expect(told.facts.layout).toMatchObject({
      slots: 4,
      contextTokens: CONTEXT,
      kvBytesPerElement: 1,
    });
    expect(told.reading).toMatchObject({ capacityUnits: 4 * CONTEXT, maxSequences: 4 });
    expect(told.facts.warnings.join()).not.toMatch(/NUM_PARALLEL|KV_CACHE_TYPE/);
    const args = ['llama-server', '-c', '65536', '-np', '2', '--cache-type-k', 'q8_0'];
    const seen = await probed(ANSWERS, NO_HINTS, args);
    expect(seen.facts.layout).toMatchObject({ slots: 2, kvBytesPerElement: 34 / 32 });
    const unseen = await probed(ANSWERS, NO_HINTS, ['ollama', 'serve']);
    expect(unseen.facts.layout).toMatchObject({ slots: 1 });
    expect(unseen.facts.warnings.join()).toMatch(/OLLAMA_NUM_PARALLEL.*OLLAMA_KV_CACHE_TYPE/);
  });

  test('has batches by the context of all slots, unless its runner tells their size', async () => {
    const batchAt = async (context: number, parallel: number, args: readonly string[] = []) => {
      const model = { name: 'gpt-oss:20b', context_length: context, size_vram: 1 };
      const hints = { ...NO_HINTS, ollamaNumParallel: parallel };
      const { facts } = await probed(models(model), hints, args);
      return facts.layout.model === 'slots' ? facts.layout.ubatchTokens : null;
    };
    expect(await batchAt(4096, 1)).toBe(512);
    expect(await batchAt(4096, 2)).toBe(1024);
    expect(await batchAt(16_384, 4)).toBe(2048);
    expect(await batchAt(16_384, 4, ['llama-server', '-b', '512', '-ub', '512'])).toBe(512);
  });

  test('runs one at a time where the model can do no more', async () => {
    const model = { name: 'v', context_length: 4096, details: { family: 'qwen3vl' } };
    const { facts } = await probed(models(model), { ...NO_HINTS, ollamaNumParallel: 4 });
    expect(facts.layout).toMatchObject({ slots: 1 });
  });

  test('a system prompt of the model is in every prompt', async () => {
    const system = 's'.repeat(1_000);
    const plain = await factsOf();
    const long = await factsOf({ ...ANSWERS, 'POST /api/show': shown({}, { system }) });
    expect(long.framing.baseTokens).toBeGreaterThanOrEqual(plain.framing.baseTokens + 1_000);
  });
});

describe('the geometry of a model that is not in the catalogue', () => {
  const LLAMA = {
    'general.architecture': 'llama',
    'llama.block_count': 4,
    'llama.attention.head_count': 8,
    'llama.attention.head_count_kv': 2,
    'llama.embedding_length': 512,
    'llama.context_length': 8192,
    'llama.feed_forward_length': 2048,
  };
  const GEMMA = Object.fromEntries([
    ...Object.entries(LLAMA).map(([key, value]) => [key.replace('llama.', 'gemma3.'), value]),
    ...Object.entries({ 'general.architecture': 'gemma3', 'gemma3.block_count': 12 }),
    ...Object.entries({
      'gemma3.attention.sliding_window': 1024,
      'gemma3.attention.key_length': 256,
    }),
  ]);
  const specOf = async (info: object) => {
    const model = models({ name: 'mine:latest', context_length: 8192 });
    return (await factsOf({ ...model, 'POST /api/show': shown(info) })).layout.spec;
  };

  test('is read from its file', async () => {
    expect(await specOf(LLAMA)).toMatchObject({
      groups: [{ layers: 4, kvHeads: 2, keyDim: 64, valueDim: 64, windowTokens: null }],
      contextTokens: 8192,
      experts: null,
    });
  });

  test('goes before its name, which anybody may give', async () => {
    // Files of DeepSeek from before llama.cpp had latent KV hold keys and values of every head.
    const info = {
      ...{ 'general.architecture': 'deepseek2', 'deepseek2.block_count': 61 },
      ...{ 'deepseek2.attention.head_count': 128, 'deepseek2.attention.head_count_kv': 128 },
      ...{ 'deepseek2.attention.key_length': 192, 'deepseek2.attention.value_length': 128 },
      ...{ 'deepseek2.attention.kv_lora_rank': 512, 'deepseek2.embedding_length': 7168 },
      ...{ 'deepseek2.context_length': 163_840, 'deepseek2.feed_forward_length': 18_432 },
    };
    const facts = await factsOf({
      ...models({ name: 'deepseek-r1:671b', context_length: 8192 }),
      'POST /api/show': shown(info),
    });
    expect(facts.layout.spec?.groups).toEqual([
      { layers: 61, kvHeads: 128, keyDim: 192, valueDim: 128, windowTokens: null },
    ]);
  });

  test('leaves it to the name where it says the same, or nothing', async () => {
    const answers = models({ name: 'gpt-oss:20b', context_length: 8192 });
    for (const shows of [ANSWERS['POST /api/show'], shown({}), json(null)]) {
      const { layout } = await factsOf({ ...answers, ...(shows && { 'POST /api/show': shows }) });
      expect(layout.spec).toMatchObject({ id: 'gpt-oss-20b', tokenizer: 'o200k_harmony' });
    }
  });

  test('of a list too long for any model is not looked through', async () => {
    const long = Array.from({ length: 300_000 }, () => 1);
    expect(await specOf({ ...LLAMA, 'llama.feed_forward_length': long })).toMatchObject({
      intermediateSize: 512,
    });
  });

  test('is not guessed where it leaves out which layers share an indexer', async () => {
    const named = Object.entries(LLAMA).map(([key, value]) => [
      key.replace('llama.', 'glm-dsa.'),
      value,
    ]);
    const info = {
      ...Object.fromEntries(named),
      ...{ 'general.architecture': 'glm-dsa', 'glm-dsa.attention.indexer.key_length': 128 },
      ...{ 'glm-dsa.attention.indexer.types': null },
    };
    expect(await specOf(info)).toBeNull();
  });

  test('with heads that differ by layer, and layers without', async () => {
    const spec = await specOf({ ...LLAMA, 'llama.attention.head_count_kv': [2, 0, 4, 2] });
    expect(spec?.groups).toMatchObject([
      { layers: 2, kvHeads: 2 },
      { layers: 1, kvHeads: 4 },
    ]);
  });

  test('with a KV head for each query head where it tells of none', async () => {
    const info = { ...LLAMA, 'llama.attention.head_count_kv': undefined };
    expect((await specOf(info))?.groups).toMatchObject([{ layers: 4, kvHeads: 8 }]);
  });

  test('with latent KV, and states in place of KV', async () => {
    const named = (name: string, more: object) => ({
      ...Object.fromEntries(
        Object.entries(LLAMA).map(([key, value]) => [key.replace('llama.', `${name}.`), value]),
      ),
      'general.architecture': name,
      ...more,
    });
    const latent = named('deepseek2', {
      'deepseek2.attention.head_count_kv': 1,
      'deepseek2.attention.kv_lora_rank': 512,
      'deepseek2.attention.key_length': 576,
      'deepseek2.attention.key_length_mla': 192,
      'deepseek2.attention.value_length_mla': 128,
    });
    expect((await specOf(latent))?.groups).toMatchObject([
      { layers: 4, kvHeads: 1, keyDim: 576, valueDim: 0 },
    ]);
    const hybrid = named('qwen3next', {
      'qwen3next.ssm.conv_kernel': 4,
      'qwen3next.ssm.inner_size': 64,
      'qwen3next.ssm.state_size': 8,
    });
    expect(await specOf(hybrid)).toMatchObject({
      groups: [{ layers: 1 }],
      states: [{ layers: 3, convChannels: 64, convKernel: 4, recurrentElements: 512 }],
    });
  });

  test('from the file itself, where it can be read, for lists that are left out', async () => {
    const info = { ...LLAMA, 'llama.attention.head_count_kv': null };
    const blob = '/models/blobs/sha256-0123';
    const modelfile = `# FROM mine:latest\n\nFROM ${blob}\nTEMPLATE x\nFROM /projector\n`;
    const answers = {
      ...models({ name: 'mine:latest', context_length: 8192 }),
      'POST /api/show': shown(info, { modelfile }),
    };
    const kvHeads = { 'llama.attention.head_count_kv': [2, 4, 2, 2], 'llama.vocab_size': 32_000 };
    const metadata: GgufMetadata = new Map<string, GgufValue>(
      Object.entries({ ...LLAMA, ...kvHeads }),
    );
    const specIn = async (file: GgufMetadata | null) => {
      const modelMetadata = async (path: string) => (path === blob ? file : null);
      const io = { ...fakeEngine({ ...ANSWERS, ...answers }), modelMetadata };
      const result = await ollama.probe(io, NO_HINTS, signal);
      return result.ok ? result.facts.layout.spec : result;
    };
    expect(await specIn(metadata)).toMatchObject({
      id: 'mine:latest',
      groups: [
        { layers: 3, kvHeads: 2 },
        { layers: 1, kvHeads: 4 },
      ],
      source: blob,
    });
    expect(await specIn(null)).toBeNull();
  });

  test('with layers that slide where the architecture is known to', async () => {
    expect((await specOf(GEMMA))?.groups).toMatchObject([
      { layers: 10, keyDim: 256, windowTokens: 1024 },
      { layers: 2, keyDim: 256, windowTokens: null },
    ]);
    const unknown = { ...LLAMA, 'llama.attention.sliding_window': 1024 };
    expect((await specOf(unknown))?.groups).toMatchObject([{ layers: 4, windowTokens: null }]);
  });

  test.each([
    ['no layers', { 'llama.block_count': undefined }],
    ['layers beyond measure', { 'llama.block_count': 100_000 }],
    ['a list of KV heads that Ollama leaves out', { 'llama.attention.head_count_kv': null }],
    ['too few KV heads', { 'llama.attention.head_count_kv': [2, 2] }],
    ['KV heads that are text', { 'llama.attention.head_count_kv': ['2', 2, 2, 2] }],
    ['no context', { 'llama.context_length': 0 }],
    ['latent attention', { 'llama.attention.kv_lora_rank': 512 }],
    ['state of another kind', { 'llama.ssm.state_size': 128 }],
  ])('is not guessed with %s', async (_, change) => {
    expect(await specOf({ ...LLAMA, ...change })).toBeNull();
  });
});

describe('answers', () => {
  const chat = route('/api/chat');
  const done = { done: true, done_reason: 'stop', prompt_eval_count: 68, eval_count: 3 };

  test.each([
    [
      { message: { role: 'assistant', content: 'Hi' }, done: false },
      { outputTokens: 1, isEnd: false },
    ],
    [{ message: { role: 'assistant', thinking: 'Hm' }, done: false }, { outputTokens: 1 }],
    [{ message: { role: 'assistant', tool_calls: [{}] }, done: false }, { outputTokens: 1 }],
    [
      { response: 'Hi', done: false },
      { outputTokens: 1, isEnd: false, usage: null },
    ],
    [
      { response: '', done: false },
      { outputTokens: 0, isEnd: false },
    ],
    [
      { response: '', ...done },
      { isEnd: true, usage: { promptTokens: 68, completionTokens: 3 } },
    ],
    [{ error: 'boom' }, { isEnd: false, error: 'boom', outputTokens: 0 }],
  ])('the line %j is understood', (line, expected) => {
    expect(ollama.streamEvent(JSON.stringify(line), chat)).toMatchObject(expected);
  });

  test('tell their usage', () => {
    expect(ollama.usage(done, chat)).toEqual({
      promptTokens: 68,
      completionTokens: 3,
      cachedTokens: null,
    });
    expect(ollama.usage({ embedding: [1] }, route('/api/embeddings'))).toBeNull();
    expect(ollama.usage({ prompt_eval_count: 2 }, route('/api/embed'))).toMatchObject({
      promptTokens: 2,
    });
  });

  const STOPPED = 'model runner has unexpectedly stopped, this may be due to resource limitations';
  test.each([
    [503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}', 'busy'],
    [500, `{"error":"${STOPPED}"}`, 'dying'],
    [500, `{"error":{"message":"${STOPPED}","type":"api_error"}}`, 'dying'],
    [500, `{"error":"${STOPPED}: CUDA error: out of memory"}`, 'oom'],
    [200, `${STOPPED}: CUDA error: out of memory`, 'oom'],
    // Whatever goes wrong with an embedding is answered so.
    [400, '{"error":"do embedding request: Post \\"http://127.0.0.1:4711\\": EOF"}', 'dying'],
    [400, '{"error":"invalid option: do embedding request: x"}', 'client'],
    [400, '{"error":"the input length exceeds the context length"}', 'too-long'],
    [404, '{"error":"model \\"x\\" not found, try pulling it first"}', 'client'],
    [499, '{"error":"request canceled"}', 'client'],
    [500, '{"error":"boom"}', 'fault'],
  ] as const)('%i %s means %s', (status, body, meaning) => {
    expect(ollama.classifyError(status, body)).toBe(meaning);
  });
});

test('one token is asked of the model that describes it', async () => {
  const facts = await factsOf();
  const bodies: string[] = [];
  const answer = (value: object) => (body: string) => {
    bodies.push(body);
    return json(value);
  };
  const io = (value: object) => fakeEngine({ 'POST /api/generate': answer(value) });
  expect(await ollama.tryOneToken(io({ done: true }), facts, signal)).toBeNull();
  expect(await ollama.tryOneToken(io({ error: 'no' }), facts, signal)).toContain('no');
  expect(JSON.parse(bodies[0] ?? '')).toMatchObject({
    model: facts.modelId,
    stream: false,
    options: { num_predict: 1 },
  });
});

test('managing models is nobody else’s business', () => {
  const routes = [...ollama.generationRoutes, ...ollama.passthroughRoutes].map(({ path }) => path);
  for (const path of ['pull', 'push', 'create', 'copy', 'delete', 'blobs', 'me', 'signout']) {
    expect(routes.some((known) => known.startsWith(`/api/${path}`))).toBe(false);
  }
});
