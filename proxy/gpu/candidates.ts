/** Sources that can be chosen: whether each can exist here, whether it answers, and what to say of it. */
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Clock } from '../state/clock.ts';
import type { GpuReading, GpuSource } from '../state/gpu-source.ts';
import { DcgmSource } from './dcgm.ts';
import { firstRound } from './first-round.ts';
import { NvidiaSmiSource } from './nvidia-smi.ts';
import { NvmlSource } from './nvml.ts';
import type { LoadedNvml } from './nvml-library.ts';
import { UnifiedSource } from './unified.ts';
import { MIG_PARENT } from './unknown-why.ts';

const COMMAND = 'nvidia-smi';
const NVML_WAIT_MS = 3_000;
/** Where no process keeps the driver awake, a first nvidia-smi takes seconds. */
const SMI_WAIT_MS = 6_000;
const DCGM_WAIT_MS = 5_000;

export interface CandidateDeps {
  readonly pollIntervalMs: number;
  readonly clock: Clock;
  /** Indexes or UUIDs of the GPUs that count; empty: all. */
  readonly gpuIds: readonly string[];
  /** Folders to look for nvidia-smi in, as in the PATH variable. */
  readonly searchPath: string;
  readonly loadNvml: () => Promise<LoadedNvml>;
  /** The text of /proc/meminfo. */
  readonly readMeminfo: () => Promise<string>;
  readonly dcgm: {
    readonly url: string;
    readonly read: (signal: AbortSignal) => Promise<string>;
    /** Whether the operator named the address. */
    readonly isGiven: boolean;
  };
}

export interface ChosenGpuSource {
  readonly source: GpuSource;
  /** One plain sentence for the banner. */
  readonly why: string;
}

export type Candidate =
  | {
      readonly state: 'answers';
      readonly chosen: ChosenGpuSource;
      /** Those that count, as they were read just now. */
      readonly gpus: readonly GpuReading[];
    }
  /** It can exist here, and may answer later: a driver that comes up late must be seen. */
  | { readonly state: 'silent'; readonly chosen: ChosenGpuSource; readonly why: string }
  | { readonly state: 'impossible'; readonly why: string }
  /** It sees GPUs that count, and can't tell their memory. */
  | { readonly state: 'unfit'; readonly why: string };

export async function nvmlCandidate(deps: CandidateDeps): Promise<Candidate> {
  const loaded = await deps.loadNvml();
  if (!loaded.ok) return { state: 'impossible', why: `NVML is not available: ${loaded.why}` };
  const create = () => new NvmlSource({ ...deps, nvml: loaded.nvml });
  const first = await firstRound(create(), deps.clock, NVML_WAIT_MS);
  const how = 'GPU memory is read through NVML';
  if (!first.answered) return silent(create(), how, first.why);
  const chosen = { source: create(), why: `${how}${ofProcesses(first.gpus)}.` };
  return { state: 'answers', chosen, gpus: counted(first.gpus, deps) };
}

export async function smiCandidate(deps: CandidateDeps): Promise<Candidate> {
  const command = await findExecutable(COMMAND, deps.searchPath);
  if (command === null) return { state: 'impossible', why: `${COMMAND} is not in PATH` };
  const create = () => new NvidiaSmiSource({ ...deps, command });
  const first = await firstRound(create(), deps.clock, SMI_WAIT_MS);
  const how = `GPU memory is read by ${command}`;
  if (!first.answered) return silent(create(), how, first.why);
  const gpus = counted(first.gpus, deps);
  const split = gpus.find(({ unknownWhy }) => unknownWhy === MIG_PARENT);
  if (split !== undefined) {
    const why = `${COMMAND} can't tell the memory of the MIG instances of GPU ${split.index}: --gpu-source nvml can`;
    return { state: 'unfit', why };
  }
  return { state: 'answers', chosen: { source: create(), why: `${how}.` }, gpus };
}

export async function dcgmCandidate(deps: CandidateDeps): Promise<Candidate> {
  const create = () => new DcgmSource({ ...deps, read: deps.dcgm.read });
  const first = await firstRound(create(), deps.clock, DCGM_WAIT_MS);
  const how = `GPU memory is read from the DCGM exporter at ${deps.dcgm.url}`;
  if (!first.answered) return silent(create(), how, first.why);
  const why = `${how}: it takes samples every 30 s unless told otherwise, so a reading can be that old.`;
  return { state: 'answers', chosen: { source: create(), why }, gpus: counted(first.gpus, deps) };
}

/** @param gpu the one that shares the memory, where it is known */
export async function unifiedCandidate(deps: CandidateDeps, gpu?: GpuReading): Promise<Candidate> {
  const create = () => new UnifiedSource({ ...deps, ...(gpu === undefined ? {} : { gpu }) });
  const first = await firstRound(create(), deps.clock, NVML_WAIT_MS);
  if (!first.answered) return { state: 'impossible', why: first.why };
  const why =
    "What is read is the machine's memory (MemAvailable of /proc/meminfo), which its GPU shares, not a GPU's own.";
  return { state: 'answers', chosen: { source: create(), why }, gpus: first.gpus };
}

/** While nobody is on a GPU it can't be told whether somebody would be seen. */
function ofProcesses(gpus: readonly GpuReading[]): string {
  if (gpus.some(({ processes }) => processes !== null && processes.length > 0)) {
    return ', with the memory of each process';
  }
  return gpus.some(({ processes }) => processes !== null)
    ? ''
    : ', without the memory of each process, which is not visible from here';
}

function silent(source: GpuSource, how: string, why: string): Candidate {
  return {
    state: 'silent',
    chosen: { source, why: `${how}, which has not answered yet: ${why}.` },
    why: `${source.name}: ${why}`,
  };
}

function counted(gpus: readonly GpuReading[], { gpuIds }: CandidateDeps): readonly GpuReading[] {
  if (gpuIds.length === 0) return gpus;
  return gpus.filter(({ uuid, index }) => gpuIds.includes(uuid) || gpuIds.includes(String(index)));
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
