/** llama-server's own text routes, on bodies and answers as build 11669 takes and gives them. */
import { describe, expect, test } from '@jest/globals';
import type { GenerationRoute } from '../../backend-adapters/adapter.ts';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { SILENT } from '../../backend-adapters/openai-response.ts';
import { mayPass } from '../../proxy/http/forward-passthrough.ts';
import { splice } from '../../proxy/json/splice.ts';
import { fakeEngine, json, reply } from '../support/fake-engine-io.ts';
import { ANY_FACTS, CHAT_ROUTE, scannedRequest } from '../support/scanned-request.ts';

const signal = new AbortController().signal;

function routeOf(path: string): GenerationRoute {
  const found = llamacpp.generationRoutes.find((route) => route.path === path);
  if (found === undefined) throw new Error(`${path} is no generation route`);
  return found;
}

const COMPLETION = routeOf('/completion');
const INFILL = routeOf('/infill');

function parsed(route: GenerationRoute, body: object) {
  const shape = llamacpp.parse(scannedRequest(route, body), ANY_FACTS);
  if ('invalid' in shape) throw new Error(shape.invalid);
  return shape;
}

describe('routes', () => {
  test.each([
    '/v1/audio/transcriptions',
    '/audio/transcriptions',
    '/v1/systemone',
    '/predict',
    '/props',
    '/lora-adapters',
    '/slots/0',
    '/slots/0?action=erase',
    '/v1/stream',
    '/v1/streams/lookup',
    '/models/load',
    '/models/unload',
    '/tools',
    '/cors-proxy',
  ])('POST %s is in no list', (path) => {
    expect(llamacpp.generationRoutes.map((route) => route.path)).not.toContain(path);
    expect(mayPass(llamacpp.passthroughRoutes, 'POST', path)).toBe(false);
  });

  test.each(['/slots', '/metrics', '/v1/stream', '/models/sse', '/tools', '/cors-proxy'])(
    'GET %s, which is about others or about other servers, is refused',
    (path) => {
      expect(mayPass(llamacpp.passthroughRoutes, 'GET', path)).toBe(false);
    },
  );

  test.each(['/', '/index.html', '/bundle.js', '/_app/immutable/start.js', '/props', '/v1/models'])(
    'GET %s passes, for its web pages',
    (path) => {
      expect(mayPass(llamacpp.passthroughRoutes, 'GET', path)).toBe(true);
    },
  );
});

describe('/completion', () => {
  test.each([
    ['a text', 'abcd', 1, { lo: 1, hi: 6 }],
    ['token ids', [1, 2, 3], 1, { lo: 3, hi: 3 }],
    ['text and ids in one prompt', [1, 2, 'abcd'], 1, { lo: 3, hi: 8 }],
    ['texts beside lists', ['ab', [1, 2]], 2, { lo: 3, hi: 8 }],
  ])('takes %s', (_, prompt, prompts, promptTokens) => {
    expect(parsed(COMPLETION, { prompt })).toMatchObject({
      kind: 'completion',
      prompts,
      promptTokens,
    });
  });

  test.each([
    ['no prompt', {}, 'prompt'],
    ['an empty list', { prompt: [] }, 'prompt'],
    ['media', { prompt: { prompt_string: 'a', multimodal_data: ['aGk='] } }, 'prompt'],
    ['media in a list', { prompt: [{ prompt_string: 'a', multimodal_data: ['aGk='] }] }, 'prompt'],
    ['a limit below -1', { prompt: 'a', n_predict: -2 }, 'n_predict'],
    ['a wrong alias', { prompt: 'a', n_predict: 3, max_tokens: '5' }, 'max_tokens'],
    ['no samples', { prompt: 'a', n_cmpl: 0 }, 'n_cmpl'],
    ['a stream in quotes', { prompt: 'a', stream: 'yes' }, 'stream'],
  ])('refuses %s', (_, body, param) => {
    const request = scannedRequest(COMPLETION, body);
    expect(llamacpp.parse(request, ANY_FACTS)).toMatchObject({ param });
  });

  test('reads what the server reads', () => {
    const body = { prompt: 'a', n_predict: 0, max_tokens: 9, n_cmpl: 2, n: 3, stream: true };
    expect(parsed(COMPLETION, { ...body, temperature: 5, top_p: 0 })).toMatchObject({
      requestedOutputTokens: 0,
      samplesPerPrompt: 3,
      stream: true,
      temperature: 5,
      topP: 0,
    });
    expect(parsed(COMPLETION, { prompt: 'a', grammar: 'root ::= "a"' }).hasResponseFormat).toBe(
      true,
    );
  });

  test.each([
    [{}, { max_tokens: 7 }],
    [{ n_predict: 100 }, { n_predict: 7 }],
    [
      { n_predict: -1, max_tokens: 5 },
      { n_predict: 7, max_tokens: 5 },
    ],
    [
      { n_predict: 50, max_tokens: 60, max_completion_tokens: 70 },
      { n_predict: 7, max_tokens: 7, max_completion_tokens: 7 },
    ],
    [
      { n_predict: null, max_tokens: 60 },
      { n_predict: null, max_tokens: 7 },
    ],
    [
      { n_predict: 6, max_tokens: 60 },
      { n_predict: 6, max_tokens: 60 },
    ],
  ])('%j becomes %j under a grant of 7', (limits, expected) => {
    for (const route of [COMPLETION, routeOf('/completions')]) {
      const request = scannedRequest(route, { prompt: 'a', ...limits });
      const shape = parsed(route, { prompt: 'a', ...limits });
      const { edits } = llamacpp.rewrite(request, shape, { outputTokens: 7, sampling: {} });
      const body = new TextDecoder().decode(splice(request.body, request.object, edits));
      expect(JSON.parse(body)).toEqual({ prompt: 'a', ...expected });
    }
  });

  test('is counted with its special tokens', async () => {
    const io = fakeEngine({
      'POST /tokenize': (body) =>
        body === '{"content":"abc","add_special":true}'
          ? json({ tokens: [1, 2, 3] })
          : reply(400, ''),
    });
    const request = scannedRequest(COMPLETION, { prompt: 'abc' });
    expect(await llamacpp.countTokens(io, request, signal)).toBe(3);
  });
});

