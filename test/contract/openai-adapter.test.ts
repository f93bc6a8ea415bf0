/** What kvgate makes of a server of which only the API is known. */
import { describe, expect, test } from '@jest/globals';
import type { EngineFacts } from '../../backend-adapters/adapter.ts';
import { openai } from '../../backend-adapters/openai.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, recorded } from '../support/fake-engine-io.ts';
import { CHAT_ROUTE, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;

async function probed(models: object | null = null, hints = NO_HINTS): Promise<EngineFacts> {
  const answers = models === null ? answersOf('openai') : { 'GET /v1/models': json(models) };
  const result = await openai.probe(fakeEngine(answers), hints, signal);
  if (!result.ok) throw new Error(result.why);
  return result.facts;
}

function list(...models: readonly object[]): object {
  return { object: 'list', data: models };
}

async function parsed(body: object) {
  const request = scannedRequest(CHAT_ROUTE, { messages: MESSAGES, ...body });
  const shape = openai.parse(request, await probed());
  if ('invalid' in shape) throw new Error(shape.invalid);
  return { request, shape };
}

describe('detection', () => {
  test.each([
    ['an empty list', list()],
    ['models of somebody', list({ id: 'a', owned_by: 'somebody' })],
    ['models of nobody', list({ id: 'a' })],
  ])('takes %s', async (_, models) => {
    expect(await openai.detect(fakeEngine({ 'GET /v1/models': json(models) }), signal)).toBe(true);
  });

  test.each([
    ['of vLLM, whose metrics may only not be there yet', list({ id: 'a', owned_by: 'vllm' })],
    ['of Ollama', list({ id: 'a', owned_by: 'library' })],
    ['without ids', list({ name: 'a' })],
    ['that is no list', { data: 'a' }],
    ['that is a list alone', [{ id: 'a' }]],
  ])('leaves a listing %s', async (_, models) => {
    expect(await openai.detect(fakeEngine({ 'GET /v1/models': json(models) }), signal)).toBe(false);
  });
});

describe('facts', () => {
  test.each([
    ['max_model_len', { max_model_len: 4096 }],
    ['context_length', { context_length: 4096 }],
    ['context_window', { context_window: 4096 }],
    ['meta.n_ctx', { meta: { n_ctx: 4096 } }],
  ])('the context is taken from %s', async (_, field) => {
    expect((await probed(list({ id: 'a', ...field }))).layout).toMatchObject({
      contextTokens: 4096,
    });
  });

  test('a context that is told comes before the one of the model file', async () => {
    const modelSpec = findModel('gpt-oss-20b');
    const hints = { ...NO_HINTS, modelSpec };
    const told = recorded('openai/models-with-context.json');
    expect((await probed(JSON.parse(told.body), hints)).layout).toMatchObject({
      contextTokens: 65_536,
      spec: modelSpec,
    });
    expect((await probed(list({ id: 'a' }), hints)).layout).toMatchObject({
      contextTokens: 131_072,
    });
  });

  test('what is not known is said', async () => {
    const { warnings, layout } = await probed(list({ id: 'a' }));
    expect(layout).toMatchObject({ spec: null, contextTokens: 1_048_576 });
    const all = warnings.join('\n');
    for (const remedy of ['--max-concurrency', '--model-config', 'context length']) {
      expect(all).toContain(remedy);
    }
  });

  test('no capacity is made up', async () => {
    const result = await openai.probe(fakeEngine(answersOf('openai')), NO_HINTS, signal);
    expect(result).toMatchObject({
      ok: true,
      reading: { capacityUnits: null, maxSequences: null },
    });
  });
});

describe('limits, of which a server may obey either', () => {
  test.each([
    [{ max_tokens: 9 }, 9],
    [{ max_completion_tokens: 9 }, 9],
    [{ max_completion_tokens: 9, max_tokens: 50 }, 50],
    [{ max_completion_tokens: 50, max_tokens: 9 }, 50],
    [{ max_completion_tokens: 9, max_tokens: -1 }, null],
    [{ max_tokens: -1 }, null],
    [{}, null],
  ])('of %j %p is charged', async (body, tokens) => {
    expect((await parsed(body)).shape.requestedOutputTokens).toBe(tokens);
  });

  test.each([
    [{ max_completion_tokens: 9, max_tokens: 50 }, 20, { max_tokens: '20' }],
    [{ max_completion_tokens: 50, max_tokens: 9 }, 20, { max_completion_tokens: '20' }],
    [
      { max_completion_tokens: 50, max_tokens: 40 },
      20,
      { max_completion_tokens: '20', max_tokens: '20' },
    ],
    [{ max_completion_tokens: 9, max_tokens: -1 }, 20, { max_tokens: '20' }],
    [{ max_completion_tokens: 9, max_tokens: 8 }, 20, {}],
  ])('of %j none stays above %i', async (body, outputTokens, expected) => {
    const { request, shape } = await parsed(body);
    const { edits, changed } = openai.rewrite(request, shape, { outputTokens, sampling: {} });
    expect(Object.fromEntries(edits.map(({ key, json: text }) => [key, text]))).toEqual(expected);
    expect(changed.toSorted()).toEqual(Object.keys(expected).toSorted());
  });
});

test.each([
  [400, '{"error":{"code":"context_length_exceeded","message":"too long"}}', 'too-long'],
  [400, '{"error":{"message":"This model\'s maximum context length is 8 tokens"}}', 'too-long'],
  [422, '{"detail":"prompt is too long"}', 'too-long'],
  [400, '{"error":{"message":"bad temperature"}}', 'client'],
  [400, `{"error":{"message":"bad: ${'a'.repeat(3000)} context length"}}`, 'client'],
  [503, '{"error":"Loading model"}', 'loading'],
  [503, '{"error":"The server is overloaded"}', 'busy'],
  [500, '{"error":"boom"}', 'fault'],
] as const)('%i %s means %s', (status, body, meaning) => {
  expect(openai.classifyError(status, body)).toBe(meaning);
});
