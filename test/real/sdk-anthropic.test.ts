/** The official Anthropic client speaks Messages through kvgate with a real llama-server. */
import Anthropic from '@anthropic-ai/sdk';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { grantOf, POOL_CELLS, type RealGate, startRealGate } from '../support/real-gate.ts';

const ASKED = {
  model: 'tiny',
  messages: [{ role: 'user' as const, content: 'Tell me a tale.' }],
};
const WEATHER = {
  name: 'weather',
  description: 'The weather in a city',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } },
};

describeReal('the anthropic client', () => {
  let real: RealGate;
  let client: Anthropic;

  beforeAll(async () => {
    real = await startRealGate();
    client = new Anthropic({ baseURL: real.url, apiKey: 'sk-test', maxRetries: 0 });
  });
  afterAll(() => real.stop());

  const textOf = (message: Anthropic.Message) =>
    message.content.map((block) => (block.type === 'text' ? block.text : '')).join('');

  test('create, and what came from the cache counts as prompt', async () => {
    const body = {
      ...ASKED,
      system: [{ type: 'text' as const, text: 'Be brief.' }],
      max_tokens: 12,
      stop_sequences: ['\u0000'],
      top_k: 40,
      thinking: { type: 'enabled' as const, budget_tokens: 6 },
      metadata: { user_id: 'u' },
    };
    const { data, response } = await client.messages.create(body).withResponse();
    expect(textOf(data)).toHaveLength(12);
    expect(data.stop_reason).toBe('max_tokens');
    expect(response.headers.get('x-kvgate-decision')).toBe('accept');
    expect(response.headers.has('x-kvgate-changed')).toBe(false);
    const counted = await client.messages.countTokens(body);
    const again = await client.messages.create(body);
    for (const { usage } of [data, again]) {
      expect(usage.output_tokens).toBe(12);
      expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBe(counted.input_tokens);
    }
    await real.settled();
  });

  test('stream', async () => {
    let deltas = '';
    const stream = client.messages.stream({ ...ASKED, max_tokens: 20 });
    stream.on('text', (text) => {
      deltas += text;
    });
    const message = await stream.finalMessage();
    expect(deltas).toHaveLength(20);
    expect(textOf(message)).toBe(deltas);
    expect(message.usage.output_tokens).toBe(20);
    await real.settled();
  });

  test('tools, with a result', async () => {
    const { data, response } = await client.messages
      .create({
        model: 'tiny',
        max_tokens: 16,
        tools: [WEATHER],
        messages: [
          { role: 'user', content: 'How is the weather in Paris?' },
          {
            role: 'assistant',
            content: [{ type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'P' } }],
          },
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '21 degrees' }],
          },
        ],
      })
      .withResponse();
    expect(data.usage.output_tokens).toBeGreaterThan(0);
    expect(response.headers.has('x-kvgate-changed')).toBe(false);
    await real.settled();
  });

  test('a shrink is disclosed and obeyed, the budget below it; an abort gives the room back', async () => {
    const held = client.messages.stream({ ...ASKED, max_tokens: 2_500 });
    const failed = held.done().catch((error: unknown) => error);
    await eventually(() => expect(real.gate.leases()).toBe(1));
    const { data, response } = await client.messages
      .create({
        ...ASKED,
        max_tokens: 2_000,
        thinking: { type: 'enabled', budget_tokens: 1_900 },
      })
      .withResponse();
    const { requested, granted } = grantOf(response.headers);
    expect(response.headers.get('x-kvgate-decision')).toBe('shrink');
    expect(response.headers.get('x-kvgate-changed')).toBe('max_tokens, thinking');
    expect(requested).toBe(2_000);
    expect(granted).toBeGreaterThanOrEqual(1_000);
    expect(granted).toBeLessThan(1_596);
    expect(data.usage.output_tokens).toBe(granted);
    held.abort();
    expect(await failed).toBeInstanceOf(Anthropic.APIUserAbortError);
    await real.settled();
  }, 60_000);

  test('429 is retried, and then succeeds', async () => {
    const patient = client.withOptions({ maxRetries: 5 });
    const held = await client.messages.create({ ...ASKED, max_tokens: 3_800, stream: true });
    const impatient = client.messages.create({ ...ASKED, max_tokens: 2_000 });
    await expect(impatient).rejects.toBeInstanceOf(Anthropic.RateLimitError);
    await expect(impatient).rejects.toMatchObject({ type: 'rate_limit_error' });
    const asked = patient.messages.create({ ...ASKED, max_tokens: 50 });
    held.controller.abort();
    expect((await asked).usage.output_tokens).toBe(50);
    await real.settled();
  }, 60_000);

  test.each([
    ['max_tokens', { max_tokens: -5 }],
    ['temperature', { max_tokens: 5, temperature: 1.5 }],
    ['thinking.budget_tokens', { max_tokens: 5, thinking: { budget_tokens: 'many' } }],
    ['messages', { max_tokens: 5, messages: [] }],
  ])('a wrong %s is told', async (param, body) => {
    const asked = client.messages.create({ max_tokens: 1, ...ASKED, ...(body as object) });
    await expect(asked).rejects.toBeInstanceOf(Anthropic.BadRequestError);
    await expect(asked).rejects.toMatchObject({
      type: 'invalid_request_error',
      message: expect.stringContaining(param),
    });
  });

  test('the default of the server counts where no limit is sent', async () => {
    const asked = client.messages.create({ ...ASKED } as Anthropic.MessageCreateParamsNonStreaming);
    const { data, response } = await asked.withResponse();
    const { requested, granted } = grantOf(response.headers);
    expect(requested).toBe(4_096);
    expect(granted).toBe(4_096);
    // It is alone, and the server ends it where its context does.
    expect(data.usage.input_tokens + data.usage.output_tokens).toBeLessThanOrEqual(POOL_CELLS);
    await real.settled();
  }, 60_000);
});
