/** What is particular about `transformers serve`, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import { transformers } from '../../backend-adapters/transformers.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import {
  ANY_FACTS,
  CHAT,
  CHAT_ROUTE,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const HEALTHY = answersOf('transformers');
const CACHE = { ...HEALTHY, 'GET /v1/models': recorded('transformers/models-of-the-cache.json') };

function parsed(body: object) {
  const request = scannedRequest(CHAT, { messages: MESSAGES, ...body });
  const shape = transformers.parse(request, ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return { request, shape };
}

describe('requests', () => {
  test.each([
    [{ max_tokens: 7, max_completion_tokens: 5 }, 7],
    [{ max_completion_tokens: 5 }, 5],
    [{ max_tokens: null, max_completion_tokens: 5 }, 5],
    [{}, 1024],
  ])('of %j %p is meant', (limits, requestedOutputTokens) => {
    expect(parsed(limits).shape.requestedOutputTokens).toBe(requestedOutputTokens);
  });

  test('a limit that the engine ignores is written where it obeys', () => {
    const { request, shape } = parsed({ max_completion_tokens: 5 });
    for (const outputTokens of [null, 5]) {
      expect(transformers.rewrite(request, shape, { outputTokens, sampling: {} }).edits).toEqual([
        { key: 'max_tokens', json: '5' },
      ]);
    }
  });

  test.each([
    [CHAT, { messages: MESSAGES }, 'max_tokens'],
    [COMPLETION, { prompt: 'a' }, 'max_tokens'],
    ['/v1/responses', { input: 'a' }, 'max_output_tokens'],
  ])(
    '%s without a limit gets the usual one: the model may have a larger one of its own',
    (path, body, key) => {
      const request = scannedRequest(path, body);
      const shape = transformers.parse(request, ANY_FACTS);
      if ('invalid' in shape) throw new Error(shape.invalid);
      expect(shape.requestedOutputTokens).toBe(1024);
      const granted = (outputTokens: number | null) =>
        transformers.rewrite(request, shape, { outputTokens, sampling: {} }).edits;
      expect(granted(null)).toEqual([{ key, json: '1024' }]);
      expect(granted(100)).toEqual([{ key, json: '100' }]);
    },
  );

  test.each([
    ['an empty prompt', { prompt: '' }, 'prompt'],
    ['a seed that is none', { prompt: 'a', seed: 1.5 }, 'seed'],
    ['a seed in quotes', { prompt: 'a', seed: '1' }, 'seed'],
    ['a seed beyond 64 bits', '{"prompt":"a","seed":18446744073709551616}', 'seed'],
  ])('%s would be a 500, so it is refused', (_, body, param) => {
    const request = scannedRequest(COMPLETION, body);
    expect(transformers.parse(request, ANY_FACTS)).toMatchObject({ param });
  });

  test('a seed of 64 bits is taken', () => {
    const request = scannedRequest(COMPLETION, '{"prompt":"a","seed":18446744073709551615}');
    expect(transformers.parse(request, ANY_FACTS)).not.toHaveProperty('invalid');
  });

  /** Members of the engine's own lists of what it takes; any other is a 422. */
  test('nothing is ever written that the engine would refuse', () => {
    const sampling = { temperature: 0, topP: 0.5 };
    for (const [path, body, taken] of [
      [CHAT, { messages: MESSAGES, stream: true }, ['max_tokens', 'temperature', 'top_p']],
      [COMPLETION, { prompt: 'a', stream: true }, ['max_tokens', 'temperature', 'top_p']],
      ['/v1/responses', { input: 'a' }, ['max_output_tokens', 'temperature', 'top_p']],
    ] as const) {
      const request = scannedRequest(path, body);
      const shape = transformers.parse(request, ANY_FACTS);
      if ('invalid' in shape) throw new Error(shape.invalid);
      const { changed } = transformers.rewrite(request, shape, { outputTokens: 5, sampling });
      expect(changed).toEqual(taken);
    }
  });

  test('n has no effect', () => {
    expect(parsed({ n: 4 }).shape.samplesPerPrompt).toBe(1);
  });

  test('generation_config would replace every limit, so it is refused', () => {
    const body = { messages: MESSAGES, max_tokens: 5, generation_config: '{}' };
    expect(transformers.parse(scannedRequest(CHAT, body), ANY_FACTS)).toMatchObject({
      param: 'generation_config',
    });
  });

  test('a prompt is one string', () => {
    const request = scannedRequest(COMPLETION, { prompt: ['a'] });
    expect(transformers.parse(request, ANY_FACTS)).toEqual({
      invalid: 'prompt must be a string',
      param: 'prompt',
    });
  });

  test('has no counter', async () => {
    const io = fakeEngine(HEALTHY);
    expect(await transformers.countTokens(io, parsed({}).request, signal)).toBeNull();
    expect(io.asked).toEqual([]);
  });
});

