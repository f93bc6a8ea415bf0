/** The official OpenAI client speaks Responses through kvgate with a real llama-server. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import OpenAI from 'openai';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { grantOf, POOL_CELLS, type RealGate, startRealGate } from '../support/real-gate.ts';

const ASKED = { model: 'tiny', input: 'Tell me a tale.' };

describeReal('the openai client, responses', () => {
  let real: RealGate;
  let client: OpenAI;

  beforeAll(async () => {
    real = await startRealGate();
    client = new OpenAI({ baseURL: `${real.url}/v1`, apiKey: 'sk-test', maxRetries: 0 });
  });
  afterAll(() => real.stop());

  test('create', async () => {
    const input = [
      { role: 'user' as const, content: [{ type: 'input_text' as const, text: 'Hello.' }] },
      { type: 'message' as const, role: 'assistant' as const, content: 'Hi.' },
      { type: 'function_call' as const, call_id: 'c1', name: 'clock', arguments: '{}' },
      { type: 'function_call_output' as const, call_id: 'c1', output: 'noon' },
      { role: 'user' as const, content: 'Go on.' },
    ];
    const { data, response } = await client.responses
      .create({ ...ASKED, input, instructions: 'Be brief.', max_output_tokens: 12 })
      .withResponse();
    expect(data.output_text).toHaveLength(12);
    expect(data.usage).toMatchObject({ output_tokens: 12 });
    expect(response.headers.get('x-kvgate-decision')).toBe('accept');
    expect(response.headers.has('x-kvgate-changed')).toBe(false);
    await real.settled();
  });

  test('stream', async () => {
    let deltas = '';
    const types: string[] = [];
    const events = await client.responses.create({ ...ASKED, max_output_tokens: 20, stream: true });
    for await (const event of events) {
      types.push(event.type);
      if (event.type === 'response.output_text.delta') deltas += event.delta;
      if (event.type !== 'response.completed') continue;
      expect(event.response.usage).toMatchObject({ output_tokens: 20 });
    }
    expect(deltas).toHaveLength(20);
    expect(types.at(0)).toBe('response.created');
    expect(types.at(-1)).toBe('response.completed');
    await real.settled();
  });

  test('tools: they are counted, and never cut short', async () => {
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const tool = { type: 'function' as const, name: 'weather', parameters, strict: false };
    const { data, response } = await client.responses
      .create({ ...ASKED, tools: [tool], tool_choice: 'none', max_output_tokens: 16 })
      .withResponse();
    expect(data.usage).toMatchObject({ output_tokens: 16 });
    expect(response.headers.has('x-kvgate-changed')).toBe(false);
    await real.settled();
  });

  test('a missing limit is filled in and disclosed', async () => {
    const { data, response } = await client.responses.create(ASKED).withResponse();
    const { requested, granted } = grantOf(response.headers);
    expect(requested).toBeNull();
    expect(response.headers.get('x-kvgate-changed')).toBe('max_output_tokens');
    expect(data.usage?.output_tokens).toBe(granted);
    expect(granted).toBeLessThan(POOL_CELLS);
    await real.settled();
  }, 60_000);

  test('a shrink is disclosed and obeyed; an abort gives the room back', async () => {
    const first = await client.responses.create({
      ...ASKED,
      max_output_tokens: 2_500,
      stream: true,
    });
    for await (const event of first) if (event.type.endsWith('.delta')) break;
    first.controller.abort();
    await real.settled();

    const held = await client.responses.create({
      ...ASKED,
      max_output_tokens: 2_500,
      stream: true,
    });
    await eventually(() => expect(real.gate.leases()).toBe(1));
    const { data, response } = await client.responses
      .create({ ...ASKED, max_output_tokens: 2_000 })
      .withResponse();
    const { requested, granted } = grantOf(response.headers);
    expect(response.headers.get('x-kvgate-decision')).toBe('shrink');
    expect(requested).toBe(2_000);
    expect(granted).toBeGreaterThanOrEqual(1_000);
    expect(granted).toBeLessThan(1_596);
    expect(data.usage?.output_tokens).toBe(granted);
    held.controller.abort();
    await real.settled();
  }, 60_000);

  test('429 is retried, and then succeeds', async () => {
    const patient = client.withOptions({ maxRetries: 5 });
    const held = await client.responses.create({
      ...ASKED,
      max_output_tokens: 3_800,
      stream: true,
    });
    const impatient = client.responses.create({ ...ASKED, max_output_tokens: 2_000 });
    await expect(impatient).rejects.toMatchObject({ status: 429, type: 'rate_limit_error' });
    const asked = patient.responses.create({ ...ASKED, max_output_tokens: 50 });
    held.controller.abort();
    expect((await asked).usage?.output_tokens).toBe(50);
    await real.settled();
  }, 60_000);

  test.each([
    ['max_output_tokens', { max_output_tokens: -5 }],
    ['previous_response_id', { previous_response_id: 'resp_1' }],
    ['background', { background: true }],
    ['n_predict', { n_predict: 'many' }],
  ])('a wrong %s is told', async (param, body) => {
    const asked = client.responses.create({ ...ASKED, ...(body as object) });
    await expect(asked).rejects.toMatchObject({ status: 400, param });
  });

  test('an alias of the limit does not lead past it', async () => {
    const body = { ...ASKED, max_output_tokens: 4, n_predict: 30, max_completion_tokens: 2 };
    const { data, response } = await client.responses.create(body as typeof ASKED).withResponse();
    expect(grantOf(response.headers)).toEqual({ requested: 30, granted: 30 });
    expect(data.usage?.output_tokens).toBe(30);
  });

  test('what can never fit is told', async () => {
    const asked = client.responses.create({ ...ASKED, input: 'many words '.repeat(2_000) });
    await expect(asked).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });
});
