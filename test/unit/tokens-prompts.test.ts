/** Prompts as engines print them, from the bodies of four APIs. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { RequestKind } from '../../backend-adapters/adapter.ts';
import type { TokenRange } from '../../proxy/memory/token-bounds.ts';
import type { LocalCounts } from '../../proxy/state/counts/local-counter.ts';
import { countPrompt } from '../../proxy/tokens/count-prompt.ts';
import { o200k } from '../../proxy/tokens/o200k.ts';
import type { Vocabulary } from '../../proxy/tokens/token-count.ts';

import { expectAccuracy } from '../support/accuracy.ts';

const WAYS = ['template', 'correctedTemplate', 'library', 'ollama'] as const;
const FRAMING = { baseTokens: 100, perMessageTokens: 10 };
const NEVER = Number.POSITIVE_INFINITY;

interface Recorded {
  readonly body: {
    readonly tools?: readonly unknown[];
    readonly messages: readonly { readonly tool_calls?: readonly unknown[] }[];
  };
  readonly promptTokens: Readonly<Record<(typeof WAYS)[number], number>>;
}

const conversations: readonly Recorded[] = JSON.parse(
  readFileSync('test/fixtures/tokens/conversations.json', 'utf8'),
);

function counts(kind: RequestKind, body: unknown): readonly (TokenRange | null)[] | null {
  return countsOf(kind, JSON.stringify(body));
}

function countsOf(kind: RequestKind, json: string): readonly (TokenRange | null)[] | null {
  return counted(kind, json)?.counts ?? null;
}

function counted(kind: RequestKind, json: string): LocalCounts | null {
  const bytes = new TextEncoder().encode(json);
  const job = {
    task: 'prompt',
    vocabulary: 'o200k_harmony',
    kind,
    body: bytes,
    framing: FRAMING,
  } as const;
  return countPrompt(job, o200k, NEVER);
}

function chat(body: object): readonly (TokenRange | null)[] | null {
  return counts('chat', body);
}

function expected(kind: RequestKind, body: unknown): (number | undefined)[] | undefined {
  return counts(kind, body)?.map((count) => count?.expected);
}

const USER = { role: 'user', content: 'hi' };
const TOOL = { name: 'now', description: 'Tells the time.' };
const CALL = { id: 'c1', type: 'function', function: { name: 'now', arguments: '{}' } };

describe('recorded conversations', () => {
  test.each(conversations.map((row, index) => [index, row] as const))('%i', (_index, row) => {
    const { body, promptTokens } = row;
    const hasTools = body.tools !== undefined;
    for (const [way, name] of WAYS.entries()) {
      const count = chat(body)?.[way];
      if (count === null || count === undefined) throw new Error(`${name} can't print it`);
      const told = promptTokens[name];
      expect([name, count.lo <= told, told <= count.hi]).toEqual([name, true, true]);
      // Details of a developer's message to Ollama, and of calls, are bounded.
      const isExact = !hasTools && count.lo === count.hi;
      if (isExact) expect([name, count.expected]).toEqual([name, told]);
      expect(count.hi - count.lo).toBeLessThanOrEqual(hasTools ? 40 : 16);
    }
  });

  test('most are exact, whoever prints them', () => {
    const rows = conversations.flatMap(({ body, promptTokens }) =>
      WAYS.map((name, way) => [chat(body)?.[way]?.expected, promptTokens[name]]),
    );
    const right = rows.filter(([ours, theirs]) => ours === theirs);
    const sum = (side: 0 | 1) => rows.reduce((tokens, row) => tokens + (row[side] ?? 0), 0);
    const off = Math.abs(sum(0) - sum(1)) / sum(1);
    expectAccuracy({
      part: 'prompt tokens, printed chats',
      bar: '<= 0.1 % off',
      seen: `${right.length} of ${rows.length} exact, ${(100 * off).toFixed(3)} % off in all`,
      against: 'the chat template in two versions, openai-harmony 0.0.8, and Ollama',
      holds: rows.length === 132 && right.length >= 125 && off <= 0.001,
    });
  });
});

test('the smallest chat, with what clients leave empty', () => {
  const message = { ...USER, name: null, annotations: [] };
  expect(expected('chat', { messages: [message] })).toEqual([68, 68, 68, 68]);
});

test('what spells a special token is one where the prompt is made as one text', () => {
  const spelled = { messages: [{ role: 'user', content: '<|end|>' }] };
  const [template, , library] = expected('chat', spelled) ?? [];
  expect([template, library]).toEqual([68, 72]);
});

describe('other APIs print the same chats', () => {
  const tools = [{ type: 'function', function: TOOL }];
  const plain = {
    messages: [
      { role: 'system', content: 'Be terse.' },
      USER,
      { role: 'assistant', content: 'yo' },
      USER,
    ],
  };
  const calling = {
    tools,
    messages: [
      { role: 'system', content: 'Be terse.' },
      USER,
      { role: 'assistant', content: '', tool_calls: [CALL] },
      { role: 'tool', tool_call_id: 'c1', content: 'noon' },
    ],
  };

  test.each<{ name: string; kind: RequestKind; body: object; as: object }>([
    { name: 'Ollama', kind: 'native-chat', body: plain, as: plain },
    {
      name: 'Responses',
      kind: 'responses',
      body: {
        instructions: 'Be terse.',
        input: [
          { role: 'user', content: [{ type: 'input_text', text: 'hi' }] },
          { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'yo' }] },
          USER,
        ],
      },
      as: plain,
    },
    {
      name: 'Responses with a call',
      kind: 'responses',
      body: {
        instructions: 'Be terse.',
        tools: [{ type: 'function', ...TOOL }],
        input: [
          USER,
          { type: 'function_call', call_id: 'c1', name: 'now', arguments: '{}' },
          { type: 'function_call_output', call_id: 'c1', output: 'noon' },
        ],
      },
      as: calling,
    },
    {
      name: 'Messages',
      kind: 'messages',
      body: {
        system: [{ type: 'text', text: 'Be terse.' }],
        messages: [USER, { role: 'assistant', content: 'yo' }, USER],
      },
      as: plain,
    },
    {
      name: 'Messages with a call',
      kind: 'messages',
      body: {
        system: 'Be terse.',
        tools: [TOOL],
        messages: [
          USER,
          { role: 'assistant', content: [{ type: 'tool_use', id: 'c1', name: 'now', input: {} }] },
          {
            role: 'user',
            content: [{ type: 'tool_result', tool_use_id: 'c1', content: 'noon' }],
          },
        ],
      },
      as: calling,
    },
  ])('$name', ({ kind, body, as }) => {
    expect(counts(kind, body)).toEqual(chat(as));
  });

  test('one text as input', () => {
    expect(counts('responses', { input: 'hi' })).toEqual(chat({ messages: [USER] }));
  });
});

describe('what may be printed or not widens the bounds', () => {
  const before = { messages: [USER, { role: 'assistant', content: 'yo' }, USER] };
  const width = (body: object) => chat(body)?.map((count) => (count ? count.hi - count.lo : null));

  test.each<[string, object]>([
    [
      'a schema for the answer',
      { response_format: { type: 'json_schema', json_schema: { a: 1 } } },
    ],
    ['an effort of another name', { reasoning_effort: 'minimal' }],
    [
      'parts that are joined',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'text', text: 'b' },
            ],
          },
        ],
      },
    ],
    ['an answer that is to go on', { messages: [USER, { role: 'assistant', content: 'yo' }] }],
  ])('%s', (_name, change) => {
    expect(width(before)).toEqual([0, 0, 0, 0]);
    for (const tokens of width({ ...before, ...change }) ?? []) expect(tokens).toBeGreaterThan(0);
  });
});

describe('nothing is said of what is not understood', () => {
  test.each<[string, RequestKind, unknown]>([
    ['no messages', 'chat', { messages: [] }],
    ['an unknown role', 'chat', { messages: [{ role: 'critic', content: 'x' }] }],
    [
      'an image',
      'chat',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }] },
    ],
    ['images of Ollama', 'native-chat', { messages: [{ ...USER, images: ['aGk='] }] }],
    ['a template of its own', 'chat', { messages: [USER], chat_template: '{{ messages }}' }],
    ['documents', 'chat', { messages: [USER], documents: [{}] }],
    [
      'tools that must not be used',
      'chat',
      { messages: [USER], tools: [{ function: TOOL }], tool_choice: 'none' },
    ],
    ['a name', 'chat', { messages: [{ ...USER, name: 'long '.repeat(99) }] }],
    ['tokens around the prompt', 'chat', { messages: [USER], add_special_tokens: true }],
    [
      'a call whose type is its own',
      'chat',
      {
        messages: [
          USER,
          {
            role: 'assistant',
            tool_calls: [{ function: { name: 'now', content_type: 'long '.repeat(99) } }],
          },
        ],
      },
    ],
    [
      'two thoughts, of which engines read one',
      'chat',
      { messages: [USER, { role: 'assistant', reasoning: 'short', thinking: 'a longer one' }] },
    ],
    ['a tool without a name', 'chat', { messages: [USER], tools: [{ function: {} }] }],
    ["a server's own tool", 'responses', { input: 'hi', tools: [{ type: 'web_search' }] }],
    ['a stored item', 'responses', { input: [{ type: 'item_reference', id: 'x' }] }],
    ['a document', 'messages', { messages: [{ role: 'user', content: [{ type: 'document' }] }] }],
    ['token ids', 'completion', { prompt: [1, 2, 3] }],
    ['a text to fill in', 'completion', { prompt: 'a', suffix: 'b' }],
    ['an embedding', 'embedding', { input: 'hi' }],
  ])('%s', (_name, kind, body) => {
    expect(counts(kind, body)).toBeNull();
  });

  test('a number with more digits than are left of it when it was read', () => {
    const digits = '9'.repeat(4_000);
    const tool = `{"function":{"name":"f","parameters":{"properties":{"a":{"default":${digits}}}}}}`;
    const body = `{"seed":${digits},"messages":[{"role":"user","content":"hi"}]`;
    expect(countsOf('chat', `${body}}`)).not.toBeNull();
    expect(countsOf('chat', `${body},"tools":[${tool}]}`)).toBeNull();
  });

  test('a result of a call that nobody made can not be printed by the template', () => {
    const body = { messages: [USER, { role: 'tool', content: 'x' }] };
    expect(chat(body)?.slice(0, 3)).toEqual([null, null, null]);
  });

  test('members that every object has are none of the body', () => {
    expect(
      chat({ messages: [USER], tools: [{ function: { name: 'constructor' } }] }),
    ).not.toBeNull();
    expect(counts('completion', {})).toBeNull();
  });
});

test('the default of a tool may be printed with spaces in it', () => {
  const value = Array.from({ length: 200 }, () => 1);
  const schema = { properties: { a: { type: 'array', default: value } } };
  const tools = [{ function: { name: 'f', description: 'x', parameters: schema } }];
  const tight = o200k.count(JSON.stringify(value), NEVER).hi;
  const spaced = o200k.count(JSON.stringify(value).replaceAll(',', ', '), NEVER).hi;
  for (const count of chat({ messages: [USER], tools })?.slice(0, 3) ?? []) {
    expect((count?.hi ?? 0) - (count?.expected ?? 0)).toBeGreaterThanOrEqual(spaced - tight);
  }
});

test.each<[string, object, string]>([
  ['one question', {}, ''],
  ['an effort', { reasoning_effort: 'high' }, 'effort:high'],
  ['an effort of another name', { reasoning_effort: 'x'.repeat(99) }, 'effort:other'],
  ['a schema', { response_format: { type: 'json_object' } }, 'schema'],
  ['tools', { tools: [{ function: TOOL }] }, 'tools'],
  ['Japanese', { messages: [{ role: 'user', content: 'こんにちは' }] }, 'foreign'],
  ['French', { messages: [{ role: 'user', content: "L'été sera très chaud, là-bas." }] }, ''],
  [
    'a conversation',
    {
      messages: [
        { role: 'system', content: 'Be terse.' },
        USER,
        { role: 'assistant', reasoning: 'Hm.', tool_calls: [CALL] },
        { role: 'tool', tool_call_id: 'c1', content: 'noon' },
        { role: 'system', content: 'Go on.' },
      ],
    },
    'system asides answers thoughts calls results',
  ],
])('what is in a prompt is named: %s', (_name, change, traits) => {
  const body = { messages: [USER], ...change };
  expect(counted('chat', JSON.stringify(body))?.traits).toBe(traits);
});

test('completions are text, and several prompts add up', () => {
  expect(expected('completion', { prompt: 'hello <|end|>' })).toEqual([3, 6]);
  expect(expected('completion', { prompt: ['hello', 'hello'] })).toEqual([2, 2]);
});

describe('another vocabulary', () => {
  /** A token a byte, between two that it adds. */
  const bytes: Vocabulary = {
    addedTokens: 2,
    count(text) {
      const tokens = Buffer.byteLength(text);
      return { lo: tokens, expected: tokens, hi: tokens };
    },
  };
  const count = (kind: RequestKind, body: unknown) => {
    const encoded = new TextEncoder().encode(JSON.stringify(body));
    const job = {
      task: 'prompt',
      vocabulary: 'file',
      kind,
      body: encoded,
      framing: FRAMING,
    } as const;
    return countPrompt(job, bytes, NEVER)?.counts ?? null;
  };

  test('completions are exact, with what is added', () => {
    expect(count('completion', { prompt: 'hello' })).toEqual([{ lo: 7, expected: 7, hi: 7 }]);
  });

  test('the template of a chat is bounded', () => {
    const body = {
      messages: [
        { role: 'system', content: ' told ' },
        { role: 'user', content: 'hello' },
      ],
    };
    // Two tokens of each text may be shared with the template, and blanks be trimmed.
    expect(count('chat', body)).toEqual([
      { lo: 4 - 2 + 5 - 2, expected: 11 + 120, hi: 11 + 120 + 4 },
    ]);
  });

  test('tools and thoughts may be printed', () => {
    const thought = { role: 'assistant', content: 'yo', reasoning_content: 'twelve bytes' };
    const [bare] =
      count('chat', { messages: [USER, { ...thought, reasoning_content: null }] }) ?? [];
    const [rich] = count('chat', { messages: [USER, thought], tools: [{ function: TOOL }] }) ?? [];
    expect(rich?.lo).toBe(bare?.lo);
    expect((rich?.hi ?? 0) - (bare?.hi ?? 0)).toBeGreaterThanOrEqual(
      12 + JSON.stringify(TOOL).length,
    );
  });
});
