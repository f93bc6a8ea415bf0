/** Anthropic's Messages, on every engine that speaks them. */
import { describe, expect, test } from '@jest/globals';
import { SILENT } from '../../backend-adapters/openai-response.ts';
import { rewritten, routesOfKind, shapeOf } from '../support/engine-routes.ts';
import { ANY_FACTS, MESSAGES, scannedRequest } from '../support/scanned-request.ts';

const ASKED = { messages: MESSAGES, max_tokens: 100 };
const BLOCKS = [
  { role: 'user', content: [{ type: 'text', text: 'What is the weather in Paris?' }] },
  {
    role: 'assistant',
    content: [
      { type: 'thinking', thinking: 'Hm', signature: 's' },
      { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Paris' } },
    ],
  },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: '21' }] },
];

const WRONG: readonly (readonly [wrong: string, body: object, param: string])[] = [
  ['no messages', { max_tokens: 5 }, 'messages'],
  ['empty messages', { messages: [], max_tokens: 5 }, 'messages'],
  ['messages that are texts', { messages: ['hi'], max_tokens: 5 }, 'messages'],
  ['a system prompt that is a number', { ...ASKED, system: 5 }, 'system'],
  ['a system prompt of texts', { ...ASKED, system: ['Be brief.'] }, 'system'],
  ['a limit in quotes', { messages: MESSAGES, max_tokens: '5' }, 'max_tokens'],
  ['a limit of nothing', { messages: MESSAGES, max_tokens: 0 }, 'max_tokens'],
  ['a fractional limit', { messages: MESSAGES, max_tokens: 1.5 }, 'max_tokens'],
  ['a temperature too high', { ...ASKED, temperature: 1.1 }, 'temperature'],
  ['a top_p of 0', { ...ASKED, top_p: 0 }, 'top_p'],
  ['a stream that is a text', { ...ASKED, stream: 'yes' }, 'stream'],
  ['a model that is a number', { ...ASKED, model: 1 }, 'model'],
  [
    'a budget in quotes',
    { ...ASKED, thinking: { type: 'enabled', budget_tokens: '9' } },
    'thinking.budget_tokens',
  ],
];

