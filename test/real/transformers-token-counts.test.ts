/** kvgate's own counts against a real `transformers serve`, which has no counter to ask. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { describeReal } from '../support/describe-real.ts';
import { eventually } from '../support/eventually.ts';
import { type Flags, startTestGate, type TestGate } from '../support/gate.ts';
import { ask, type Completion, user } from '../support/model-client.ts';
import { findPython, type RunningPythonServer } from '../support/python-server.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { tokenizer } from '../support/tiny-gpt-oss-tokens.ts';
import { startTransformersServer } from '../support/transformers-server.ts';

const CHAT = '/v1/chat/completions';
const TEXT = '/v1/completions';

/** Of a model with a vocabulary of its own. */
const CONFIG = 'test/fixtures/tiny-gpt-oss-config.json';

interface Explained {
  readonly decision: {
    readonly estimate: {
      readonly promptTokens: {
        readonly lo: number;
        readonly hi: number;
        readonly source: string;
      };
    };
  };
}

/** Long enough that two vocabularies do not agree on it by chance. */
const TELLING = 'and so on, '.repeat(200);

function suite(): void {
  const files = createTempFiles();
  let server: RunningPythonServer;
  const gates: TestGate[] = [];
  beforeAll(async () => {
    server = await startTransformersServer();
  }, 150_000);
  afterAll(async () => {
    for (const gate of gates) await gate.stop();
    await server.stop();
    files.remove();
  });

  const guarded = async (flags: Flags): Promise<TestGate> => {
    const gate = await startTestGate({
      backend: [server.url],
      adapter: 'transformers',
      'gpu-source': 'none',
      'on-stale': 'pass',
      ...flags,
    });
    gates.push(gate);
    return gate;
  };
  const about = (gate: TestGate) =>
    gate.logged.filter(({ msg }) => msg.startsWith('Own token counts')).map(({ msg }) => msg);
  const bodyOf = (path: string, text: string) => ({
    max_tokens: 1,
    ...(path === CHAT ? { messages: user(text) } : { prompt: text }),
  });

  test.each([TEXT, CHAT])('the tokenizer.json of the model is confirmed on %s', async (path) => {
    const file = files.write('tokenizer.json', JSON.stringify(tokenizer()));
    const gate = await guarded({ tokenizer: file, 'model-config': CONFIG });
    for (const text of ['one', 'zwei Wörter', 'trois <|end|> mots']) {
      const { status } = await ask<Completion>(gate.url + path, bodyOf(path, `${text} ${TELLING}`));
      expect(status).toBe(200);
    }
    const used = ['Own token counts are used from now on'];
    await eventually(() => expect(about(gate)).toEqual(used));
  });

  test('a model made for tests, that says it is gpt-oss, is found out', async () => {
    const gate = await guarded({
      'model-config': files.write(
        'config.json',
        JSON.stringify({ ...JSON.parse(readFileSync(CONFIG, 'utf8')), vocab_size: 201_088 }),
      ),
    });
    await ask<Completion>(gate.url + CHAT, bodyOf(CHAT, TELLING));
    await eventually(() =>
      expect(about(gate)).toEqual(["Own token counts are not used: the engine's differ"]),
    );
    const { body } = await ask<Explained>(`${gate.url}/explain`, bodyOf(CHAT, TELLING));
    expect(body.decision.estimate.promptTokens.source).toBe('bytes');
  });
}

describeReal("own counts of a transformers server's prompts", suite, findPython('transformers'));
