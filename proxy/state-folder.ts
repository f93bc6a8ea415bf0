/** The folder of `--state-dir`: one file, replaced as a whole, and those that were set aside. */
import { mkdirSync } from 'node:fs';
import { mkdtemp, open, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StateStore } from './state/lengths/learned-state.ts';

const STATE_FILE = 'learned.json';
/** A full state is below 4 MiB. */
const MAX_STATE_BYTES = 16 * 1024 ** 2;
/** After that many the oldest is overwritten. */
const MAX_SET_ASIDE = 5;

/**
 * Makes the folder where it is missing, and tries that it can be written to.
 * @throws Error that says why it can't be used
 */
export async function openStateFolder(folder: string): Promise<StateStore> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const trial = await mkdtemp(join(folder, '.trial-'));
  await rm(trial, { recursive: true });
  const path = join(folder, STATE_FILE);
  return {
    read: () => readAll(path),
    write: (text) => replace(path, text),
    setAside: () => setAside(path),
  };
}

async function readAll(path: string): Promise<string | null> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isMissing(error)) return null;
    throw error;
  });
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    if (size > MAX_STATE_BYTES) throw new Error(`it is larger than ${MAX_STATE_BYTES} bytes`);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}

/** Whoever reads meanwhile, or after a crash, finds the one before or this one, whole. */
async function replace(path: string, text: string): Promise<void> {
  const beside = `${path}.${process.pid}.tmp`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

async function setAside(path: string): Promise<string> {
  const names = Array.from({ length: MAX_SET_ASIDE }, (_, index) => `${path}.corrupt-${index + 1}`);
  const ages = await Promise.all(names.map(changedAtMs));
  const oldest = ages.indexOf(Math.min(...ages));
  const name = names[oldest] ?? `${path}.corrupt-1`;
  await rename(path, name);
  return name;
}

/** 0 for a name that is free. */
async function changedAtMs(path: string): Promise<number> {
  try {
    return (await stat(path)).ctimeMs;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === 'ENOENT';
}
