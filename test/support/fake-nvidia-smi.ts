import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What one start of the fake does. */
export interface FakeRun {
  /** Written as they are, one after the other, an interval (`-lms`) apart. */
  readonly stdout: readonly string[];
  readonly stderr?: string;
  /** After the last chunk: begin again, print nothing more, or exit. */
  readonly atEnd: 'repeat' | 'hang' | { readonly exit: number };
  readonly ignoreSigterm?: boolean;
}

interface FakeStart {
  readonly pid: number;
  readonly args: readonly string[];
  /** Earlier starts that were still running at this one. */
  readonly beside: readonly number[];
}

export interface FakeNvidiaSmi {
  /** A folder of its own, as it would be in PATH. */
  readonly folder: string;
  readonly command: string;
  starts(): readonly FakeStart[];
  remove(): void;
}

/** An executable `nvidia-smi` that does `runs` in turn, one at each start, and repeats the last. */
export function installFakeNvidiaSmi(runs: readonly FakeRun[]): FakeNvidiaSmi {
  const folder = mkdtempSync(join(tmpdir(), 'kvgate-nvidia-smi-'));
  const command = join(folder, 'nvidia-smi');
  writeFileSync(join(folder, 'script.json'), JSON.stringify({ runs }));
  symlinkSync(fileURLToPath(new URL('./fake-nvidia-smi.mjs', import.meta.url)), command);
  return {
    folder,
    command,
    starts() {
      const file = join(folder, 'starts');
      if (!existsSync(file)) return [];
      const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
      return lines.map((line): FakeStart => JSON.parse(line));
    },
    remove() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A line of nvidia-smi about GPU `index`. */
export function gpuLine(index: number, usedMib: number, totalMib = 81_559): string {
  return `${index}, GPU-${index}, NVIDIA H100 80GB HBM3, ${totalMib}, ${usedMib}, 7, Disabled\n`;
}
