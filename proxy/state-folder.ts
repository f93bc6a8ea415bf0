/** The folder of `--state-dir`: one file, replaced as a whole, and those that were set aside. */
import { randomUUID } from 'node:crypto';
import { constants, existsSync, mkdirSync } from 'node:fs';
import { mkdtemp, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { StateStore } from './state/lengths/learned-state.ts';

const STATE_FILE = 'learned.json';
/** A full state is below 4 MiB. */
const MAX_STATE_BYTES = 16 * 1024 ** 2;
/** After that many the oldest is overwritten. */
const MAX_SET_ASIDE = 5;
/** What is not yet in place has this name, with something of its own in between. */
const UNFINISHED = { start: `${STATE_FILE}.`, end: '.tmp' };
/** Far longer than a write takes: what is older was left by a process that was killed at it. */
const UNFINISHED_MS = 600_000;

/**
 * Makes the folder where it is missing, and tries that it can be written to.
 * @throws Error that says why it can't be used
 */
export async function openStateFolder(folder: string): Promise<StateStore> {
  makeFolder(folder);
  const trial = await mkdtemp(join(folder, '.trial-'));
  await rm(trial, { recursive: true });
  await removeLeftovers(folder);
  const path = join(folder, STATE_FILE);
  return {
    read: () => readAll(path),
    write: (text) => replace(path, text),
    setAside: () => setAside(path),
  };
}

/**
 * One folder after the other, since node's own way to make them all tries for
 * ever where a file system says that what was just made is missing (/proc).
 */
function makeFolder(folder: string): void {
  const missing: string[] = [];
  for (let at = resolve(folder); !existsSync(at); at = dirname(at)) missing.unshift(at);
  for (const each of missing) {
    try {
      mkdirSync(each, { mode: 0o700 });
    } catch (error) {
      // Somebody else made it at the same moment.
      if (!existsSync(each)) throw error;
    }
  }
}

async function readAll(path: string): Promise<string | null> {
  // A pipe that lies there must not keep the start waiting for somebody to write into it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw new Error('it is no regular file');
    const { size } = stats;
    if (size > MAX_STATE_BYTES) throw new Error(`it is larger than ${MAX_STATE_BYTES} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/**
 * Whoever reads meanwhile, or after a crash, finds the one before or this one,
 * whole. So does another process that writes here at the same moment: in two
 * containers both have the same number.
 */
async function replace(path: string, text: string): Promise<void> {
  const beside = `${path}.${randomUUID()}${UNFINISHED.end}`;
  try {
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    // On a full disk half a file would stay in the way of the next attempt.
    await rm(beside, { force: true }).catch(() => {});
    throw error;
  }
}

async function removeLeftovers(folder: string): Promise<void> {
  const { start, end } = UNFINISHED;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const isUnfinished = name.startsWith(start) && name.endsWith(end);
    const isLeft = isUnfinished && Date.now() - (await timeOf(path, 'mtimeMs')) > UNFINISHED_MS;
    if (isLeft) await rm(path, { force: true });
  }
}

async function setAside(path: string): Promise<string> {
  const names = Array.from({ length: MAX_SET_ASIDE }, (_, index) => `${path}.corrupt-${index + 1}`);
  const ages = await Promise.all(names.map((name) => timeOf(name, 'ctimeMs')));
  const oldest = ages.indexOf(Math.min(...ages));
  const name = names[oldest] ?? `${path}.corrupt-1`;
  await rename(path, name);
  return name;
}

/** 0 for a name that is free. */
async function timeOf(path: string, which: 'mtimeMs' | 'ctimeMs'): Promise<number> {
  try {
    return (await stat(path))[which];
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ENOENT';
}