describe('/infill', () => {
  const PARTS = { input_prefix: 'hello', input_suffix: 'you' };

  test('bounds the prompt that the parts are joined to', () => {
    // Measured with a tokenizer of one token a byte.
    const { promptTokens, prompts } = parsed(INFILL, PARTS);
    expect(prompts).toBe(1);
    expect(promptTokens.hi).toBeGreaterThanOrEqual(32);
    expect(promptTokens.lo).toBe(1);
    const input_extra = [{ filename: 'a.c', text: 'xx' }, { text: 'yyy' }];
    expect(parsed(INFILL, { ...PARTS, input_extra, prompt: 'pp' }).promptTokens.hi).toBeGreaterThan(
      49,
    );
  });

  test('the server cuts what is too long, so it never takes more than its context', () => {
    const shape = parsed(INFILL, { ...PARTS, input_prefix: 'a'.repeat(20_000), n_predict: 100 });
    expect(shape.promptTokens.hi).toBe(8192 - 1 - 100);
    expect(shape.promptTokens.expected).toBeLessThanOrEqual(shape.promptTokens.hi);
  });

  test.each([
    ['no suffix', { input_prefix: 'a' }, 'input_suffix'],
    ['a prefix that is a number', { input_prefix: 5, input_suffix: 'a' }, 'input_prefix'],
    ['extra that is a text', { ...PARTS, input_extra: 'x' }, 'input_extra'],
    ['extra that is a list of texts', { ...PARTS, input_extra: ['x'] }, 'input_extra'],
  ])('refuses %s', (_, body, param) => {
    expect(llamacpp.parse(scannedRequest(INFILL, body), ANY_FACTS)).toMatchObject({ param });
  });

  test('nothing counts it', async () => {
    const request = scannedRequest(INFILL, { ...PARTS, prompt: 'a' });
    expect(await llamacpp.countTokens(fakeEngine({}), request, signal)).toBeNull();
  });
});

describe('answers', () => {
  const sequence = { tokens_evaluated: 5, tokens_predicted: 3, timings: { cache_n: 1 } };

  test.each([
    ['one sequence', sequence, { promptTokens: 5, completionTokens: 3, cachedTokens: 1 }],
    [
      'two sequences',
      [sequence, { ...sequence, tokens_predicted: 4 }],
      { promptTokens: null, completionTokens: 7, cachedTokens: null },
    ],
    ['fields left out by response_fields', { content: 'a' }, null],
    ['such fields in one of two', [sequence, { content: 'a' }], null],
    ['nothing', [], null],
  ])('usage of %s', (_, answer, usage) => {
    expect(llamacpp.usage(answer, COMPLETION)).toEqual(usage);
  });

  test.each([
    [
      'text',
      { content: 'q', stop: false, tokens_predicted: 2, tokens_evaluated: 5 },
      {
        ...SILENT,
        outputTokens: 1,
        usage: { promptTokens: 5, completionTokens: 2, cachedTokens: null },
      },
    ],
    [
      'progress of the prompt',
      { content: '', stop: false, tokens_predicted: 0, tokens_evaluated: 5, prompt_progress: {} },
      { ...SILENT, usage: { promptTokens: 5, completionTokens: 0, cachedTokens: null } },
    ],
    [
      'the end',
      { content: '', stop: true, ...sequence },
      {
        ...SILENT,
        isEnd: true,
        usage: { promptTokens: 5, completionTokens: 3, cachedTokens: 1 },
      },
    ],
    ['an end of which response_fields left little', { content: '' }, { ...SILENT, isEnd: true }],
    ['null, before several sequences', null, SILENT],
    [
      'an error',
      { error: { code: 500, message: 'Context size has been exceeded.' } },
      { ...SILENT, error: 'Context size has been exceeded.' },
    ],
  ])('an event of %s', (_, event, expected) => {
    expect(llamacpp.streamEvent(JSON.stringify(event), COMPLETION)).toEqual(expected);
  });

  test('an event that is no JSON ends nothing', () => {
    expect(llamacpp.streamEvent('{"stop":tr', COMPLETION)).toEqual(SILENT);
  });

  test('the last chunk of a chat tells its usage by its timings, asked or not', () => {
    const finish = {
      choices: [{ delta: {}, finish_reason: 'length' }],
      timings: { cache_n: 15, prompt_n: 5, predicted_n: 2 },
    };
    expect(llamacpp.streamEvent(JSON.stringify(finish), CHAT_ROUTE)).toEqual({
      ...SILENT,
      usage: { promptTokens: 20, completionTokens: 2, cachedTokens: 15 },
    });
    const usage = { prompt_tokens: 20, completion_tokens: 2 };
    const asked = JSON.stringify({ choices: [], usage, timings: finish.timings });
    expect(llamacpp.streamEvent(asked, CHAT_ROUTE).usage).toMatchObject({ promptTokens: 20 });
    const older = JSON.stringify({ choices: [], timings: { predicted_ms: 5 } });
    expect(llamacpp.streamEvent(older, CHAT_ROUTE).usage).toBeNull();
  });
});