describe.each(routesOfKind('messages'))('$name $path', (engine) => {
  const { adapter, route } = engine;
  const event = (value: object) => adapter.streamEvent(JSON.stringify(value), route);

  test('speaks its own API', () => expect(route.api).toBe('anthropic'));

  test.each(WRONG)('refuses a body with %s', (_, body, param) => {
    const parsed = adapter.parse(scannedRequest(route, body), ANY_FACTS);
    expect(parsed).toEqual({ invalid: expect.stringContaining(param), param });
  });

  test('reads what a body asks for', () => {
    const body = {
      model: 'gpt-oss-20b',
      messages: BLOCKS,
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
      max_tokens: 4000,
      thinking: { type: 'enabled', budget_tokens: 2000 },
      tools: [{ name: 'weather', input_schema: { type: 'object' } }],
      tool_choice: { type: 'auto' },
      output_config: { format: { type: 'json_schema', schema: {} } },
      stop_sequences: ['END'],
      stream: true,
      temperature: 1,
      top_p: 0.9,
      top_k: 40,
      metadata: { user_id: 'u' },
    };
    expect(shapeOf(engine, body)).toMatchObject({
      kind: 'chat',
      model: 'gpt-oss-20b',
      prompts: 1,
      samplesPerPrompt: 1,
      requestedOutputTokens: 4000,
      stream: true,
      temperature: 1,
      topP: 0.9,
      hasTools: true,
      hasResponseFormat: true,
    });
  });

  test('an effort is no format', () => {
    const body = { ...ASKED, tools: [], output_config: { effort: 'low', format: null } };
    expect(shapeOf(engine, body)).toMatchObject({ hasTools: false, hasResponseFormat: false });
  });

  test.each([
    ['a message', (text: string) => ({ messages: [{ role: 'user', content: text }] })],
    ['a block', (text: string) => ({ messages: [{ content: [{ type: 'text', text }] }] })],
    ['thinking', (text: string) => ({ messages: [{ content: [{ thinking: text }] }] })],
    ['a call', (text: string) => ({ messages: [{ content: [{ input: { q: text } }] }] })],
    ['a result', (text: string) => ({ messages: [{ content: [{ content: text }] }] })],
    ['the system prompt', (text: string) => ({ messages: MESSAGES, system: text })],
    ['a block of it', (text: string) => ({ messages: MESSAGES, system: [{ text }] })],
    ['a tool', (text: string) => ({ messages: MESSAGES, tools: [{ description: text }] })],
    ['a format', (text: string) => ({ messages: MESSAGES, output_config: { format: text } })],
  ])('counts the text of %s', (_, body) => {
    const short = shapeOf(engine, { max_tokens: 5, ...body('x') }).promptTokens;
    const long = shapeOf(engine, { max_tokens: 5, ...body('x'.repeat(5001)) }).promptTokens;
    expect(long.hi - short.hi).toBe(5000);
    expect(long.lo).toBeLessThanOrEqual(20);
  });

  test('counts a frame for each message, the system prompt among them', () => {
    const hiOf = (body: object) => shapeOf(engine, { max_tokens: 5, ...body }).promptTokens.hi;
    const one = hiOf({ messages: MESSAGES });
    const bytes = Buffer.byteLength(JSON.stringify(MESSAGES[0])) + 1;
    const frame = ANY_FACTS.framing.perMessageTokens;
    expect(hiOf({ messages: [...MESSAGES, ...MESSAGES] }) - one).toBe(bytes + frame);
    expect(hiOf({ messages: MESSAGES, system: '' }) - one).toBe(2 + frame);
  });

  test('the result of a tool is written in more bytes than the frame of its message', () => {
    const block = { type: 'tool_result', tool_use_id: '', content: '' };
    expect(JSON.stringify(block).length).toBeGreaterThan(ANY_FACTS.framing.perMessageTokens);
  });

  test('writes what was granted and nothing else', () => {
    const text =
      '{"max_tokens" : 100, "messages":[{"role":"user","content":"hi"}],"seed":12345678901234567890, "top_p":1.0 }';
    expect(rewritten(engine, text, 40, { temperature: 0.5, topP: 0.9 })).toEqual({
      text: '{"max_tokens" : 40, "messages":[{"role":"user","content":"hi"}],"seed":12345678901234567890, "top_p":0.9 ,"temperature":0.5}',
      changed: ['max_tokens', 'temperature', 'top_p'],
      asksForUsage: false,
    });
    expect(rewritten(engine, text, null).text).toBe(text);
    expect(rewritten(engine, text, 200).text).toBe(text);
    const streamed = { ...ASKED, stream: true };
    expect(rewritten(engine, streamed, null).text).toBe(JSON.stringify(streamed));
  });

  test.each([
    [4000, 2000, '{"type":"enabled", "budget_tokens" : 1999, "x":1.0}'],
    [4000, 3999, '{"type":"enabled", "budget_tokens" : 3000, "x":1.0}'],
    [4000, 3001, '{"type":"enabled", "budget_tokens" : 3000, "x":1.0}'],
    [4000, 3000, '{"type":"enabled", "budget_tokens" : 2999, "x":1.0}'],
    [4000, 1, '{"type":"enabled", "budget_tokens" : 0, "x":1.0}'],
    [4000, 4000, '{"type":"enabled", "budget_tokens" : 3000, "x":1.0}'],
  ])('of %i tokens %i are granted: the budget stays below', (asked, granted, thinking) => {
    const written = '{"type":"enabled", "budget_tokens" : 3000, "x":1.0}';
    const messages = JSON.stringify(MESSAGES);
    const body = (json: string, limit: number) =>
      `{"thinking":${json},"messages":${messages},"max_tokens":${limit}}`;
    const { text, changed } = rewritten(engine, body(written, asked), granted);
    expect(text).toBe(body(thinking, Math.min(asked, granted)));
    const fields = [
      ...(granted < asked ? ['max_tokens'] : []),
      ...(thinking === written ? [] : ['thinking']),
    ];
    expect(changed).toEqual(fields);
  });

  test.each([
    [{ type: 'disabled' }],
    [{ type: 'adaptive' }],
    [{ type: 'enabled', budget_tokens: -1 }],
    [null],
  ])('leaves %j alone', (thinking) => {
    const { text } = rewritten(engine, { thinking, ...ASKED }, 40);
    expect(text).toBe(JSON.stringify({ thinking, ...ASKED, max_tokens: 40 }));
  });

  test('reads the usage of an answer: what came from the cache is a part of the prompt', () => {
    const usage = {
      input_tokens: 5,
      cache_read_input_tokens: 15,
      cache_creation_input_tokens: 7,
      output_tokens: 4,
    };
    const read = { promptTokens: 27, completionTokens: 4, cachedTokens: 15 };
    expect(adapter.usage({ type: 'message', usage }, route)).toEqual(read);
    expect(event({ type: 'message_start', message: { usage } }).usage).toEqual(read);
    const plain = { input_tokens: 5, output_tokens: 4, cache_read_input_tokens: null };
    const known = { promptTokens: 5, completionTokens: 4, cachedTokens: null };
    expect(adapter.usage({ usage: plain }, route)).toEqual(known);
    expect(adapter.usage({ type: 'message' }, route)).toBeNull();
  });

  test('the end of a stream may tell the output alone', () => {
    const usage = { output_tokens: 4 };
    expect(event({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage })).toEqual({
      ...SILENT,
      usage: { promptTokens: null, completionTokens: 4, cachedTokens: null },
    });
  });

  test.each([
    [{ type: 'text_delta', text: 'Hi' }, 1],
    [{ type: 'thinking_delta', thinking: 'Hm' }, 1],
    [{ type: 'input_json_delta', partial_json: '{"' }, 1],
    [{ type: 'input_json_delta', partial_json: '' }, 0],
    [{ type: 'signature_delta', signature: 's' }, 0],
  ])('a block with %j carries %i tokens', (delta, outputTokens) => {
    expect(event({ type: 'content_block_delta', index: 0, delta })).toEqual({
      ...SILENT,
      outputTokens,
    });
  });

  test.each([
    [{ type: 'ping' }],
    [{ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }],
    [{ type: 'content_block_stop', index: 0 }],
    [{ type: 'something_new' }],
  ])('%j says nothing that counts', (value) => expect(event(value)).toEqual(SILENT));

  test('message_stop ends a stream, [DONE] does not', () => {
    expect(event({ type: 'message_stop' })).toEqual({ ...SILENT, isEnd: true });
    expect(adapter.streamEvent('[DONE]', route)).toEqual(SILENT);
  });

  test.each([
    [{ type: 'error', error: { type: 'overloaded_error', message: 'busy' } }],
    [{ error: { code: 500, message: 'busy', type: 'server_error' } }],
    [{ error: 'busy' }],
  ])('%j is an error', (value) => {
    expect(event(value)).toEqual({ ...SILENT, error: 'busy' });
  });

  test('an error without words is one too', () => {
    expect(event({ type: 'error' }).error).not.toBeNull();
    expect(adapter.streamEvent('{"error": "broken "quotes"}', route).error).not.toBeNull();
  });
});

