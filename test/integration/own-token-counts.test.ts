/** kvgate in front of a gpt-oss that can't count: its own counts, once the engine confirmed them. */
import { afterEach, expect, test } from '@jest/globals';
import { countTokens } from 'gpt-tokenizer/encoding/o200k_harmony';
import {
  type ContractServer,
  member,
  respond,
  startContractServer,
} from '../support/engines/contract-server.ts';
import { eventually } from '../support/eventually.ts';
import { startTestGate, type TestGate } from '../support/gate.ts';

const CHAT = '/v1/chat/completions';
const CONTEXT_TOKENS = 600;
/** Of a chat of one message without a text. */
const FRAME_TOKENS = 67;
/** Loading the vocabulary in a thread of its own, on a machine that is busy with other suites. */
const PATIENCE_MS = 15_000;

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

/** Speaks OpenAI's API, and tells as many prompt tokens as `count` says. */
async function guarded(count: { of: (text: string) => number }) {
  const engine: ContractServer<never> = await startContractServer<never>({
    state({ method, path, response }) {
      if (method !== 'GET' || path !== '/v1/models') return false;
      respond(response, 200, { data: [{ id: 'gpt-oss-20b', max_model_len: CONTEXT_TOKENS }] });
      return true;
    },
    generates: (path) => path === CHAT,
    generate({ body, response }) {
      const [message] = member(body, 'messages') as readonly { readonly content: string }[];
      const usage = { prompt_tokens: count.of(message?.content ?? ''), completion_tokens: 1 };
      const said = { role: 'assistant', content: 'x' };
      respond(response, 200, {
        choices: [{ index: 0, message: said, finish_reason: 'stop' }],
        usage,
      });
    },
    notFound: '{}',
  });
  stops.push(engine.stop);
  const flags = { backend: [engine.url], 'gpu-source': 'none', 'drain-timeout': 0 };
  const gate = await startTestGate(flags);
  stops.push(gate.stop);
  return { engine, gate };
}

/** Long enough that two vocabularies do not agree on it by chance. */
const TELLING = 'and so on, '.repeat(24);

function body(content: string): string {
  const messages = [{ role: 'user', content }];
  return JSON.stringify({ model: 'gpt-oss-20b', messages, max_tokens: 16 });
}

async function post(gate: TestGate, path: string, content: string): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(gate.url + path, { method: 'POST', headers, body: body(content) });
}

async function ask(gate: TestGate, content: string): Promise<number> {
  const answer = await post(gate, CHAT, content);
  await answer.text();
  return answer.status;
}

/** What a request would be decided with. */
async function explained(gate: TestGate, content: string) {
  const answer = await post(gate, '/explain', content);
  const { decision } = (await answer.json()) as {
    readonly decision: {
      readonly action: string;
      readonly estimate: { readonly promptTokens: Readonly<Record<string, unknown>> };
    };
  };
  return { action: decision.action, ...decision.estimate.promptTokens };
}

const about = (gate: TestGate) =>
  gate.logged.filter(({ msg }) => msg.startsWith('Own token counts')).map(({ msg }) => msg);

test('are used after three prompts, and no more after one was wrong', async () => {
  const harmony = { of: (text: string) => FRAME_TOKENS + countTokens(text) };
  const count = { ...harmony };
  const { gate, engine } = await guarded(count);
  // By its bytes it may not fit; it has 184 tokens.
  const long = 'a word and another. '.repeat(26);
  expect(await explained(gate, long)).toMatchObject({ action: 'reject', source: 'bytes' });

  for (const text of ['one', 'two words', 'a third, with a comma']) {
    expect(await ask(gate, `${text} ${TELLING}`)).toBe(200);
  }
  await eventually(
    () => expect(about(gate)).toEqual(['Own token counts are used from now on']),
    PATIENCE_MS,
  );
  const tokens = harmony.of(long);
  expect(await explained(gate, long)).toEqual({
    action: 'accept',
    source: 'tokenizer',
    lo: tokens,
    expected: tokens,
    hi: tokens,
  });
  expect(await ask(gate, long)).toBe(200);
  expect(engine.received).toHaveLength(4);

  count.of = (text) => harmony.of(text) + 1;
  expect(await ask(gate, `${long}!`)).toBe(200);
  await eventually(() => expect(about(gate)).toHaveLength(2));
  expect(about(gate)[1]).toContain('not used');
  expect(await explained(gate, `${long}?`)).toMatchObject({ action: 'reject', source: 'bytes' });
});

test('are not used for a model that only calls itself gpt-oss', async () => {
  const { gate } = await guarded({ of: (text) => Buffer.byteLength(text) + 10 });
  for (let n = 0; n < 4; n += 1) expect(await ask(gate, `prompt ${n} ${TELLING}`)).toBe(200);
  await eventually(
    () => expect(about(gate)).toEqual(["Own token counts are not used: the engine's differ"]),
    PATIENCE_MS,
  );
});