describe('detection', () => {
  test.each([
    ['vLLM', 'vllm/models.json'],
    ['llama.cpp', 'llamacpp/models.json'],
  ])('does not take the models of %s for its own', async (_, file) => {
    const io = fakeEngine({ ...HEALTHY, 'GET /v1/models': recorded(file) });
    expect(await transformers.detect(io, signal)).toBe(false);
  });

  test('does not take a server without request ids for it', async () => {
    const io = fakeEngine({ ...HEALTHY, 'GET /health': json({ status: 'ok' }) });
    expect(await transformers.detect(io, signal)).toBe(false);
  });
});

test('without a cache of models its list is a 500: then its routes tell', async () => {
  const listing = { 'GET /v1/models': reply(500, 'Internal Server Error') };
  const paths = { '/v1/chat/completions': {}, '/load_model': {}, '/reset': {} };
  const routes = { 'GET /openapi.json': json({ openapi: '3.1.0', paths }) };
  const others = { 'GET /openapi.json': json({ paths: { '/v1/chat/completions': {} } }) };
  const found = (answers: object) =>
    transformers.detect(fakeEngine({ ...HEALTHY, ...listing, ...answers }), signal);
  expect(await found(routes)).toBe(true);
  expect(await found(others)).toBe(false);
  expect(await found({})).toBe(false);
});

describe('probe', () => {
  test('tells its layout and nothing of its work', async () => {
    const io = fakeEngine(HEALTHY);
    const result = await transformers.probe(io, { ...NO_HINTS, attention: 'eager' }, signal);
    expect(result).toMatchObject({
      ok: true,
      facts: {
        layout: { model: 'dynamic', kvBytesPerElement: 2, attention: 'eager' },
        modelId: 'openai/gpt-oss-20b',
      },
      reading: { state: 'ready', capacityUnits: null, usedUnits: null, runningSequences: null },
    });
  });

  test('a list of several models does not say which one is served', async () => {
    expect(await transformers.probe(fakeEngine(CACHE), NO_HINTS, signal)).toMatchObject({
      state: 'unusable',
      why: expect.stringContaining('--model-config'),
    });
  });

  test.each([
    [['transformers', 'serve', 'openai/gpt-oss-120b', '--port', '8000'], 'gpt-oss-120b'],
    [['transformers', 'serve', '--port', '8000'], null],
  ])('of several, %j serves %p', async (commandLine, model) => {
    const result = await transformers.probe(fakeEngine(CACHE, commandLine), NO_HINTS, signal);
    expect(result.ok ? result.facts.layout.spec?.id : null).toBe(model);
  });

  test("the operator's geometry makes any model usable", async () => {
    const hints = { ...NO_HINTS, modelSpec: findModel('gpt-oss-120b') };
    const result = await transformers.probe(fakeEngine(CACHE), hints, signal);
    expect(result).toMatchObject({ ok: true, facts: { modelId: 'gpt-oss-120b' } });
  });

  test.each([
    [['transformers', 'serve', 'openai/gpt-oss-20b'], []],
    [['transformers', 'serve', '--port', '8000'], [expect.stringContaining('no model is pinned')]],
    [null, [expect.stringContaining("can't be seen")]],
  ])('with the command line %j it warns of %j', async (commandLine, warnings) => {
    const result = await transformers.probe(fakeEngine(HEALTHY, commandLine), NO_HINTS, signal);
    expect(result).toMatchObject({ ok: true, facts: { warnings } });
  });

  test('a fixed pool that no endpoint describes is unusable', async () => {
    const io = fakeEngine(HEALTHY, ['transformers', 'serve', 'm', '--continuous-batching']);
    expect(await transformers.probe(io, NO_HINTS, signal)).toMatchObject({
      state: 'unusable',
      why: expect.stringContaining('--continuous-batching'),
    });
  });

  test('a dead worker is unreachable', async () => {
    const io = fakeEngine({
      'GET /health': reply(503, '{"status":"unhealthy","reason":"cb_worker_dead"}'),
    });
    expect(await transformers.probe(io, NO_HINTS, signal)).toMatchObject({ state: 'unreachable' });
  });
});