describe('a limit that is not named', () => {
  const engineRoute = (name: string) => {
    const found = routesOfKind('messages').find((engine) => engine.name === name);
    if (found === undefined) throw new Error(`${name} has no such route`);
    return found;
  };
  const limitOf = (name: string, body: object) =>
    shapeOf(engineRoute(name), { messages: MESSAGES, ...body }).requestedOutputTokens;

  test('is 4096 on llama.cpp, and none where null is sent', () => {
    expect(limitOf('llamacpp', {})).toBe(4096);
    expect(limitOf('llamacpp', { max_tokens: null })).toBeNull();
    expect(limitOf('llamacpp', { max_tokens: -1 })).toBeNull();
    const sent = { messages: MESSAGES, max_tokens: null };
    expect(rewritten(engineRoute('llamacpp'), sent, 9).text).toContain('"max_tokens":9');
    expect(rewritten(engineRoute('llamacpp'), { messages: MESSAGES }, 9).changed).toEqual([
      'max_tokens',
    ]);
  });

  test('is refused by vLLM', () => {
    const { adapter, route } = engineRoute('vllm');
    for (const body of [{ messages: MESSAGES }, { messages: MESSAGES, max_tokens: null }]) {
      expect(adapter.parse(scannedRequest(route, body), ANY_FACTS)).toEqual({
        invalid: 'max_tokens is required',
        param: 'max_tokens',
      });
    }
  });

  test('aliases of other routes do not hold', () => {
    expect(limitOf('llamacpp', { max_tokens: 50, n_predict: 5, max_completion_tokens: 7 })).toBe(
      50,
    );
  });
});
