/** What is particular about gpt-oss-hf-server, on answers as it gives them. */
import { describe, expect, test } from '@jest/globals';
import type { EngineFacts } from '../../backend-adapters/adapter.ts';
import { gptOssHf } from '../../backend-adapters/gpt-oss-hf.ts';
import { chargeOf } from '../../proxy/memory/charge.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, recorded } from '../support/fake-engine-io.ts';
import { CHAT, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const ROUTE = { path: CHAT, kind: 'chat', api: 'gpt-oss-hf' } as const;

async function probedFacts(hints = NO_HINTS): Promise<EngineFacts> {
  const result = await gptOssHf.probe(fakeEngine(answersOf('gpt-oss-hf')), hints, signal);
  if (!result.ok) throw new Error(result.why);
  return result.facts;
}

async function parsed(body: object): Promise<RequestShape> {
  const request = scannedRequest(ROUTE, { messages: MESSAGES, ...body });
  const shape = gptOssHf.parse(request, await probedFacts());
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

async function rewritten(body: object, outputTokens: number | null, sampling = {}) {
  const request = scannedRequest(ROUTE, { messages: MESSAGES, ...body });
  return gptOssHf.rewrite(request, await parsed(body), { outputTokens, sampling });
}

describe('limits', () => {
  test.each([
    [{}, 100],
    [{ max_tokens: null }, 100],
    [{ max_tokens: 7, max_completion_tokens: 5 }, 7],
    [{ max_completion_tokens: 500 }, 500],
  ])('of %j %i tokens are meant', async (body, tokens) => {
    expect((await parsed(body)).requestedOutputTokens).toBe(tokens);
  });

  test('an explicit null, which ends in a fault there, becomes the default', async () => {
    expect(await rewritten({ max_tokens: null }, null)).toMatchObject({
      edits: [{ key: 'max_tokens', json: '100' }],
      changed: ['max_tokens'],
    });
    expect((await rewritten({ max_tokens: null }, 60)).edits).toEqual([
      { key: 'max_tokens', json: '60' },
    ]);
    expect((await rewritten({}, null)).edits).toEqual([]);
  });

  test('one that it ignores is written where it obeys', async () => {
    expect((await rewritten({ max_completion_tokens: 500 }, null)).edits).toEqual([
      { key: 'max_tokens', json: '500' },
    ]);
  });
});

describe('a greedy stream, which fails there', () => {
  test('is refused where it is asked for', async () => {
    const request = scannedRequest(ROUTE, { messages: MESSAGES, stream: true, temperature: 0 });
    expect(gptOssHf.parse(request, await probedFacts())).toMatchObject({ param: 'temperature' });
    expect((await parsed({ temperature: 0 })).temperature).toBe(0);
  });

  test('is never made of another one, and that is told', async () => {
    const sampling = { temperature: 0, topP: 0.5 };
    expect(await rewritten({ stream: true }, null, sampling)).toMatchObject({
      changed: ['top_p'],
      skipped: ['temperature'],
    });
    expect(await rewritten({}, null, sampling)).toMatchObject({
      changed: ['temperature', 'top_p'],
      skipped: [],
    });
    expect(await rewritten({ stream: true }, null, { temperature: 0.5 })).toMatchObject({
      changed: ['temperature'],
      skipped: [],
    });
  });
});

describe('prompts', () => {
  const long = 'word '.repeat(20_000);
  const user = (content: string) => ({ role: 'user', content });
  const system = (content: string) => ({ role: 'system', content });

  test('are bounded by 4096 tokens, whatever is sent', async () => {
    const { promptTokens } = await parsed({ messages: [user(long), user(long)] });
    expect(promptTokens).toMatchObject({ lo: 1, hi: 4096 });
  });

  test('but for a system message at the beginning, which is kept whole', async () => {
    const { promptTokens } = await parsed({ messages: [system(long), user(long)] });
    expect(promptTokens.hi).toBeGreaterThanOrEqual(long.length);
    expect(promptTokens.hi).toBeLessThan(long.length + 4096);
  });

  test('with braces and quotes in the first message are measured alike', async () => {
    const tricky = `{"a": "\\"}"} ${'x'.repeat(9_000)}`;
    const { promptTokens } = await parsed({ messages: [system(tricky), user(long)] });
    expect(promptTokens.hi).toBeGreaterThanOrEqual(tricky.length);
    const small = await parsed({ messages: [system('be brief }'), user(long)] });
    expect(small.promptTokens.hi).toBe(4096);
  });

  test('that are short keep their own bound', async () => {
    const { promptTokens } = await parsed({ messages: [user('hi')] });
    expect(promptTokens.hi).toBeLessThan(300);
  });
});

describe('answers', () => {
  const answer = (content: string, promptTokens: number) => ({
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: promptTokens, completion_tokens: 2, total_tokens: promptTokens - 2 },
  });

  test('an empty one that saw no prompt is a failure, an empty one that did is none', () => {
    const failed = { ...answer('', 0), usage: { prompt_tokens: 0, total_tokens: 0 } };
    expect(gptOssHf.hiddenFailure?.(failed, ROUTE)).toBe('oom');
    expect(gptOssHf.hiddenFailure?.(answer('', 90), ROUTE)).toBeNull();
    expect(gptOssHf.hiddenFailure?.(answer('Hi', 90), ROUTE)).toBeNull();
    expect(gptOssHf.hiddenFailure?.({ detail: 'no' }, ROUTE)).toBeNull();
  });

  test('words are not taken for tokens', () => {
    expect(gptOssHf.usage(answer('Hello there!', 90), ROUTE)).toEqual({
      promptTokens: 88,
      completionTokens: null,
      cachedTokens: null,
    });
  });

  test.each([
    [
      { type: 'start', request_id: 'a', model: 'm' },
      { outputTokens: 0, isEnd: false, error: null },
    ],
    [
      { type: 'token', content: 'Hi' },
      { outputTokens: 1, isEnd: false, error: null },
    ],
    [
      { type: 'token', content: '' },
      { outputTokens: 1, isEnd: false, error: null },
    ],
    [
      { type: 'done', request_id: 'a' },
      { outputTokens: 0, isEnd: true, error: null },
    ],
    [
      { type: 'error', error: 'boom' },
      { outputTokens: 0, isEnd: false, error: 'boom' },
    ],
    [{ error: 'Model not loaded' }, { outputTokens: 0, isEnd: false, error: 'Model not loaded' }],
    [{ type: 'cancelled' }, { isEnd: false, error: 'the server cancelled it' }],
  ])('the event %j is understood', (event, expected) => {
    expect(gptOssHf.streamEvent(JSON.stringify(event), ROUTE)).toMatchObject(expected);
  });

  test.each([
    ['Server overloaded. Please retry later.', 'busy'],
    ['Request rejected: memory. Please reduce input size or retry later.', 'busy'],
    ['Model not loaded. Server is not ready.', 'loading'],
    ['something else', 'fault'],
  ])('503 "%s" means %s', (detail, meaning) => {
    expect(gptOssHf.classifyError(503, JSON.stringify({ detail }))).toBe(meaning);
  });
});

describe('its state', () => {
  test('tells who runs, and that ten may', async () => {
    const health = JSON.parse(recorded('gpt-oss-hf/health.json').body);
    health.stats.active_requests = 3;
    const io = fakeEngine({ 'GET /health': json(health) });
    expect(await gptOssHf.read(io, await probedFacts(), signal)).toMatchObject({
      runningSequences: 3,
      maxSequences: 10,
    });
  });

  test('without a model it is unusable, however healthy it says it is', async () => {
    const io = fakeEngine({ 'GET /health': recorded('gpt-oss-hf/health-no-model.json') });
    expect(await gptOssHf.detect(io, signal)).toBe(true);
    expect(await gptOssHf.probe(io, NO_HINTS, signal)).toMatchObject({ state: 'unusable' });
  });

  test("kvgate's own /health is not taken for one", async () => {
    const own = {
      status: 'ok',
      version: '1.0.0',
      dtype: null,
      model: { model_id: 'a' },
      backends: [],
    };
    expect(await gptOssHf.detect(fakeEngine({ 'GET /health': json(own) }), signal)).toBe(false);
  });

  test("a stream's prefill holds the logits of the whole prompt", async () => {
    const { layout } = await probedFacts();
    if (layout.model !== 'dynamic') throw new Error('not dynamic');
    const { prefillLogits: _, ...usual } = layout;
    const logits = 4096 * 201_088 * 2;
    const whole = chargeOf(layout, 4096, 1, 1, 1).peakUnits;
    expect(whole).toBeGreaterThan(logits);
    expect(whole).toBeGreaterThan(chargeOf(usual, 4096, 1, 1, 1).peakUnits);
  });

  test('one token proves that it works, an empty success does not', async () => {
    const facts = await probedFacts();
    const engine = (content: string, tokens: number) =>
      fakeEngine({
        [`POST ${CHAT}`]: json({
          choices: [{ message: { role: 'assistant', content }, finish_reason: 'stop' }],
          usage: { prompt_tokens: tokens, total_tokens: tokens },
        }),
      });
    expect(await gptOssHf.tryOneToken(engine('', 80), facts, signal)).toBeNull();
    expect(await gptOssHf.tryOneToken(engine('', 0), facts, signal)).toContain('200');
  });
});
