/** Which reader of GPU memory is taken, and the sentence that says so. */
import {
  type Candidate,
  type CandidateDeps,
  type ChosenGpuSource,
  dcgmCandidate,
  nvmlCandidate,
  smiCandidate,
  unifiedCandidate,
} from './candidates.ts';
import { NoGpuSource } from './none.ts';
import { type SimulatedGpuOptions, SimulatedGpuSource } from './simulated.ts';
import { SHARES_MEMORY } from './unknown-why.ts';

export type WantedGpuSource =
  | 'auto'
  | 'nvml'
  | 'nvidia-smi'
  | 'dcgm'
  | 'unified'
  | 'simulated'
  | 'none';

export interface GpuSourceDeps extends CandidateDeps {
  /** Present when the backend is a simulated server that tells its GPUs. */
  readonly readSimulated?: SimulatedGpuOptions['read'];
}

/** `--gpu-source` asks for what cannot exist here: a mistake in the configuration. */
class GpuSourceError extends Error {
  readonly code = 'gpu_source_unavailable';
}

/**
 * The reader that `--gpu-source` stands for. One that is named and can exist
 * here is taken whether or not it answers by now: it may later.
 *
 * @throws GpuSourceError when the one that is wanted cannot exist here, with
 *   what was tried; and when GPUs have MIG instances that nothing here can read
 */
export async function chooseGpuSource(
  wanted: WantedGpuSource,
  deps: GpuSourceDeps,
): Promise<ChosenGpuSource> {
  switch (wanted) {
    case 'none':
      return { source: new NoGpuSource(), why: 'GPU memory is not read, as configured.' };
    case 'simulated':
      return simulated(deps);
    case 'nvml':
      return asWanted(wanted, await nvmlCandidate(deps));
    case 'nvidia-smi':
      return asWanted(wanted, await smiCandidate(deps));
    case 'dcgm':
      return asWanted(wanted, await dcgmCandidate(deps));
    case 'unified':
      return asWanted(wanted, await unifiedCandidate(deps));
    case 'auto':
      // That server uses none of this machine's GPUs.
      return deps.readSimulated === undefined ? best(deps) : simulated(deps);
  }
}

function simulated({ readSimulated: read, ...deps }: GpuSourceDeps): ChosenGpuSource {
  if (read === undefined) {
    throw new GpuSourceError('GPU source "simulated" needs a backend that simulates its GPUs');
  }
  const source = new SimulatedGpuSource({ ...deps, read });
  return { source, why: 'GPU memory is read from the simulated server.' };
}

function asWanted(wanted: WantedGpuSource, candidate: Candidate): ChosenGpuSource {
  if (candidate.state === 'impossible' || candidate.state === 'unfit') {
    throw new GpuSourceError(`GPU source "${wanted}": ${candidate.why}`);
  }
  return candidate.chosen;
}

/**
 * 1. The first that answers of NVML, nvidia-smi and, if its address was given,
 *    the DCGM exporter: from the freshest and most detailed to the least.
 * 2. Instead of it, the machine's memory where none of its GPUs has its own.
 * 3. No start with MIG instances that the one that answers can't read.
 * 4. Where none answers, the first that may do so later; nvidia-smi before
 *    NVML, since a driver that hangs then takes only a child with it.
 */
async function best(deps: GpuSourceDeps): Promise<ChosenGpuSource> {
  const candidates = [nvmlCandidate, smiCandidate, ...(deps.dcgm.isGiven ? [dcgmCandidate] : [])];
  const later: ChosenGpuSource[] = [];
  const tried: string[] = [];
  let isUnfit = false;
  for (const make of candidates) {
    const candidate = await make(deps);
    if (candidate.state === 'answers') {
      const chosen = await orUnified(candidate, deps);
      return { ...chosen, why: [chosen.why, ...notes(tried)].join(' ') };
    }
    tried.push(candidate.why);
    if (candidate.state === 'silent') later.push(candidate.chosen);
    isUnfit ||= candidate.state === 'unfit';
  }
  if (isUnfit) throw new GpuSourceError(tried.join('; '));
  const smi = later.find(({ source }) => source.name === 'nvidia-smi');
  const chosen = smi ?? later[0];
  if (chosen !== undefined) return chosen;
  return { source: new NoGpuSource(), why: `GPU memory is not read: ${tried.join('; ')}.` };
}

async function orUnified(
  { chosen, gpus }: Extract<Candidate, { state: 'answers' }>,
  deps: GpuSourceDeps,
): Promise<ChosenGpuSource> {
  const shared = gpus.length > 0 && gpus.every(({ unknownWhy }) => unknownWhy === SHARES_MEMORY);
  if (!shared) return chosen;
  const unified = await unifiedCandidate(deps, gpus[0]);
  return unified.state === 'answers' ? unified.chosen : chosen;
}

function notes(tried: readonly string[]): string[] {
  return tried.length === 0 ? [] : [`(${tried.join('; ')}.)`];
}
