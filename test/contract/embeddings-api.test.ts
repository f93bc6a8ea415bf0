/** Embeddings, and pairs that are compared: sequences without output. */
import { describe, expect, test } from '@jest/globals';
import { rewritten, routesOfKind, shapeOf } from '../support/engine-routes.ts';
import { ANY_FACTS, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const NO_OUTPUT = {
  kind: 'embedding',
  samplesPerPrompt: 1,
  requestedOutputTokens: 0,
  stream: false,
  temperature: null,
  topP: null,
  reasoningEffort: null,
  hasTools: false,
  hasResponseFormat: false,
};
const { framing } = ANY_FACTS;

describe.each(routesOfKind('embedding'))('$name $path', (engine) => {
  const { adapter, route } = engine;

  test.each([
    ['no input', {}, 'input'],
    ['a null input', { input: null }, 'input'],
    ['an empty list', { input: [] }, 'input'],
    ['an input that is a number', { input: 5 }, 'input'],
    ['a list of booleans', { input: [true] }, 'input'],
    ['a list with null in it', { input: ['a', null] }, 'input'],
    ['a model that is a number', { input: 'a', model: 5 }, 'model'],
  ])('refuses a body with %s', (_, body, param) => {
    const parsed = adapter.parse(scannedRequest(route, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  test.each([
    ['a text', { input: 'Hello.' }, 1, 6 + 2],
    ['texts', { input: ['Hello.', 'World'] }, 2, 11 + 4],
    ['token ids', { input: [1, 2, 3] }, 1, 3],
    ['lists of token ids', { input: [[1, 2, 3], [4]] }, 2, 4],
  ])('reads %s', (_, body, prompts, hi) => {
    const shape = shapeOf(engine, { model: 'm', ...body, stream: true, max_tokens: 9 });
    expect(shape).toMatchObject({ ...NO_OUTPUT, model: 'm', prompts });
    expect(shape.promptTokens.hi).toBe(hi);
  });

  test('is never changed: there is no output to limit', () => {
    const body = '{"input":"Hello.", "temperature":2, "max_tokens":9 }';
    for (const outputTokens of [null, 0, 5]) {
      const sent = rewritten(engine, body, outputTokens, { temperature: 0, topP: 0.9 });
      expect(sent).toEqual({ text: body, changed: [], asksForUsage: false });
    }
  });

  test('tells the prompt alone', () => {
    const answer = { object: 'list', data: [], usage: { prompt_tokens: 8, total_tokens: 8 } };
    expect(adapter.usage(answer, route)).toEqual({
      promptTokens: 8,
      completionTokens: null,
      cachedTokens: null,
    });
  });
});

describe.each(routesOfKind('embedding').filter(({ name }) => name === 'vllm'))(
  '$name $path',
  (engine) => {
    const { adapter, route } = engine;

    test('reads a chat like one', () => {
      const shape = shapeOf(engine, { messages: MESSAGES });
      expect(shape).toMatchObject({ ...NO_OUTPUT, prompts: 1 });
      expect(shape.promptTokens.hi).toBeGreaterThanOrEqual(
        'Say hello.'.length + framing.baseTokens + framing.perMessageTokens,
      );
    });

    test.each([
      ['messages', { input: 'a', messages: MESSAGES }],
      ['padding', { input: 'a', padding: 'max_length' }],
      ['input', { data: { anything: 'a plugin takes' } }],
    ])('refuses what has a size that can not be told: %s', (param, body) => {
      const parsed = adapter.parse(scannedRequest(route, body), ANY_FACTS);
      expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
    });
  },
);

const PAIR = 128 + 2 * 16;

describe.each(routesOfKind('ranking'))('$name $path', (engine) => {
  const { adapter, route } = engine;

  test.each([
    ['nothing', {}],
    ['no documents', { query: 'a' }],
    ['null documents', { query: 'a', documents: null }],
    ['no query', { documents: ['a'] }],
    ['an empty list', { query: 'a', documents: [] }],
    ['a query that is a number', { query: 5, documents: ['a'] }],
    ['a wrong model', { query: 'a', documents: ['b'], model: 5 }],
  ])('refuses a body with %s', (_, body) => {
    const parsed = adapter.parse(scannedRequest(route, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.any(String), param: expect.any(String) });
  });

  test('counts the query with each document', () => {
    const query = 'q'.repeat(1000);
    const documents = ['a'.repeat(10), 'b'.repeat(20), 'c'.repeat(30)];
    const shape = shapeOf(engine, { model: 'm', query, documents, top_n: 1 });
    expect(shape).toMatchObject({ ...NO_OUTPUT, model: 'm', prompts: 3 });
    const { lo, hi } = shape.promptTokens;
    const texts = 3 * (1000 + 2) + JSON.stringify(documents).length;
    expect(hi).toBe(texts + 3 * PAIR);
    expect(lo).toBe(1);
  });

  test('is never changed', () => {
    const body = '{"query":"a", "documents":["b"], "max_tokens":9 }';
    expect(rewritten(engine, body, 0, { temperature: 0 })).toEqual({
      text: body,
      changed: [],
      asksForUsage: false,
    });
  });
});

describe.each(routesOfKind('ranking').filter(({ name }) => name === 'vllm'))(
  '$name $path',
  (engine) => {
    test.each([
      ['one with one', { text_1: 'a', text_2: 'b' }, 1],
      ['one with several', { text_1: 'a', text_2: ['b', 'c'] }, 2],
      ['several with as many', { queries: ['a', 'b'], documents: ['c', 'd'] }, 2],
      ['one with items', { queries: 'a', items: ['c', 'd', 'e'] }, 3],
      ['data', { data_1: ['a'], data_2: ['b', 'c'] }, 2],
    ])('compares %s', (_, body, prompts) => {
      expect(shapeOf(engine, body)).toMatchObject({ ...NO_OUTPUT, prompts });
    });

    test('counts what a template prints, for each pair', () => {
      const hiOf = (body: object) => shapeOf(engine, body).promptTokens.hi;
      const pairs = { text_1: 'a', text_2: ['b', 'c'] };
      const instruction = 'i'.repeat(98);
      expect(hiOf({ ...pairs, instruction }) - hiOf(pairs)).toBe(2 * 100);
    });

    test.each([
      ['documents', { text_1: 'a', text_2: 'b', queries: 'a', documents: ['b'] }],
      ['queries', { queries: ['a', 'b'], documents: ['c', 'd', 'e'] }],
    ])('refuses pairs that can not be told: %s', (_, body) => {
      const parsed = engine.adapter.parse(scannedRequest(engine.route, body), ANY_FACTS);
      expect(parsed).toMatchObject({ invalid: expect.any(String), param: expect.any(String) });
    });
  },
);
