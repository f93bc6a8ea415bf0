/** What every adapter owes to the rest of kvgate, whatever its engine. */
import { describe, expect, test } from '@jest/globals';
import { DEFAULT_FRAMING } from '../../backend-adapters/framing.ts';
import { SILENT } from '../../backend-adapters/openai-response.ts';
import { adapterNamed, adapters, detectAdapter } from '../../backend-adapters/registry.ts';
import { enginesUnderTest, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, refusedConnection, reply } from '../support/fake-engine-io.ts';
import {
  ANY_FACTS,
  CHAT,
  CHAT_ROUTE,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;

const DEAD = fakeEngine({
  'GET /health': refusedConnection(),
  'GET /version': refusedConnection(),
});

describe('the registry', () => {
  test('has every adapter once, under its name', () => {
    const names = adapters.map((adapter) => adapter.name);
    expect(names.toSorted()).toEqual(enginesUnderTest.map(({ name }) => name).toSorted());
    for (const adapter of adapters) expect(adapterNamed(adapter.name)).toBe(adapter);
    expect(adapterNamed('none')).toBeNull();
  });

  test.each(enginesUnderTest)('finds $name by its answers', async ({ adapter, answers }) => {
    expect(await detectAdapter(fakeEngine(answers), signal)).toBe(adapter);
  });

  test.each([
    ['a connection that is refused', DEAD],
    ['a server that knows none of the routes', fakeEngine({})],
    ['a server that is only well', fakeEngine({ 'GET /health': reply(200, '{"status":"ok"}') })],
  ])('finds nothing behind %s', async (_, io) => {
    expect(await detectAdapter(io, signal)).toBeNull();
  });
});

/** Wrong on every engine; with the field that the caller is told. */
const WRONG_CHATS: readonly (readonly [wrong: string, body: object, param: string])[] = [
  ['no messages', {}, 'messages'],
  ['null messages', { messages: null }, 'messages'],
  ['empty messages', { messages: [] }, 'messages'],
  ['messages that are a text', { messages: 'hello' }, 'messages'],
  ['a message that is a text', { messages: [{ role: 'user', content: 'a' }, 'b'] }, 'messages'],
  ['a limit in quotes', { messages: MESSAGES, max_tokens: '12' }, 'max_tokens'],
  ['a fractional limit', { messages: MESSAGES, max_tokens: 1.5 }, 'max_tokens'],
  ['a negative limit', { messages: MESSAGES, max_tokens: -2 }, 'max_tokens'],
  ['a limit of nothing', { messages: MESSAGES, max_tokens: 0 }, 'max_tokens'],
  ['a limit beyond 32 bits', { messages: MESSAGES, max_tokens: 2 ** 31 }, 'max_tokens'],
  ['a limit that is a list', { messages: MESSAGES, max_tokens: [5] }, 'max_tokens'],
  [
    'a wrong limit beside a right one',
    { messages: MESSAGES, max_tokens: 5, max_completion_tokens: 'x' },
    'max_completion_tokens',
  ],
  ['no samples', { messages: MESSAGES, n: 0 }, 'n'],
  ['too many samples', { messages: MESSAGES, n: 129 }, 'n'],
  ['half a sample', { messages: MESSAGES, n: 0.5 }, 'n'],
  ['a temperature too high', { messages: MESSAGES, temperature: 2.1 }, 'temperature'],
  ['a temperature below 0', { messages: MESSAGES, temperature: -0.1 }, 'temperature'],
  ['a temperature in quotes', { messages: MESSAGES, temperature: '0' }, 'temperature'],
  ['a top_p of 0', { messages: MESSAGES, top_p: 0 }, 'top_p'],
  ['a top_p above 1', { messages: MESSAGES, top_p: 1.01 }, 'top_p'],
  ['a stream that is a text', { messages: MESSAGES, stream: 'true' }, 'stream'],
  ['a model that is a number', { messages: MESSAGES, model: 20 }, 'model'],
  ['a model longer than any name', { messages: MESSAGES, model: 'm'.repeat(600) }, 'model'],
];

const WRONG_COMPLETIONS: readonly (readonly [wrong: string, body: object, param: string])[] = [
  ['no prompt', {}, 'prompt'],
  ['a null prompt', { prompt: null }, 'prompt'],
  ['a prompt that is a number', { prompt: 5 }, 'prompt'],
  ['an empty list of prompts', { prompt: [] }, 'prompt'],
  ['an object deeper in a list', { prompt: [[{ prompt_string: 'a' }]] }, 'prompt'],
  ['a list with null in it', { prompt: ['a', null] }, 'prompt'],
];

/** llama.cpp takes such a prompt for text and pictures. */
const PROMPT_OBJECTS: typeof WRONG_COMPLETIONS = [
  ['a prompt that is an object', { prompt: { prompt_string: 'a' } }, 'prompt'],
  ['a list of objects', { prompt: [{ prompt_string: 'a' }] }, 'prompt'],
];

describe.each(enginesUnderTest)('$name', (engine) => {
  const { adapter, answers, sendsDone, takesPromptObjects } = engine;
  const isOpenAi = engine.answersAsOpenAi !== false;
  const asOpenAi = isOpenAi ? describe : describe.skip;

  test('names each route once', () => {
    const generating = adapter.generationRoutes.map((route) => `POST ${route.path}`);
    const passing = adapter.passthroughRoutes.map((route) => `${route.method} ${route.path}`);
    const routes = [...generating, ...passing];
    expect(new Set(routes).size).toBe(routes.length);
    const usual = isOpenAi ? [`POST ${CHAT}`, `POST ${COMPLETION}`] : [`POST ${CHAT}`];
    expect(generating).toEqual(expect.arrayContaining(usual));
  });

  test.each(WRONG_CHATS)('refuses a chat with %s', (_, body, param) => {
    const parsed = adapter.parse(scannedRequest(CHAT, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  const wrongCompletions = [
    ...(isOpenAi ? WRONG_COMPLETIONS : []),
    ...(isOpenAi && takesPromptObjects !== true ? PROMPT_OBJECTS : []),
  ];
  const eachWrong = isOpenAi ? test.each(wrongCompletions) : test.skip.each(WRONG_COMPLETIONS);
  eachWrong('refuses a completion with %s', (_, body, param) => {
    const parsed = adapter.parse(scannedRequest(COMPLETION, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  test('reads a chat', () => {
    const body = {
      model: 'gpt-oss-20b',
      messages: MESSAGES,
      max_tokens: 100,
      temperature: 0.7,
      top_p: 0.9,
      stream: true,
      tools: [{ type: 'function', function: { name: 'f' } }],
      response_format: { type: 'json_object' },
    };
    const shape = adapter.parse(scannedRequest(CHAT, body), ANY_FACTS);
    expect(shape).toMatchObject({
      kind: 'chat',
      model: 'gpt-oss-20b',
      prompts: 1,
      samplesPerPrompt: 1,
      requestedOutputTokens: 100,
      stream: true,
      temperature: 0.7,
      topP: 0.9,
      hasTools: true,
      hasResponseFormat: true,
    });
  });

  test('takes null for absent', () => {
    const nothing = {
      model: null,
      max_tokens: null,
      temperature: null,
      top_p: null,
      stream: null,
      n: null,
      tools: null,
      response_format: null,
    };
    expect(
      adapter.parse(scannedRequest(CHAT, { messages: MESSAGES, ...nothing }), ANY_FACTS),
    ).toMatchObject({
      model: null,
      requestedOutputTokens: engine.defaultTokens ?? null,
      samplesPerPrompt: 1,
      stream: false,
      temperature: null,
      topP: null,
      hasTools: false,
      hasResponseFormat: false,
    });
  });

  test('bounds the prompt by text, tools and framing', () => {
    const promptOf = (body: object) => {
      const shape = adapter.parse(scannedRequest(CHAT, body), ANY_FACTS);
      if ('invalid' in shape) throw new Error(shape.invalid);
      return shape.promptTokens;
    };
    const plain = promptOf({ messages: MESSAGES });
    const tools = [{ type: 'function', function: { name: 'f'.repeat(1000) } }];
    expect(plain.hi).toBeGreaterThanOrEqual(
      'Say hello.'.length + DEFAULT_FRAMING.baseTokens + DEFAULT_FRAMING.perMessageTokens,
    );
    expect(plain.lo).toBeLessThanOrEqual(3);
    expect(promptOf({ messages: MESSAGES, tools }).hi).toBeGreaterThanOrEqual(plain.hi + 1000);
  });

  test('leaves a request alone that stays within the grant', () => {
    const request = scannedRequest(CHAT, { messages: MESSAGES, max_tokens: 100, top_p: 0.5 });
    const shape = adapter.parse(request, ANY_FACTS);
    if ('invalid' in shape) throw new Error(shape.invalid);
    for (const outputTokens of [null, 100, 101]) {
      const grant = { outputTokens, sampling: { topP: 0.9 } };
      expect(adapter.rewrite(request, shape, grant)).toEqual({
        edits: [],
        changed: [],
        skipped: [],
        asksForUsage: false,
      });
    }
  });

  test('writes what was granted, where it lowers what was asked or adds what was not', () => {
    const request = scannedRequest(CHAT, { messages: MESSAGES, max_tokens: 100, top_p: 0.95 });
    const shape = adapter.parse(request, ANY_FACTS);
    if ('invalid' in shape) throw new Error(shape.invalid);
    const grant = { outputTokens: 50, sampling: { temperature: 0.5, topP: 0.9 } };
    expect(adapter.rewrite(request, shape, grant)).toEqual({
      edits: [
        { key: 'max_tokens', json: '50' },
        { key: 'temperature', json: '0.5' },
        { key: 'top_p', json: '0.9' },
      ],
      changed: ['max_tokens', 'temperature', 'top_p'],
      skipped: [],
      asksForUsage: false,
    });
  });

  asOpenAi('answers', () => {
    test.each([
      ['a role', { choices: [{ delta: { role: 'assistant', content: null } }] }, 0],
      ['an empty text', { choices: [{ delta: { content: '' } }] }, 0],
      ['text', { choices: [{ delta: { content: 'Hi' } }] }, 1],
      ['reasoning', { choices: [{ delta: { reasoning_content: 'Hm' } }] }, 1],
      ['reasoning by its newer name', { choices: [{ delta: { reasoning: 'Hm' } }] }, 1],
      ['a tool call', { choices: [{ delta: { tool_calls: [{ index: 0 }] } }] }, 1],
      ['text of a completion', { choices: [{ text: 'Hi' }] }, 1],
      ['text of two choices', { choices: [{ text: 'a' }, { text: 'b' }] }, 2],
      ['no choices', { choices: [] }, 0],
    ])('counts the output of an event with %s', (_, event, outputTokens) => {
      expect(adapter.streamEvent(JSON.stringify(event), CHAT_ROUTE)).toEqual({
        ...SILENT,
        outputTokens,
      });
    });

    test('reads the usage of an answer and of a stream', () => {
      const answer = {
        choices: [{ index: 0 }],
        usage: {
          prompt_tokens: 10,
          completion_tokens: 4,
          prompt_tokens_details: { cached_tokens: 8 },
        },
      };
      const usage = { promptTokens: 10, completionTokens: 4, cachedTokens: 8 };
      expect(adapter.usage(answer, CHAT_ROUTE)).toEqual(usage);
      expect(
        adapter.streamEvent(JSON.stringify({ ...answer, choices: [] }), CHAT_ROUTE).usage,
      ).toEqual(usage);
    });

    test.each([[{}], [null], ['text'], [{ usage: null }], [{ usage: 'many' }]])(
      'finds no usage in %j',
      (answer) => {
        expect(adapter.usage(answer, CHAT_ROUTE)).toBeNull();
      },
    );

    test('takes a count that is none for unknown', () => {
      expect(
        adapter.usage({ usage: { prompt_tokens: -1, completion_tokens: '4' } }, CHAT_ROUTE),
      ).toEqual({
        promptTokens: null,
        completionTokens: null,
        cachedTokens: null,
      });
    });

    test('knows the end of a stream', () => {
      const finish = JSON.stringify({ choices: [{ delta: {}, finish_reason: 'stop' }] });
      expect(adapter.streamEvent(finish, CHAT_ROUTE).isEnd).toBe(!sendsDone);
      expect(adapter.streamEvent('[DONE]', CHAT_ROUTE).isEnd).toBe(true);
    });
  });

  test.each([
    ['not JSON', 'nonsense'],
    ['a number', '5'],
    ['half an event', '{"choices":[{"delta":{"content":"H'],
    ['an event beyond any size', JSON.stringify({ choices: [{ text: 'a'.repeat(2 ** 20) }] })],
  ])('makes nothing of %s', (_, data) => {
    expect(adapter.streamEvent(data, CHAT_ROUTE)).toEqual(SILENT);
  });

  test.each([
    ['an object', '{"error":{"message":"engine failed","code":500}}', 'engine failed'],
    ['a text', '{"error":"engine failed"}', 'engine failed'],
    ['broken JSON', '{"error": "bad "quote""}', '{"error": "bad "quote""}'],
  ])('reports an error inside the stream that is %s', (_, data, error) => {
    expect(adapter.streamEvent(data, CHAT_ROUTE)).toMatchObject({
      outputTokens: 0,
      isEnd: false,
      error,
    });
  });

  test.each([
    [400, '{"error":{"message":"bad"}}', 'client'],
    [404, '', 'client'],
    [422, '{"detail":"Unexpected fields"}', 'client'],
    [501, '', 'client'],
    [429, '', 'busy'],
    [500, 'Internal Server Error', engine.bareFailure ?? 'fault'],
    [502, '', 'fault'],
    [500, '{"error":{"message":"CUDA out of memory. Tried to allocate 2.00 GiB."}}', 'oom'],
    [500, 'torch.OutOfMemoryError: Tried to allocate', 'oom'],
    [200, 'CUDA error: out of memory', 'oom'],
    [400, 'a prompt about "CUDA out of memory"', 'client'],
  ])('classifies %i %s', (status, body, expected) => {
    expect(adapter.classifyError(status, body)).toBe(expected);
  });

  test('describes itself when probed, and reads its state again', async () => {
    const io = fakeEngine(answers);
    const result = await adapter.probe(io, NO_HINTS, signal);
    if (!result.ok) throw new Error(result.why);
    expect(result.facts.modelId).toContain('gpt-oss-20b');
    expect(result.facts.layout.spec?.id).toBe('gpt-oss-20b');
    expect(await adapter.read(io, result.facts, signal)).toEqual(result.reading);
  });

  test('is unreachable when nothing answers, and then a read is a fault', async () => {
    const result = await adapter.probe(fakeEngine(answers), NO_HINTS, signal);
    if (!result.ok) throw new Error(result.why);
    const refusing = fakeEngine(
      Object.fromEntries(Object.keys(answers).map((route) => [route, refusedConnection()])),
    );
    expect(await adapter.probe(refusing, NO_HINTS, signal)).toEqual({
      ok: false,
      state: 'unreachable',
      why: 'connect ECONNREFUSED',
    });
    await expect(adapter.read(refusing, result.facts, signal)).rejects.toThrow('ECONNREFUSED');
    await expect(adapter.read(fakeEngine({}), result.facts, signal)).rejects.toMatchObject({
      code: 'engine_bad_answer',
    });
  });

  test('is unreachable when something else answers', async () => {
    const html = reply(200, '<html></html>');
    const something = fakeEngine({
      'GET /health': html,
      'GET /props': html,
      'GET /metrics': html,
      'GET /v1/models': html,
    });
    const result = await adapter.probe(something, NO_HINTS, signal);
    expect(result).toMatchObject({ ok: false });
    expect(await adapter.detect(something, signal)).toBe(false);
  });
});
