/**
 * No route and no alias lets a request generate more than it was granted. The
 * tiny model never ends by itself, so what a real llama-server generates is
 * exactly the limit that it read from the body.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { splice } from '../../proxy/json/splice.ts';
import { describeReal } from '../support/describe-real.ts';
import { post } from '../support/llama-client.ts';
import { FILL_IN } from '../support/llama-fill-in.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { ANY_FACTS, scannedRequest } from '../support/scanned-request.ts';

const messages = [{ role: 'user', content: 'hi' }];

const chatTokens = (answer: AnyAnswer) => answer.usage?.completion_tokens;
const textTokens = (answer: AnyAnswer) => answer.tokens_predicted;
const newerTokens = (answer: AnyAnswer) => answer.usage?.output_tokens;

interface AnyAnswer {
  readonly usage?: { readonly completion_tokens?: number; readonly output_tokens?: number };
  readonly tokens_predicted?: number;
}

/** Routes, a body without a limit, and where an answer tells what was generated. */
const ROUTES: ReadonlyArray<
  readonly [path: string, body: object, generated: (answer: AnyAnswer) => number | undefined]
> = [
  ['/v1/chat/completions', { messages }, chatTokens],
  ['/chat/completions', { messages }, chatTokens],
  ['/v1/completions', { prompt: 'hi' }, chatTokens],
  ['/completion', { prompt: 'hi' }, textTokens],
  ['/completions', { prompt: 'hi' }, textTokens],
  ['/infill', { input_prefix: 'a', input_suffix: 'b' }, textTokens],
  ['/v1/responses', { input: 'hi' }, newerTokens],
  ['/responses', { input: 'hi' }, newerTokens],
  ['/v1/messages', { messages }, newerTokens],
];

/** What a client may write to get more than there is; the first that is not null holds. */
const WISHES = [
  { n_predict: -1 },
  { n_predict: 100_000 },
  { n_predict: -1, max_tokens: 5 },
  { n_predict: -1, max_completion_tokens: 5 },
  { max_completion_tokens: 100_000, max_tokens: 5 },
  { n_predict: null, max_completion_tokens: null, max_tokens: 100_000 },
  {},
];

/** Below every wish but those of five tokens. */
const GRANTED = 7;

describeReal('a body that was granted 7 tokens', () => {
  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '1024', '-np', '2', '-kvu', ...FILL_IN]);
  });
  afterAll(() => server.stop());

  const cases = ROUTES.flatMap(([path, body, generated]) =>
    WISHES.map((wish) => ({ path, body: { ...body, ...limitsFor(path, wish) }, generated })),
  );

  test.each(cases)('POST $path $body makes no more', async ({ path, body, generated }) => {
    const route = llamacpp.generationRoutes.find((known) => known.path === path);
    if (route === undefined) throw new Error(`${path} is no generation route`);
    const request = scannedRequest(route, body);
    const shape = llamacpp.parse(request, ANY_FACTS);
    if ('invalid' in shape) throw new Error(shape.invalid);
    const grant = { outputTokens: GRANTED, sampling: {} };
    const { edits } = llamacpp.rewrite(request, shape, grant);
    const answer = await fetch(server.url + path, {
      method: 'POST',
      body: new Uint8Array(splice(request.body, request.object, edits)),
    });
    const text = await answer.text();
    expect([answer.status, text]).toEqual([200, text]);
    const expected = Math.min(GRANTED, shape.requestedOutputTokens ?? GRANTED);
    expect(generated(JSON.parse(text))).toBe(expected);
  });

  test('directly, aliases decide on the routes of Responses, and are not read on that of Messages', async () => {
    const outputOf = async (path: string, body: object) =>
      newerTokens((await post<AnyAnswer>(server, path, body)).body);
    const limits = { max_output_tokens: 3, n_predict: 7, max_completion_tokens: 6 };
    expect(await outputOf('/v1/responses', { input: 'hi', ...limits })).toBe(7);
    expect(await outputOf('/v1/responses', { input: 'hi', ...limits, n_predict: null })).toBe(6);
    const anthropic = { messages, max_tokens: 3, n_predict: 7, max_completion_tokens: 6, n: 2 };
    expect(await outputOf('/v1/messages', anthropic)).toBe(3);
  });

  test('directly, an n on the routes of Responses runs as many sequences', async () => {
    const { body } = await post(server, '/v1/responses', {
      input: 'hi',
      max_output_tokens: 3,
      n: 2,
    });
    expect(body).toHaveLength(2);
  });
});

/** Responses know the last alias by another name. */
function limitsFor(path: string, wish: Readonly<Record<string, number | null>>): typeof wish {
  if (!path.endsWith('/responses') || wish.max_tokens === undefined) return wish;
  const { max_tokens, ...rest } = wish;
  return { ...rest, max_output_tokens: max_tokens };
}

describeReal('llama-server that drafts', () => {
  /** Two requests whose prompts and outputs fill the pool to the last cell. */
  const PROMPT = 'the cat sat on the mat. '.repeat(16).slice(0, 256);

  test('needs no cell beyond prompt and output', async () => {
    const drafting = ['--spec-type', 'ngram-simple', '--spec-ngram-simple-size-n', '2'];
    const server = await startLlamaServer(['-c', '1024', '-np', '2', '-kvu', ...drafting]);
    const answers = await Promise.all(
      [1, 2].map((seed) =>
        post<{ timings?: { predicted_n: number; draft_n?: number } }>(server, '/completion', {
          prompt: PROMPT,
          n_predict: 256,
          temperature: 0.3,
          seed,
        }),
      ),
    ).finally(() => server.stop());
    expect(answers).toMatchObject([{ status: 200 }, { status: 200 }]);
    for (const { body } of answers) {
      expect(body.timings?.predicted_n).toBe(256);
      expect(body.timings?.draft_n).toBeGreaterThan(0);
    }
  });
});
