/** text-generation-inference: what its answers mean, and what is written into its bodies. */
import { describe, expect, test } from '@jest/globals';
import type { EngineFacts, GenerationRoute } from '../../backend-adapters/adapter.ts';
import { tgi } from '../../backend-adapters/tgi.ts';
import { splice } from '../../proxy/json/splice.ts';
import { UNKNOWN_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { RequestShape } from '../../proxy/policy/types.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, json, recorded, reply } from '../support/fake-engine-io.ts';
import {
  ANY_FACTS,
  CHAT_ROUTE,
  COMPLETION,
  MESSAGES,
  scannedRequest,
} from '../support/scanned-request.ts';

const signal = new AbortController().signal;
const ANSWERS = answersOf('tgi');

function native(path: string): GenerationRoute {
  return { path, kind: 'native-text', api: 'tgi' };
}
const GENERATE = native('/generate');

const SEES_IMAGES: EngineFacts = { ...ANY_FACTS, media: { ...UNKNOWN_MEDIA, image: 3000 } };
const TEXT_ONLY: EngineFacts = { ...ANY_FACTS, media: { ...UNKNOWN_MEDIA, image: 'none' } };

function parsed(body: object | string, route = GENERATE, facts = TEXT_ONLY): RequestShape {
  const shape = tgi.parse(scannedRequest(route, body), facts);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

describe('probe', () => {
  test('tells the pool in tokens, and what is taken ahead', async () => {
    const result = await tgi.probe(fakeEngine(ANSWERS), NO_HINTS, signal);
    if (!result.ok) throw new Error(result.why);
    expect(result.facts).toMatchObject({
      layout: {
        model: 'paged',
        blockTokens: 1,
        contextTokens: 8192,
        tensorParallel: 1,
        drafting: null,
        tokenPool: { slidingShare: null, outputChunkTokens: 1024 },
      },
      version: '3.3.7-dev0',
      ranks: 1,
      media: { image: 'none', audio: 'none' },
    });
    expect(result.reading).toMatchObject({
      capacityUnits: 203_104,
      usedUnits: 4620,
      runningSequences: 3,
      waitingSequences: 2,
      maxSequences: 128,
      preemptions: null,
    });
  });

  test('reads flags where it runs on this host', async () => {
    const args = ['--num-shard', '4', '--speculate=3', '--kv-cache-dtype', 'fp8_e5m2'];
    const result = await tgi.probe(fakeEngine(ANSWERS, args), NO_HINTS, signal);
    if (!result.ok) throw new Error(result.why);
    expect(result.facts.layout).toMatchObject({
      kvBytesPerElement: 1,
      tensorParallel: 4,
      drafting: { lookaheadTokens: 3 },
    });
  });

  test('before its first request nothing is in use; after it, a missing gauge is unknown', async () => {
    const fresh = recorded('tgi/metrics-before-first-request.txt');
    const before = await tgi.probe(
      fakeEngine({ ...ANSWERS, 'GET /metrics': fresh }),
      NO_HINTS,
      signal,
    );
    expect(before).toMatchObject({
      ok: true,
      reading: { capacityUnits: 203_104, usedUnits: 0, runningSequences: 0, waitingSequences: 0 },
    });
    const metrics = reply(200, `${fresh.body}tgi_request_count 5\n`);
    const after = await tgi.probe(
      fakeEngine({ ...ANSWERS, 'GET /metrics': metrics }),
      NO_HINTS,
      signal,
    );
    expect(after).toMatchObject({
      reading: { usedUnits: null, runningSequences: null, waitingSequences: null },
      facts: { warnings: expect.arrayContaining([expect.stringContaining('current_max_tokens')]) },
    });
  });

  test.each(['tgi_batch_max_total_tokens NaN', 'tgi_batch_max_total_tokens -1', ''])(
    'a pool of "%s" is unknown',
    async (line) => {
      const io = fakeEngine({ ...ANSWERS, 'GET /metrics': reply(200, line) });
      expect(await tgi.probe(io, NO_HINTS, signal)).toMatchObject({
        reading: { capacityUnits: null, usedUnits: null },
      });
    },
  );

  test('is unreachable while its shards do not answer, unusable without its limit', async () => {
    const sick = reply(503, '{"error":"unhealthy","error_type":"healthcheck"}');
    const io = fakeEngine({ ...ANSWERS, 'GET /health': sick });
    expect(await tgi.probe(io, NO_HINTS, signal)).toMatchObject({ state: 'unreachable' });
    const bare = fakeEngine({ ...ANSWERS, 'GET /info': json({ model_id: 'm' }) });
    expect(await tgi.probe(bare, NO_HINTS, signal)).toMatchObject({ state: 'unusable' });
    // The embeddings server describes itself there as well.
    expect(await tgi.detect(bare, signal)).toBe(false);
  });

  test('a vision model takes what the operator says of images', async () => {
    const info = {
      ...JSON.parse(recorded('tgi/info.json').body),
      model_pipeline_tag: 'image-text-to-text',
    };
    const io = fakeEngine({ ...ANSWERS, 'GET /info': json(info) });
    const result = await tgi.probe(io, { ...NO_HINTS, imageTokens: 2000 }, signal);
    expect(result).toMatchObject({ facts: { media: { image: 2000 } } });
  });
});

describe('a native body', () => {
  test('says what it asks for in its parameters', () => {
    expect(
      parsed({
        inputs: 'hello',
        parameters: {
          max_new_tokens: 50,
          best_of: 3,
          temperature: 0.7,
          top_p: 0.9,
          do_sample: true,
        },
      }),
    ).toMatchObject({
      kind: 'completion',
      model: null,
      prompts: 1,
      samplesPerPrompt: 3,
      requestedOutputTokens: 50,
      temperature: 0.7,
      topP: 0.9,
      stream: false,
      promptTokens: { lo: 1, hi: 7 },
    });
  });

  test.each([
    ['nothing', { inputs: 'a' }, null],
    ['null', { inputs: 'a', parameters: { max_new_tokens: null } }, null],
    ['more than the context', { inputs: 'a', parameters: { max_new_tokens: 1e6 } }, 1e6],
  ])('asks for %s', (_, body, expected) => {
    expect(parsed(body).requestedOutputTokens).toBe(expected);
  });

  test.each([
    ['/', { stream: true }, true],
    ['/', {}, false],
    // Only the root looks at it (server.rs).
    ['/generate', { stream: true }, false],
    ['/generate_stream', {}, true],
    ['/generate_stream', { stream: false }, true],
  ])('%s with %j streams: %s', (path, more, stream) => {
    expect(parsed({ inputs: 'a', ...more }, native(path)).stream).toBe(stream);
  });

  test('is no longer than what it is truncated to', () => {
    const body = { inputs: 'word '.repeat(2000), parameters: { truncate: 100 } };
    expect(parsed(body).promptTokens).toMatchObject({ lo: 40, hi: 100 });
  });

  test('is greedy unless something says otherwise, and samples with no parameters at all', () => {
    expect(parsed({ inputs: 'a', parameters: {} }).temperature).toBe(0);
    expect(parsed({ inputs: 'a', parameters: { max_new_tokens: 5 } }).temperature).toBe(0);
    expect(parsed({ inputs: 'a', parameters: { do_sample: true } }).temperature).toBeNull();
    expect(parsed({ inputs: 'a', parameters: { top_k: 5 } }).temperature).toBeNull();
    expect(parsed({ inputs: 'a' }).temperature).toBeNull();
  });

  test('with images costs what they may cost, where that is known', () => {
    const body = { inputs: 'what is ![](https://a.b/c.png)?' };
    expect(parsed(body, GENERATE, SEES_IMAGES).promptTokens.hi).toBeGreaterThanOrEqual(3000);
    expect(parsed(body).promptTokens.hi).toBeLessThan(100);
    expect(tgi.parse(scannedRequest(GENERATE, body), ANY_FACTS)).toMatchObject({ param: 'inputs' });
  });

  test.each(['\\u0021[](', '!\\u005b](', '!\\u005B\\u005d\\u0028', '!![]('])(
    'with an image that is written %s costs as much',
    (notation) => {
      const body = `{"inputs":"\\\\ ${notation}https://a.b/c.png)"}`;
      expect(parsed(body, GENERATE, SEES_IMAGES).promptTokens.hi).toBeGreaterThanOrEqual(3000);
    },
  );

  test('that is too long to be searched for images is refused, but where the model takes none', () => {
    const request = scannedRequest(GENERATE, { inputs: '!['.repeat(3 * 1024 ** 2) });
    expect(tgi.parse(request, SEES_IMAGES)).toMatchObject({ param: 'inputs' });
    expect(tgi.parse(request, TEXT_ONLY)).not.toHaveProperty('invalid');
  });

  test.each([
    ['no inputs', {}, 'inputs'],
    ['inputs that are a list', { inputs: ['a'] }, 'inputs'],
    ['parameters that are a list', { inputs: 'a', parameters: [] }, 'parameters'],
    [
      'a limit of nothing',
      { inputs: 'a', parameters: { max_new_tokens: 0 } },
      'parameters.max_new_tokens',
    ],
    [
      'a limit in quotes',
      { inputs: 'a', parameters: { max_new_tokens: '5' } },
      'parameters.max_new_tokens',
    ],
    ['too many samples', { inputs: 'a', parameters: { best_of: 129 } }, 'parameters.best_of'],
    [
      'a temperature of 0',
      { inputs: 'a', parameters: { temperature: 0 } },
      'parameters.temperature',
    ],
    ['a top_p of 1', { inputs: 'a', parameters: { top_p: 1 } }, 'parameters.top_p'],
    ['nothing to truncate to', { inputs: 'a', parameters: { truncate: 0 } }, 'parameters.truncate'],
    [
      'a limit named twice',
      '{"inputs":"a","parameters":{"max_new_tokens":5,"max_new_tokens":9}}',
      'parameters',
    ],
  ])('with %s is refused', (_, body, param) => {
    expect(tgi.parse(scannedRequest(GENERATE, body), TEXT_ONLY)).toEqual({
      invalid: expect.any(String),
      param,
    });
  });
});

describe('an image that is named in the text', () => {
  const text = 'what is ![](https://a.b/c.png)?';
  test.each([
    ['a chat', CHAT_ROUTE.path, { messages: [{ role: 'user', content: text }] }, 'messages'],
    ['a tool of a chat', CHAT_ROUTE.path, { messages: MESSAGES, tools: [{ text }] }, 'messages'],
    ['a completion', COMPLETION, { prompt: text }, 'prompt'],
  ])('of %s counts like any other', (_where, path, body, param) => {
    const request = scannedRequest(path, body);
    const shape = tgi.parse(request, SEES_IMAGES);
    const bounds = 'invalid' in shape ? null : shape.promptTokens;
    expect(bounds?.lo).toBe(1);
    expect(bounds?.hi).toBeGreaterThanOrEqual(3000);
    expect(tgi.parse(request, ANY_FACTS)).toMatchObject({ param });
    expect(tgi.parse(request, TEXT_ONLY)).not.toHaveProperty('invalid');
  });
});

describe('rewriting', () => {
  function written(body: string, grant: Parameters<typeof tgi.rewrite>[2]) {
    const request = scannedRequest(GENERATE, body);
    const rewrite = tgi.rewrite(request, parsed(body), grant);
    const bytes = splice(request.body, request.object, rewrite.edits);
    return { ...rewrite, body: new TextDecoder().decode(bytes) };
  }

  test('changes what was granted and nothing beside it', () => {
    const body =
      '{"inputs":"a", "parameters":{"max_new_tokens": 900,"stop":["\\u0041"],"seed":18446744073709551615}}';
    expect(written(body, { outputTokens: 50, sampling: {} })).toMatchObject({
      body: body.replace('900', '50'),
      changed: ['parameters.max_new_tokens'],
      skipped: [],
      asksForUsage: false,
    });
  });

  test.each([null, 900, 1000])('a grant of %s leaves 900 alone', (outputTokens) => {
    const body = '{"inputs":"a","parameters":{"max_new_tokens":900}}';
    expect(written(body, { outputTokens, sampling: {} }).edits).toEqual([]);
  });

  test('parameters that were not there keep the request sampling', () => {
    expect(written('{"inputs":"a"}', { outputTokens: 50, sampling: {} }).body).toBe(
      '{"inputs":"a","parameters":{"max_new_tokens":50,"do_sample":true}}',
    );
  });

  test('a greedy request is not made to sample', () => {
    const body = '{"inputs":"a","parameters":{}}';
    const sampling = { temperature: 0.5, topP: 0.9 };
    expect(written(body, { outputTokens: null, sampling }).edits).toEqual([]);
  });

  test('greedy can not be expressed, and that is said', () => {
    const body = '{"inputs":"a","parameters":{"do_sample":true,"top_p":0.95}}';
    const sampling = { temperature: 0, topP: 0.9 };
    expect(written(body, { outputTokens: null, sampling })).toMatchObject({
      body: '{"inputs":"a","parameters":{"do_sample":true,"top_p":0.9}}',
      changed: ['parameters.top_p'],
      skipped: ['temperature'],
    });
  });
});

describe('answers', () => {
  const token = { id: 1, text: 'a', logprob: -1, special: false };

  test.each([
    ['a token', { index: 1, token, generated_text: null, details: null }, 1, false],
    ['the last one', { index: 2, token, generated_text: 'aa', details: null }, 1, true],
    ['an empty text at the end', { index: 2, token, generated_text: '' }, 1, true],
    ['something else', { hello: 1 }, 0, false],
  ])('an event with %s', (_, event, outputTokens, isEnd) => {
    expect(tgi.streamEvent(JSON.stringify(event), GENERATE)).toMatchObject({
      outputTokens,
      isEnd,
      error: null,
      usage: null,
    });
  });

  test('usage shows where details were asked for', () => {
    const details = { finish_reason: 'length', generated_tokens: 7, input_length: 5 };
    const usage = { promptTokens: 5, completionTokens: 7, cachedTokens: null };
    expect(
      tgi.streamEvent(JSON.stringify({ token, generated_text: 'a', details }), GENERATE).usage,
    ).toEqual(usage);
    const best = { generated_tokens: 7, best_of_sequences: [{ generated_tokens: 6 }, {}] };
    expect(tgi.usage([{ generated_text: 'a', details: best }], native('/'))).toEqual({
      promptTokens: null,
      completionTokens: 13,
      cachedTokens: null,
    });
    expect(tgi.usage({ generated_text: 'a' }, GENERATE)).toBeNull();
  });

  test('an error of a native stream is a text, of a chat an object', () => {
    const own = '{"error":"Model is overloaded","error_type":"overloaded"}';
    expect(tgi.streamEvent(own, GENERATE).error).toBe('Model is overloaded');
    const chat = '{"error":{"message":"Model is overloaded","http_status_code":422}}';
    expect(tgi.streamEvent(chat, CHAT_ROUTE).error).toBe('Model is overloaded');
  });

  test.each([
    [
      422,
      'Input validation error: `inputs` must have less than 8191 tokens. Given: 9000',
      'too-long',
    ],
    [
      422,
      'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 1',
      'too-long',
    ],
    [422, 'Input validation error: `temperature` must be strictly positive', 'client'],
    [422, 'Template error: about CUDA out of memory', 'client'],
    [424, 'Request failed during generation: Server error: CUDA out of memory.', 'oom'],
    [424, 'Request failed during generation: Server error: Unexpected <class>', 'fault'],
    [429, 'Model is overloaded', 'busy'],
    [500, 'Incomplete generation', 'fault'],
    [401, '', 'client'],
    // In a stream, where only the words tell.
    [200, 'Model is overloaded', 'busy'],
    [
      200,
      'Input validation error: `inputs` must have less than 8191 tokens. Given: 9000',
      'too-long',
    ],
    [
      200,
      'Input validation error: `best_of` != 1 is not supported when streaming tokens',
      'client',
    ],
    [200, 'Request failed during generation: CUDA out of memory', 'oom'],
    [200, 'Request failed during generation: transport error', 'fault'],
  ])('%i "%s" is %s', (status, text, expected) => {
    expect(tgi.classifyError(status, JSON.stringify({ error: text, error_type: 'x' }))).toBe(
      expected,
    );
  });
});

describe('counting', () => {
  const three = [1, 2, 3].map((id) => ({ id, text: 'a', start: 0, stop: 1 }));

  test('a chat is rendered by the engine', async () => {
    const io = fakeEngine({
      'POST /chat_tokenize': json({ tokenize_response: three, templated_text: 'a' }),
    });
    expect(
      await tgi.countTokens(io, scannedRequest(CHAT_ROUTE, { messages: MESSAGES }), signal),
    ).toBe(3);
  });

  test('a text is sent alone, and counts no more than it is truncated to', async () => {
    const sent: string[] = [];
    const tokenize = (body: string) => {
      sent.push(body);
      return json(three);
    };
    const io = fakeEngine({ 'POST /tokenize': tokenize });
    const body = { inputs: 'a "b"', parameters: { truncate: 2, max_new_tokens: 5 } };
    expect(await tgi.countTokens(io, scannedRequest(GENERATE, body), signal)).toBe(2);
    const one = scannedRequest('/v1/completions', { prompt: 'c' });
    expect(await tgi.countTokens(io, one, signal)).toBe(3);
    expect(sent).toEqual(['{"inputs":"a \\"b\\""}', '{"inputs":"c"}']);
  });

  test.each([
    ['several prompts', { prompt: ['a'] }],
    ['a suffix', { prompt: 'a', suffix: 'b' }],
  ])('%s are left alone', async (_, body) => {
    const io = fakeEngine({ 'POST /tokenize': json(three) });
    expect(await tgi.countTokens(io, scannedRequest('/v1/completions', body), signal)).toBeNull();
    expect(io.asked).toEqual([]);
  });

  test.each([reply(422, '{}'), reply(200, '[]'), reply(200, '[{"id":1'), json({})])(
    'an answer that is none is unknown',
    async (answer) => {
      const io = fakeEngine({ 'POST /tokenize': answer });
      expect(
        await tgi.countTokens(io, scannedRequest(GENERATE, { inputs: 'a' }), signal),
      ).toBeNull();
    },
  );
});

test('one token proves that it works', async () => {
  const works = fakeEngine({ 'POST /generate': json({ generated_text: '' }) });
  expect(await tgi.tryOneToken(works, ANY_FACTS, signal)).toBeNull();
  const fails = fakeEngine({ 'POST /generate': reply(424, '{"error":"CUDA out of memory"}') });
  expect(await tgi.tryOneToken(fails, ANY_FACTS, signal)).toContain('424');
});