test('the finish chunk ends the stream and carries its usage', () => {
  const chunk = {
    choices: [{ index: 0, delta: {}, finish_reason: 'length' }],
    usage: { prompt_tokens: 68, completion_tokens: 16, total_tokens: 84 },
  };
  expect(transformers.streamEvent(JSON.stringify(chunk), CHAT_ROUTE)).toEqual({
    outputTokens: 0,
    usage: { promptTokens: 68, completionTokens: 16, cachedTokens: null },
    isEnd: true,
    error: null,
    isUsageOnly: false,
  });
});

test.each([
  // Any exception, an out-of-memory error among them: one token has to prove that it works.
  [500, 'Internal Server Error', 'oom'],
  [500, 'Internal Server Error from a proxy in between', 'fault'],
  [502, 'Internal Server Error', 'oom'],
  [422, `{"detail":"Unexpected fields in the request: {'zzz'}"}`, 'client'],
  [400, '{"detail":"Server is pinned to \'m\'; requested \'nope\'."}', 'client'],
  [503, '{"error":"CB worker is dead and cannot accept request r: out of blocks"}', 'dying'],
  // In a stream: the text of the exception.
  [200, 'CUDA out of memory. Tried to allocate 2.00 GiB.', 'oom'],
  [200, 'CUDA error: device-side assert triggered', 'dying'],
  [200, 'max_new_tokens must be greater than 0, but is 0.', 'fault'],
  [200, 'Internal Server Error', 'fault'],
])('classifies %i %s', (status, body, expected) => {
  expect(transformers.classifyError(status, body)).toBe(expected);
});

describe('the proof of one token', () => {
  const works = json({ choices: [{ index: 0, finish_reason: 'length', message: {} }] });
  const facts = { ...ANY_FACTS, modelId: 'gpt-oss-20b' };
  const proofOf = (answer: (body: { model?: string }) => ReturnType<typeof json>) =>
    transformers.tryOneToken(
      fakeEngine({ [`POST ${CHAT}`]: (body) => answer(JSON.parse(body)) }),
      facts,
      signal,
    );

  test('names no model, which a pinned server likes best', async () => {
    expect(
      await proofOf(({ model }) => (model === undefined ? works : reply(400, '{}'))),
    ).toBeNull();
  });

  test('names one where the server has to be told', async () => {
    const wants = ({ model }: { model?: string }) =>
      model === 'gpt-oss-20b' ? works : reply(500, 'Internal Server Error');
    expect(await proofOf(wants)).toBeNull();
  });

  test('tells why there is none', async () => {
    expect(await proofOf(() => reply(500, 'Internal Server Error'))).toContain('500');
  });
});
