/** OpenAI's Responses, on every engine that speaks them. */
import { describe, expect, test } from '@jest/globals';
import { SILENT } from '../../backend-adapters/openai-response.ts';
import { rewritten, routesOfKind, shapeOf } from '../support/engine-routes.ts';
import { enginesUnderTest } from '../support/engines-under-test.ts';
import { ANY_FACTS, scannedRequest } from '../support/scanned-request.ts';

const ITEMS = [
  { role: 'user', content: [{ type: 'input_text', text: 'What is the weather in Paris?' }] },
  { type: 'reasoning', id: 'rs_1', summary: [], content: [{ type: 'reasoning_text', text: 'Hm' }] },
  { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{"city":"Paris"}' },
  { type: 'function_call_output', call_id: 'c1', output: '21 degrees' },
];
/** Of an engine that has a limit of its own. */
const DEFAULT_TOKENS: Readonly<Record<string, number>> = { transformers: 1024 };

const TOOLS = [{ type: 'function', name: 'weather', parameters: { type: 'object' } }];

const WRONG: readonly (readonly [wrong: string, body: object, param: string])[] = [
  ['no input', {}, 'input'],
  ['a null input', { input: null }, 'input'],
  ['an empty list of items', { input: [] }, 'input'],
  ['an input of texts', { input: ['hi'] }, 'input'],
  ['an input that is a number', { input: 5 }, 'input'],
  ['a limit in quotes', { input: 'hi', max_output_tokens: '9' }, 'max_output_tokens'],
  ['a limit of nothing', { input: 'hi', max_output_tokens: 0 }, 'max_output_tokens'],
  ['a fractional limit', { input: 'hi', max_output_tokens: 1.5 }, 'max_output_tokens'],
  ['a temperature too high', { input: 'hi', temperature: 2.1 }, 'temperature'],
  ['a top_p of 0', { input: 'hi', top_p: 0 }, 'top_p'],
  ['a stream that is a text', { input: 'hi', stream: 'yes' }, 'stream'],
  ['a model that is a number', { input: 'hi', model: 1 }, 'model'],
  ['an earlier response', { input: 'hi', previous_response_id: 'resp_1' }, 'previous_response_id'],
  ['a stored prompt', { input: 'hi', prompt: { id: 'pmpt_1' } }, 'prompt'],
  ['work in the background', { input: 'hi', background: true }, 'background'],
];

describe.each(routesOfKind('responses'))('$name $path', (engine) => {
  const { adapter, route } = engine;
  const event = (value: object) => adapter.streamEvent(JSON.stringify(value), route);

  test('speaks its own API', () => expect(route.api).toBe('responses'));

  test.each(WRONG)('refuses a body with %s', (_, body, param) => {
    const parsed = adapter.parse(scannedRequest(route, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  test('reads what a body asks for', () => {
    const body = {
      model: 'gpt-oss-20b',
      input: ITEMS,
      instructions: 'Be brief.',
      tools: TOOLS,
      text: { format: { type: 'json_schema', name: 'a', schema: {} } },
      max_output_tokens: 100,
      reasoning: { effort: 'low' },
      stream: true,
      temperature: 0.7,
      top_p: 0.9,
      conversation: 'conv_1',
      background: false,
      store: false,
    };
    expect(shapeOf(engine, body)).toMatchObject({
      kind: 'chat',
      model: 'gpt-oss-20b',
      prompts: 1,
      samplesPerPrompt: 1,
      requestedOutputTokens: 100,
      stream: true,
      temperature: 0.7,
      topP: 0.9,
      hasTools: true,
      hasResponseFormat: true,
    });
  });

  test('takes null for absent, and plain text for no format', () => {
    const body = {
      input: 'hi',
      max_output_tokens: null,
      stream: false,
      tools: [],
      text: { format: { type: 'text' }, verbosity: 'low' },
      previous_response_id: null,
    };
    expect(shapeOf(engine, body)).toMatchObject({
      requestedOutputTokens: DEFAULT_TOKENS[engine.name] ?? null,
      stream: false,
      hasTools: false,
      hasResponseFormat: false,
    });
  });

  test('a format too long to read is a format', () => {
    const schema = { description: 'x'.repeat(70_000) };
    const body = { input: 'hi', text: { format: { type: 'json_schema', name: 'a', schema } } };
    expect(shapeOf(engine, body).hasResponseFormat).toBe(true);
  });

  test.each([
    ['the input', (text: string) => ({ input: text })],
    ['an item', (text: string) => ({ input: [{ role: 'user', content: text }] })],
    ['a part', (text: string) => ({ input: [{ content: [{ type: 'input_text', text }] }] })],
    ['a call', (text: string) => ({ input: [{ type: 'function_call', arguments: text }] })],
    ['an output', (text: string) => ({ input: [{ type: 'function_call_output', output: text }] })],
    ['the instructions', (text: string) => ({ input: 'a', instructions: text })],
    ['a tool', (text: string) => ({ input: 'a', tools: [{ description: text }] })],
    ['a format', (text: string) => ({ input: 'a', text: { format: { schema: text } } })],
    ['the effort', (text: string) => ({ input: 'a', reasoning: { effort: text } })],
    ['vLLM: messages before', (text: string) => ({ input: 'a', previous_input_messages: [text] })],
  ])('counts the text of %s', (_, body) => {
    const short = shapeOf(engine, body('x')).promptTokens;
    const long = shapeOf(engine, body('x'.repeat(5001))).promptTokens;
    expect(long.hi - short.hi).toBe(5000);
    expect(long.lo).toBeLessThanOrEqual(20);
  });

  test('counts a frame for each item', () => {
    const item = { role: 'user', content: 'a' };
    const bytes = Buffer.byteLength(JSON.stringify(item)) + 1;
    const hiOf = (items: number) =>
      shapeOf(engine, { input: Array.from({ length: items }, () => item) }).promptTokens.hi;
    expect(hiOf(5) - hiOf(1)).toBe(4 * (bytes + ANY_FACTS.framing.perMessageTokens));
  });

  test('writes what was granted and nothing else', () => {
    const text = '{ "input":"hi", "max_output_tokens" : 100,"metadata":{"x":1.0}, "top_p":1 }';
    expect(rewritten(engine, text, 40, { temperature: 0.5, topP: 0.9 })).toEqual({
      text: '{ "input":"hi", "max_output_tokens" : 40,"metadata":{"x":1.0}, "top_p":0.9 ,"temperature":0.5}',
      changed: ['max_output_tokens', 'temperature', 'top_p'],
      asksForUsage: false,
    });
    expect(rewritten(engine, text, null).text).toBe(text);
    expect(rewritten(engine, text, 200).text).toBe(text);
  });

  test('adds a missing limit, and never asks for usage', () => {
    const body = '{"input":"hi","stream":true}';
    expect(rewritten(engine, body, 7)).toEqual({
      text: '{"input":"hi","stream":true,"max_output_tokens":7}',
      changed: ['max_output_tokens'],
      asksForUsage: false,
    });
  });

  test('reads the usage of an answer', () => {
    const usage = {
      input_tokens: 36,
      input_tokens_details: { cached_tokens: 20 },
      output_tokens: 87,
      output_tokens_details: { reasoning_tokens: 10 },
      total_tokens: 123,
    };
    const read = { promptTokens: 36, completionTokens: 87, cachedTokens: 20 };
    expect(adapter.usage({ id: 'resp_1', usage }, route)).toEqual(read);
    expect(adapter.usage({ id: 'resp_1', usage: null }, route)).toBeNull();
    expect(event({ type: 'response.incomplete', response: { usage } }).usage).toEqual(read);
  });

  test.each([
    ['response.output_text.delta', 'Hi', 1],
    ['response.reasoning_text.delta', 'Hm', 1],
    ['response.reasoning_summary_text.delta', 'Hm', 1],
    ['response.refusal.delta', 'No', 1],
    ['response.function_call_arguments.delta', '{"', 1],
    ['response.mcp_call_arguments.delta', '{"', 1],
    ['response.custom_tool_call_input.delta', 'x', 1],
    ['response.output_text.delta', '', 0],
    ['response.output_text.done', 'Hi', 0],
  ])('%s with %j carries %i tokens', (type, delta, outputTokens) => {
    expect(event({ type, delta, sequence_number: 3 })).toEqual({ ...SILENT, outputTokens });
  });

  test.each([
    [{ type: 'response.created', response: { status: 'in_progress', error: null } }],
    [{ type: 'response.in_progress', response: {} }],
    [{ type: 'response.output_item.done', item: {} }],
    [{ type: 'something.new' }],
    [{}],
  ])('%j says nothing that counts', (value) => expect(event(value)).toEqual(SILENT));

  test.each(['response.completed', 'response.incomplete'])('%s ends a stream', (type) => {
    expect(event({ type, response: {} })).toEqual({ ...SILENT, isEnd: true });
    expect(adapter.streamEvent('[DONE]', route).error).toBeNull();
  });

  test('[DONE] alone does not end it: the API has an event for that', () => {
    expect(adapter.streamEvent('[DONE]', route).isEnd).toBe(false);
  });

  test.each([
    [{ type: 'error', code: 'server_error', message: 'CUDA out of memory' }],
    [{ type: 'error', error: { message: 'CUDA out of memory' } }],
    [
      {
        type: 'response.failed',
        response: { error: { code: 'e', message: 'CUDA out of memory' } },
      },
    ],
    [{ error: { message: 'CUDA out of memory' } }],
    [{ error: 'CUDA out of memory' }],
  ])('%j is an error', (value) => {
    expect(event(value)).toMatchObject({ error: 'CUDA out of memory', isEnd: false });
  });

  test('a failure without words is one too', () => {
    expect(event({ type: 'response.failed', response: { error: null } }).error).not.toBeNull();
    expect(event({ type: 'error' }).error).not.toBeNull();
    expect(adapter.streamEvent('{"error": "broken "quotes"}', route).error).not.toBeNull();
  });
});

describe('what engines make of it themselves', () => {
  const engineRoute = (name: string) => {
    const found = routesOfKind('responses').find((engine) => engine.name === name);
    if (found === undefined) throw new Error(`${name} has no such route`);
    return found;
  };

  test('transformers streams unless it is told not to', () => {
    const engine = engineRoute('transformers');
    expect(shapeOf(engine, { input: 'hi' }).stream).toBe(true);
    expect(shapeOf(engine, { input: 'hi', stream: null }).stream).toBe(false);
    expect(shapeOf(engineRoute('vllm'), { input: 'hi' }).stream).toBe(false);
  });

  test.each([
    [{ n_predict: 3, max_completion_tokens: 5, max_output_tokens: 7 }, 3],
    [{ max_completion_tokens: 5, max_output_tokens: 7 }, 5],
    [{ n_predict: null, max_output_tokens: 7 }, 7],
    [{ n_predict: -1, max_output_tokens: 7 }, null],
  ])('llama.cpp obeys the aliases of a chat: %j', (limits, tokens) => {
    const shape = shapeOf(engineRoute('llamacpp'), { input: 'hi', ...limits });
    expect(shape.requestedOutputTokens).toBe(tokens);
  });

  test.each([
    ['llamacpp', 'max_tokens', 5],
    ['llamacpp', 'n', 2],
    ['vllm', 'previous_response', { id: 'resp_1' }],
    ['transformers', 'generation_config', '{}'],
  ])('%s: %s is refused', (name, param, value) => {
    const { adapter, route } = engineRoute(name);
    const parsed = adapter.parse(scannedRequest(route, { input: 'hi', [param]: value }), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  test('an engine without the route refuses its bodies', () => {
    const route = { path: '/v1/nothing', kind: 'messages', api: 'anthropic' } as const;
    const body = { messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 };
    const { adapter } = enginesUnderTest.find(({ name }) => name === 'transformers') ?? {};
    expect(adapter?.parse(scannedRequest(route, body), ANY_FACTS)).toEqual({
      invalid: expect.stringContaining('/v1/nothing'),
      param: null,
    });
  });
});
