/** `--tokenizer`, as an operator gives it. */
import { tmpdir } from 'node:os';
import { afterAll, expect, test } from '@jest/globals';
import { loadConfig } from '../../proxy/config/load.ts';
import { startTestGate } from '../support/gate.ts';
import { runKvgate } from '../support/run-kvgate.ts';
import { startStubBackend } from '../support/stub-backend.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { tokenizer } from '../support/tiny-gpt-oss-tokens.ts';

const files = createTempFiles();
afterAll(() => files.remove());

test.each([
  ['is not there', '/nowhere/tokenizer.json', "can't be read"],
  ['is a folder', tmpdir(), 'is not a file'],
  ['is no JSON', files.write('words.txt', 'words'), 'is not JSON; a tokenizer.json is wanted'],
  ['is empty', files.write('empty.json', ''), 'is not JSON; a tokenizer.json is wanted'],
])('a file that %s is a problem of the configuration', (_name, path, why) => {
  const loaded = loadConfig({
    command: 'serve',
    flags: { backend: ['http://127.0.0.1:1'], tokenizer: path },
    env: {},
  });
  expect(loaded).toMatchObject({
    ok: false,
    problems: [{ field: 'tokenizer', message: expect.stringContaining(`${path} ${why}`) }],
  });
});

test('JSON that is no tokenizer ends the start with exit code 2, and says so', async () => {
  const backend = await startStubBackend();
  const path = files.write('config.json', '{"model_type":"gpt_oss"}');
  const args = ['serve', '--port', '0', '--gpu-source', 'none', '--tokenizer', path];
  const { code, err } = await runKvgate([...args, '--backend', backend.url]);
  await backend.stop();
  expect(code).toBe(2);
  expect(err).toContain(`--tokenizer: ${path} is no tokenizer.json that can be used`);
});

test('a good one is loaded before the first request is taken', async () => {
  const backend = await startStubBackend();
  const path = files.write('tokenizer.json', JSON.stringify(tokenizer()));
  const gate = await startTestGate({
    backend: [backend.url],
    'gpu-source': 'none',
    tokenizer: path,
  });
  expect(gate.logged.filter(({ msg }) => msg.startsWith('Vocabulary'))).toEqual([]);
  await gate.stop();
  await backend.stop();
});
