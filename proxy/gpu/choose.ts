import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Clock } from '../state/clock.ts';
import type { GpuSource } from '../state/gpu-source.ts';
import { NoGpuSource } from './none.ts';
import { NvidiaSmiSource } from './nvidia-smi.ts';
import { type SimulatedGpuOptions, SimulatedGpuSource } from './simulated.ts';

const COMMAND = 'nvidia-smi';

export interface GpuSourceDeps {
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  /** Folders to look for nvidia-smi in, as in the PATH variable. */
  readonly searchPath: string;
  /** Present when the backend is a simulated server that tells its GPUs. */
  readonly readSimulated?: SimulatedGpuOptions['read'];
}

export interface ChosenGpuSource {
  readonly source: GpuSource;
  /** One plain sentence for the banner. */
  readonly why: string;
}

/** `--gpu-source` asks for a source that cannot exist here: a mistake in the configuration. */
class GpuSourceError extends Error {
  readonly code = 'gpu_source_unavailable';
}

/**
 * The reader that `--gpu-source` stands for. `auto` takes the simulated GPUs of
 * a simulated server first, since that server uses none of this machine's; then
 * nvidia-smi if it is installed, whether or not it works by now: a driver that
 * comes up late must be seen, and one that fails must be reported.
 *
 * @throws GpuSourceError when `simulated` is wanted and no server simulates one
 */
export async function chooseGpuSource(
  wanted: 'auto' | 'nvidia-smi' | 'simulated' | 'none',
  deps: GpuSourceDeps,
): Promise<ChosenGpuSource> {
  const { pollIntervalMs, clock, searchPath, readSimulated: read } = deps;
  if (wanted === 'none') {
    return { source: new NoGpuSource(), why: 'GPU memory is not read, as configured.' };
  }
  if (read !== undefined && wanted !== 'nvidia-smi') {
    const source = new SimulatedGpuSource({ read, pollIntervalMs, clock });
    return { source, why: 'GPU memory is read from the simulated server.' };
  }
  if (wanted === 'simulated') {
    throw new GpuSourceError('GPU source "simulated" needs a backend that simulates its GPUs');
  }
  if (wanted === 'nvidia-smi') {
    const source = new NvidiaSmiSource({ command: COMMAND, pollIntervalMs, clock });
    return { source, why: 'GPU memory is read by nvidia-smi, as configured.' };
  }
  const command = await findExecutable(COMMAND, searchPath);
  if (command === null) {
    return { source: new NoGpuSource(), why: 'GPU memory is not read: nvidia-smi is not in PATH.' };
  }
  const source = new NvidiaSmiSource({ command, pollIntervalMs, clock });
  return { source, why: `GPU memory is read by ${command}.` };
}

async function findExecutable(name: string, searchPath: string): Promise<string | null> {
  for (const folder of searchPath.split(delimiter).filter((entry) => entry !== '')) {
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not here, or not ours to execute: the next folder may have it.
    }
  }
  return null;
}
