/** The model file that a listener names, read as the listener itself would see it. */
import { execFileSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { engineHost } from '../../proxy/engine-host.ts';
import { createTempFiles } from '../support/temp-files.ts';
import { tinyGguf } from '../support/tiny-gguf.ts';

const signal = new AbortController().signal;
const files = createTempFiles();
const server: Server = createServer();
let url = '';
let model = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  model = files.write('model.gguf', '');
  writeFileSync(model, tinyGguf());
  truncateSync(model, 60 * 2 ** 30);
});
afterAll(() => {
  server.close();
  files.remove();
});

test('by its whole path, and by one from where the listener was started', async () => {
  for (const path of [model, relative(process.cwd(), model)]) {
    const metadata = await engineHost(url).modelMetadata(path, signal);
    expect(metadata?.get('general.name')).toBe('tiny-gpt-oss');
  }
});

test.each([
  ['a file that is not there', () => `${model}.gone`],
  ['a folder', () => '/'],
  ['a device without end', () => '/dev/zero'],
  ['a file of another kind', () => files.write('config.json', '{}')],
  ['a header that is cut off', () => files.write('cut.gguf', 'GGUF\u0003\0\0\0')],
  ['a name with a zero in it', () => `${model}\0`],
  [
    'a pipe that nobody writes to',
    () => {
      const pipe = `${model}.pipe`;
      execFileSync('mkfifo', [pipe]);
      return pipe;
    },
  ],
])('%s tells nothing', async (_, path) => {
  expect(await engineHost(url).modelMetadata(path(), signal)).toBeNull();
});

test('a listener that is not seen, or on another host, tells nothing', async () => {
  const { port } = new URL(url);
  for (const elsewhere of [`http://192.0.2.1:${port}`, 'http://127.0.0.1:1']) {
    expect(await engineHost(elsewhere).modelMetadata(model, signal)).toBeNull();
  }
});

test('nobody waits for it any more', async () => {
  expect(await engineHost(url).modelMetadata(model, AbortSignal.abort())).toBeNull();
});
