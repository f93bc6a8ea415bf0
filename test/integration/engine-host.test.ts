/** The model file that a listener names, read as the listener itself would see it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { engineHost } from '../../proxy/engine-host.ts';
import { pathSeenFrom } from '../../proxy/http/process-path.ts';
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

test('through links, as engines keep their models', async () => {
  const link = `${model}.link`;
  symlinkSync('model.gguf', `${model}.near`);
  symlinkSync(`${model}.near`, link);
  expect((await engineHost(url).modelMetadata(link, signal))?.has('general.name')).toBe(true);
});

test.each([
  ['a file that is not there', () => `${model}.gone`],
  ['a folder', () => '/'],
  ['a device without end', () => '/dev/zero'],
  [
    'a link to itself',
    () => {
      symlinkSync(`${model}.circle`, `${model}.circle`);
      return `${model}.circle`;
    },
  ],
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

test('one file at a time, so that a dead file system holds no second thread', async () => {
  const host = engineHost(url);
  const both = [host.modelMetadata(model, signal), host.modelMetadata(model, signal)];
  expect((await Promise.all(both)).map((metadata) => metadata !== null)).toEqual([true, false]);
  expect(await host.modelMetadata(model, signal)).not.toBeNull();
});

test('who is told to give up meanwhile is answered at once', async () => {
  const host = engineHost(url);
  const giveUp = new AbortController();
  const read = host.modelMetadata(model, giveUp.signal);
  giveUp.abort();
  expect(await read).toBeNull();
});

/** A container's root with links of all kinds, and files of the same names outside of it. */
describe('a path inside another root', () => {
  const folders = () => {
    const top = join(dirname(model), 'container');
    return { root: top, cwd: join(top, 'work') };
  };
  beforeAll(() => {
    const { root, cwd } = folders();
    for (const folder of [join(root, 'models'), cwd]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(root, 'models/m.gguf'), '');
    symlinkSync('/models', join(root, 'absolute'));
    symlinkSync('../models/m.gguf', join(cwd, 'near'));
    symlinkSync('../../../../../models/m.gguf', join(root, 'models/above'));
    symlinkSync('/etc/passwd', join(root, 'models/outside'));
    symlinkSync('/absolute/above', join(cwd, 'chain'));
    symlinkSync('/models/round', join(root, 'models/round'));
  });

  test.each([
    ['/models/m.gguf', 'models/m.gguf'],
    ['/models//./m.gguf', 'models/m.gguf'],
    ['/absolute/m.gguf', 'models/m.gguf'],
    ['/../../models/m.gguf', 'models/m.gguf'],
    ['/models/above', 'models/m.gguf'],
    ['/models/outside', 'etc/passwd'],
    ['/models/nothing', 'models/nothing'],
    ['m.gguf', 'work/m.gguf'],
    ['near', 'work/../models/m.gguf'],
    ['chain', 'models/m.gguf'],
  ])('%s is %s below it', async (path, below) => {
    const { root } = folders();
    expect(await pathSeenFrom(folders(), path)).toBe(join(root, '/') + below);
  });

  test.each(['/models/round', 'a/'.repeat(2_000)])('%.20s leads nowhere', async (path) => {
    expect(await pathSeenFrom(folders(), path)).toBeNull();
  });
});
