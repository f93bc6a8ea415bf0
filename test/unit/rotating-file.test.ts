/** Lines on a disk that may be slow, full or gone. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { RotatingFile, type RotatingFileOptions } from '../../proxy/telemetry/rotating-file.ts';
import { eventually } from '../support/eventually.ts';
import { createTempFiles } from '../support/temp-files.ts';

const made: { remove(): void }[] = [];
afterAll(() => {
  for (const files of made) files.remove();
});

function folderWith(text: string | null = null): string {
  const files = createTempFiles();
  made.push(files);
  const path = files.write('log', text ?? '');
  if (text === null) rmSync(path);
  return path;
}

async function opened(path: string, options: Partial<RotatingFileOptions> = {}) {
  const troubles: string[] = [];
  const file = await RotatingFile.open(path, {
    maxBytes: 1_000_000,
    keep: 2,
    maxWaitingBytes: 1_000,
    droppedLine: (lines) => `dropped ${lines}`,
    onTrouble: (why) => troubles.push(why),
    ...options,
  });
  return { file, troubles };
}

const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1);

test('lines go to the end of what is there', async () => {
  const path = folderWith('before\n');
  const { file } = await opened(path);
  for (const line of ['a', 'é', 'c']) file.write(line);
  await file.close();
  expect(linesOf(path)).toEqual(['before', 'a', 'é', 'c']);
});

test('a line that a crash cut short is ended first', async () => {
  const path = folderWith('before\nhal');
  const { file } = await opened(path);
  file.write('a');
  await file.close();
  expect(linesOf(path)).toEqual(['before', 'hal', 'a']);
});

test('a full file is put aside, and only so many are kept', async () => {
  const path = folderWith();
  const { file } = await opened(path, { maxBytes: 10 });
  for (const line of ['first--', 'second-', 'third--', 'fourth-']) {
    file.write(line);
    await eventually(() => expect(linesOf(path)).toContain(line));
  }
  await file.close();
  expect(readdirSync(dirname(path)).sort()).toEqual(['log', 'log.1', 'log.2']);
  expect(['', '.1', '.2'].map((suffix) => linesOf(path + suffix))).toEqual([
    ['fourth-'],
    ['third--'],
    ['second-'],
  ]);
});

describe('a file that others touch', () => {
  test.each([
    ['moved away', (path: string) => renameSync(path, `${path}.moved`)],
    ['removed', (path: string) => rmSync(path)],
    [
      'replaced',
      (path: string) => {
        rmSync(path);
        writeFileSync(path, '');
      },
    ],
  ])('%s: what comes next is found by its name', async (_what, touch) => {
    const path = folderWith();
    const { file } = await opened(path);
    file.write('before');
    await eventually(() => expect(linesOf(path)).toEqual(['before']));
    touch(path);
    file.write('after');
    await file.close();
    expect(linesOf(path)).toEqual(['after']);
  });

  test('written to by two, it stays within its size', async () => {
    const path = folderWith();
    const both = [await opened(path, { maxBytes: 40 }), await opened(path, { maxBytes: 40 })];
    for (let index = 0; index < 12; index += 1) {
      const line = `line ${index}`;
      both[index % 2]?.file.write(line);
      const files = () =>
        readdirSync(dirname(path)).flatMap((name) => linesOf(join(dirname(path), name)));
      await eventually(() => expect(files()).toContain(line));
    }
    for (const { file } of both) await file.close();
    const sizes = readdirSync(dirname(path)).map(
      (name) => statSync(join(dirname(path), name)).size,
    );
    expect(Math.max(...sizes)).toBeLessThanOrEqual(40);
    expect(linesOf(path).at(-1)).toBe('line 11');
  });
});

test('what a slow disk leaves waiting is bounded; the rest is dropped, counted and told', async () => {
  const path = folderWith();
  const { file } = await opened(path, { maxWaitingBytes: 20 });
  // Nothing is written within one turn of the event loop.
  for (let count = 0; count < 10; count += 1) file.write('1234567');
  expect(file.dropped).toBe(8);
  await file.close();
  expect(linesOf(path)).toEqual(['dropped 8', '1234567', '1234567']);
});

describe('a disk that fails', () => {
  test('is told of once, and written to again when it can be', async () => {
    const path = folderWith('x\n');
    const { file, troubles } = await opened(path, { maxBytes: 2 });
    // It is full with the next line, and can't be put aside.
    mkdirSync(`${path}.1`);
    writeFileSync(`${path}.1/in-the-way`, '');
    mkdirSync(`${path}.2`);
    writeFileSync(`${path}.2/in-the-way`, '');
    for (const line of ['a', 'b']) {
      file.write(line);
      await eventually(() => expect(file.dropped).toBe(line === 'a' ? 1 : 2));
    }
    expect(troubles).toHaveLength(1);
    rmSync(`${path}.1`, { recursive: true });
    rmSync(`${path}.2`, { recursive: true });
    file.write('c');
    await file.close();
    expect(linesOf(path)).toEqual(['dropped 2', 'c']);
  });

  test.each([
    ['a folder', (path: string) => dirname(path)],
    ['a device', () => '/dev/null'],
    ['in no folder', (path: string) => `${path}-missing/log`],
  ])('%s is no file to open', async (_what, pathOf) => {
    await expect(opened(pathOf(folderWith()))).rejects.toThrow();
  });
});

test('a file that takes the place of another begins with what is needed to read it', async () => {
  const path = folderWith('before\n');
  const { file } = await opened(path, { maxBytes: 20, headLines: () => ['head'] });
  file.write('a');
  await eventually(() => expect(linesOf(path)).toEqual(['before', 'a']));
  file.write('x'.repeat(18));
  await eventually(() => expect(linesOf(path)).toEqual(['head', 'x'.repeat(18)]));
  renameSync(path, `${path}.moved`);
  file.write('b');
  await file.close();
  expect(linesOf(path)).toEqual(['head', 'b']);
});
