/** The official OpenAI client asks for embeddings through kvgate, of a real llama-server. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { describeReal } from '../support/describe-real.ts';
import { type RealGate, startRealGate } from '../support/real-gate.ts';

describeReal('the openai client, embeddings', () => {
  let real: RealGate;
  let client: OpenAI;

  beforeAll(async () => {
    real = await startRealGate({ 'admission-order': ['queue'] }, [
      '--embeddings',
      '--pooling',
      'mean',
    ]);
    client = new OpenAI({ baseURL: `${real.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
  });
  afterAll(() => real.stop());

  test.each([
    ['a text', 'Hello.', 1, 6],
    ['texts', ['Hello.', 'World'], 2, 11],
    ['token ids', [1, 2, 3], 1, 3],
    ['lists of token ids', [[1, 2, 3], [4]], 2, 4],
  ])('%s', async (_, input, texts, tokens) => {
    const { data, response } = await client.embeddings
      .create({ model: 'tiny', input: input as string })
      .withResponse();
    expect(data.data).toHaveLength(texts);
    expect(data.data[0]?.embedding.length).toBeGreaterThan(0);
    expect(data.usage.prompt_tokens).toBe(tokens);
    expect(response.headers.get('x-kvgate-decision')).toBe('accept');
    expect(response.headers.has('x-kvgate-changed')).toBe(false);
    await real.settled();
  });

  test('each text takes a slot: who finds none waits', async () => {
    const input = Array.from({ length: 4 }, (_, at) => 'text '.repeat(20 + at));
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => client.embeddings.create({ model: 'tiny', input })),
    );
    for (const { data } of answers) expect(data).toHaveLength(4);
    await real.settled();
  });

  test.each([
    ['input', {}],
    ['input', { input: [] }],
  ])('a wrong %s is told', async (param, body) => {
    const asked = client.embeddings.create({ model: 'tiny', ...(body as { input: string }) });
    await expect(asked).rejects.toMatchObject({ status: 400, param });
  });

  test('a text longer than the context is refused before it is sent', async () => {
    const input = 'many words '.repeat(2_000);
    const asked = client.embeddings.create({ model: 'tiny', input });
    await expect(asked).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});
