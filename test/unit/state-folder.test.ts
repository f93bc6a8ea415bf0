/** The folder of `--state-dir`, with what others and crashes leave there. */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { openStateFolder } from '../../proxy/state-folder.ts';
import { createTempFiles } from '../support/temp-files.ts';

const made: { remove(): void }[] = [];
afterAll(() => {
  for (const files of made) files.remove();
});

function freshFolder(): string {
  const files = createTempFiles();
  made.push(files);
  const folder = join(dirname(files.write('taken', '')), 'state');
  mkdirSync(folder);
  return folder;
}

const STATE = 'learned.json';
const HOUR_MS = 3_600_000;

test('a folder that is missing is made, with those above it, for nobody else to read', async () => {
  const folder = join(freshFolder(), 'a', 'b');
  await openStateFolder(folder);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test('a folder that can not be made is refused, and not tried for ever', async () => {
  // Linux says here of a new folder that it does not exist.
  await expect(openStateFolder('/proc/kvgate')).rejects.toMatchObject({ syscall: 'mkdir' });
  const file = join(freshFolder(), 'file');
  writeFileSync(file, '');
  await expect(openStateFolder(join(file, 'below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test('two that write at once leave the whole state of one', async () => {
  const folder = freshFolder();
  const stores = [await openStateFolder(folder), await openStateFolder(folder)];
  const texts = ['a', 'b'].map((letter) => letter.repeat(200_000));
  for (let round = 0; round < 5; round += 1) {
    await Promise.all(stores.map((store, index) => store.write(texts[index] ?? '')));
    expect(texts).toContain(readFileSync(join(folder, STATE), 'utf8'));
  }
  expect(readdirSync(folder)).toEqual([STATE]);
});

test('a write that fails leaves nothing behind', async () => {
  const folder = freshFolder();
  const store = await openStateFolder(folder);
  mkdirSync(join(folder, STATE, 'in-the-way'), { recursive: true });
  await expect(store.write('text')).rejects.toThrow();
  expect(readdirSync(folder)).toEqual([STATE]);
});

test('what a killed process was writing is removed once it is old', async () => {
  const folder = freshFolder();
  const names = [`${STATE}.old.tmp`, `${STATE}.new.tmp`, `${STATE}.corrupt-1`, 'of-somebody.tmp'];
  for (const name of names) writeFileSync(join(folder, name), 'half');
  const before = (Date.now() - HOUR_MS) / 1_000;
  for (const name of names.filter((one) => !one.includes('new')))
    utimesSync(join(folder, name), before, before);
  await openStateFolder(folder);
  expect(readdirSync(folder).sort()).toEqual(names.filter((name) => !name.includes('old')).sort());
});

describe('what is no file is not read, and can be set aside', () => {
  test.each<[string, (path: string) => void]>([
    ['a pipe', (path) => execFileSync('mkfifo', [path])],
    ['a device', (path) => symlinkSync('/dev/zero', path)],
    ['a folder', (path) => mkdirSync(path)],
  ])('%s', async (_what, make) => {
    const folder = freshFolder();
    make(join(folder, STATE));
    const store = await openStateFolder(folder);
    await expect(store.read()).rejects.toThrow('no regular file');
    await store.setAside();
    expect(await store.read()).toBeNull();
  });
});
