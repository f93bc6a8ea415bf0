import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, test } from '@jest/globals';

const SOURCE = fileURLToPath(new URL('./fake-nvml/nvml.c', import.meta.url));

export type NvmlScript = Readonly<Record<string, string | number>>;

export interface FakeNvml {
  readonly folder: string;
  /** Of the compiled library. */
  readonly path: string;
  /** Says something else from the next call on: see nvml.c for the keys. */
  say(script: NvmlScript): void;
  /** Names of the functions that were called, in order. */
  calls(): readonly string[];
  remove(): void;
}

/** A library of its own, compiled from C. @param flags `-DOLD_DRIVER`: without what newer ones have */
export function compileFakeNvml(script: NvmlScript, ...flags: readonly string[]): FakeNvml {
  const folder = mkdtempSync(join(tmpdir(), 'kvgate-nvml-'));
  const path = join(folder, 'libnvidia-ml.so.1');
  const files = { script: join(folder, 'script'), calls: join(folder, 'calls') };
  const say = (next: NvmlScript) => {
    const lines = Object.entries(next).map(([key, value]) => `${key}=${value}\n`);
    // Renamed into place: a call reads the old one or the new one, whole.
    writeFileSync(`${files.script}.new`, lines.join(''));
    renameSync(`${files.script}.new`, files.script);
  };
  say(script);
  const defines = [`-DSCRIPT="${files.script}"`, `-DCALLS="${files.calls}"`, ...flags];
  const gcc = spawnSync(
    'gcc',
    ['-Wall', '-Werror', '-shared', '-fPIC', '-o', path, ...defines, SOURCE],
    { encoding: 'utf8' },
  );
  if (gcc.status !== 0) throw new Error(`gcc: ${gcc.error?.message ?? gcc.stderr}`);
  return {
    folder,
    path,
    say,
    calls: () =>
      existsSync(files.calls) ? readFileSync(files.calls, 'utf8').split('\n').slice(0, -1) : [],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** What a healthy GPU says. */
export function nvmlGpu(index: number, change: NvmlScript = {}): NvmlScript {
  const values = {
    uuid: `GPU-${index}`,
    name: 'NVIDIA H100 80GB HBM3',
    total: 85_520_809_984,
    reserved: 577_765_376,
    used: 1_000_000_000 + index,
    util: 7,
    ...change,
  };
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [`gpu${index}.${key}`, value]),
  );
}

/** A suite that needs a C compiler; without one it is skipped with the reason, and fails under CI. */
export function describeCompiled(name: string, suite: () => void): void {
  if (spawnSync('gcc', ['--version']).status === 0) {
    describe(name, suite);
    return;
  }
  const why = 'gcc is not installed, which the stand-in for NVML is compiled with';
  if (process.env.CI) {
    describe(name, () => {
      test('a C compiler is there', () => {
        throw new Error(why);
      });
    });
    return;
  }
  const { skip: skipped } = describe;
  console.warn(`${name}: skipped: ${why}`);
  skipped(name, suite);
}
