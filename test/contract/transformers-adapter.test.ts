/** What is particular about `transformers serve`, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import { DEFAULT_FRAMING } from '../../backend-adapters/framing.ts';
import { transformers } from '../../backend-adapters/transformers.ts';
import { findModel } from '../../proxy/memory/catalog.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import { CHAT, COMPLETION, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const HEALTHY = answersOf('transformers');
const CACHE = { ...HEALTHY, 'GET /v1/models': recorded('transformers/models-of-the-cache.json') };

function parsed(body: object) {
  const request = scannedRequest(CHAT, { messages: MESSAGES, ...body });
  const shape = transformers.parse(request, DEFAULT_FRAMING);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return { request, shape };
}

describe('requests', () => {
  test.each([
    [{ max_tokens: 7, max_completion_tokens: 5 }, 7],
    [{ max_completion_tokens: 5 }, 5],
    [{ max_tokens: null, max_completion_tokens: 5 }, 5],
    [{}, null],
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

  test('n has no effect', () => {
    expect(parsed({ n: 4 }).shape.samplesPerPrompt).toBe(1);
  });

  test('generation_config would replace every limit, so it is refused', () => {
    const body = { messages: MESSAGES, max_tokens: 5, generation_config: '{}' };
    expect(transformers.parse(scannedRequest(CHAT, body), DEFAULT_FRAMING)).toMatchObject({
      param: 'generation_config',
    });
  });

  test('a prompt is one string', () => {
    const request = scannedRequest(COMPLETION, { prompt: ['a'] });
    expect(transformers.parse(request, DEFAULT_FRAMING)).toEqual({
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
  expect(transformers.streamEvent(JSON.stringify(chunk))).toEqual({
    outputTokens: 0,
    usage: { promptTokens: 68, completionTokens: 16, cachedTokens: null },
    isEnd: true,
    error: null,
  });
});
