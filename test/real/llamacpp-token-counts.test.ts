/** The tokens that llama-server's own counters tell kvgate, and those that it then says it had. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { llamacpp } from '../../backend-adapters/llamacpp.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { describeReal } from '../support/describe-real.ts';
import { httpEngineIo } from '../support/http-engine-io.ts';
import { type RunningLlamaServer, startLlamaServer } from '../support/llama-server.ts';
import { scannedRequest } from '../support/scanned-request.ts';
import { TEXT_KINDS } from '../support/text-kinds.ts';

const PROMPTS = 200;
const ROUTES = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/messages',
] as const;
/** The tiny model counts bytes: short texts keep the test short. */
const LONGEST_TEXT_CHARS = 160;
const TOOL = {
  name: 'weather',
  description: 'Tells the weather of a town.',
  parameters: { type: 'object', properties: { town: { type: 'string' } }, required: ['town'] },
};

interface Prompt {
  readonly path: (typeof ROUTES)[number];
  readonly body: Readonly<Record<string, unknown>>;
}

/** The n-th of them: each route in turn, with a text of each kind, with and without all else. */
function promptOf(n: number): Prompt {
  const path = ROUTES[n % ROUTES.length] ?? ROUTES[0];
  const kind = TEXT_KINDS[n % TEXT_KINDS.length];
  // By characters: half of one is refused.
  const characters = [...(kind?.text ?? '')].slice(n, n + 1 + ((n * 37) % LONGEST_TEXT_CHARS));
  const text = characters.join('').trim() || 'x';
  const turns = [
    { role: 'user', content: text },
    ...(n % 3 === 0
      ? [
          { role: 'assistant', content: `seen ${n}` },
          { role: 'user', content: 'and now?' },
        ]
      : []),
  ];
  const system = n % 5 === 0 ? 'Be brief.' : null;
  const hasTools = n % 7 === 0;
  switch (path) {
    case '/v1/chat/completions': {
      const told = system === null ? [] : [{ role: 'system', content: system }];
      const tools = hasTools ? { tools: [{ type: 'function', function: TOOL }] } : {};
      return { path, body: { messages: [...told, ...turns], max_tokens: 1, ...tools } };
    }
    case '/v1/completions':
      return { path, body: { prompt: text, max_tokens: 1 } };
    case '/v1/responses': {
      const told = system === null ? {} : { instructions: system };
      return { path, body: { input: n % 2 === 0 ? text : turns, max_output_tokens: 1, ...told } };
    }
    case '/v1/messages': {
      const told = system === null ? {} : { system };
      const { name, description, parameters } = TOOL;
      const tools = hasTools ? { tools: [{ name, description, input_schema: parameters }] } : {};
      return { path, body: { messages: turns, max_tokens: 1, ...told, ...tools } };
    }
  }
}

describeReal("llama-server's counters", () => {
  let server: RunningLlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer(['-c', '4096', '-np', '1', '--jinja']);
  });
  afterAll(() => server.stop());

  test(`tell what ${PROMPTS} prompts have, to the token`, async () => {
    const io = httpEngineIo(server.url);
    const signal = AbortSignal.timeout(25_000);
    const rows: { n: number; path: string; counted: number | null; told: unknown }[] = [];
    for (let n = 0; n < PROMPTS; n += 1) {
      const { path, body } = promptOf(n);
      const request = scannedRequest(path, body);
      const counted = await llamacpp.countTokens(io, request, signal);
      const reply = await io.post(path, request.body, signal);
      const usage = llamacpp.usage(JSON.parse(reply.body), request.route);
      rows.push({ n, path, counted, told: usage?.promptTokens });
    }
    const wrong = rows.filter(({ counted, told }) => counted !== told || !counted);
    expect(wrong).toEqual([]);
    expectAccuracy({
      part: "prompt tokens, the engine's counter",
      bar: '0 difference',
      seen: `${wrong.length} of ${rows.length} prompts differ`,
      against: 'usage of a real llama-server, on four routes',
      holds: wrong.length === 0 && rows.length === PROMPTS,
    });
  });
});
