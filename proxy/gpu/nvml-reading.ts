/** One device of NVML as readings: a GPU as a whole, or each of its MIG instances. */
import type { GpuProcess, GpuReading } from '../state/gpu-source.ts';
import {
  meaningOf,
  NVML_CODE,
  type Nvml,
  type NvmlAnswer,
  type NvmlHandle,
  type NvmlMemory,
  throwIfSessionEnded,
} from './nvml-api.ts';
import { MIG_EMPTY, SHARES_MEMORY } from './unknown-why.ts';

/** A GPU that was opened, with what never changes of it. */
export interface NvmlGpu {
  readonly handle: NvmlHandle;
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
}

/** Bounds a list that the driver sizes; today's GPUs have at most seven. */
const MAX_INSTANCES = 32;
/** Instances of GPU 0 have the indexes 100, 101, ..., those of GPU 1 have 200, ... */
const INSTANCE_INDEX_STEP = 100;
/** A driver alone uses some MiB; one CUDA context takes more than this. */
const NOBODY_BYTES = 256 * 1024 ** 2;

/**
 * @param isVisible whether a process exists where we look: NVML may tell PIDs of another namespace
 * @throws NvmlError when the library has to be initialized anew
 */
export async function readNvmlGpu(
  nvml: Nvml,
  gpu: NvmlGpu,
  isVisible: (pid: number) => boolean,
): Promise<readonly GpuReading[]> {
  const mig = await nvml.isMigEnabled(gpu.handle);
  throwIfSessionEnded(gpu.uuid, mig);
  if (!mig.ok && mig.code !== NVML_CODE.notSupported && mig.code !== NVML_CODE.functionNotFound) {
    return [unknownReading(gpu, meaningOf(mig.code))];
  }
  if (!mig.ok || !mig.value) return [await readDevice(nvml, gpu, isVisible)];

  const instances = await migInstances(nvml, gpu);
  if (instances.length === 0) {
    return [unknownReading(gpu, MIG_EMPTY)];
  }
  const readings: GpuReading[] = [];
  for (const instance of instances) readings.push(await readDevice(nvml, instance, isVisible));
  return readings;
}

export function unknownReading(
  { uuid, index, name }: Omit<NvmlGpu, 'handle'>,
  unknownWhy: string,
): GpuReading {
  const unknown = { totalBytes: null, usedBytes: null, utilizationPercent: null, processes: null };
  return { uuid, index, name, ...unknown, unknownWhy };
}

/** Asked for in every round: an instance that is made anew may get the handle of an old one. */
async function migInstances(nvml: Nvml, gpu: NvmlGpu): Promise<readonly NvmlGpu[]> {
  const most = await nvml.maxMigInstances(gpu.handle);
  throwIfSessionEnded(gpu.uuid, most);
  const instances: NvmlGpu[] = [];
  for (let at = 0; most.ok && at < Math.min(most.value, MAX_INSTANCES); at += 1) {
    const handle = await nvml.migInstance(gpu.handle, at);
    throwIfSessionEnded(gpu.uuid, handle);
    if (!handle.ok) continue;
    const uuid = await nvml.uuid(handle.value);
    throwIfSessionEnded(gpu.uuid, uuid);
    // Gone again since: the next round tells.
    if (!uuid.ok) continue;
    const name = await nvml.nameOf(handle.value);
    instances.push({
      handle: handle.value,
      uuid: uuid.value,
      index: INSTANCE_INDEX_STEP * (gpu.index + 1) + at,
      name: name.ok ? name.value : `${gpu.name} MIG ${at}`,
    });
  }
  return instances;
}

async function readDevice(
  nvml: Nvml,
  gpu: NvmlGpu,
  isVisible: (pid: number) => boolean,
): Promise<GpuReading> {
  const memory = await nvml.memory(gpu.handle);
  throwIfSessionEnded(gpu.uuid, memory);
  const known = knownMemory(memory);
  if (typeof known === 'string') return unknownReading(gpu, known);
  const rate = await nvml.utilizationPercent(gpu.handle);
  throwIfSessionEnded(gpu.uuid, rate);
  const processes = await nvml.computeProcesses(gpu.handle);
  throwIfSessionEnded(gpu.uuid, processes);
  const { uuid, index, name } = gpu;
  return {
    ...{ uuid, index, name },
    ...known,
    // NVML tells none of a MIG instance.
    utilizationPercent: rate.ok && rate.value <= 100 ? rate.value : null,
    unknownWhy: null,
    processes: processes.ok ? seen(processes.value, known.usedBytes, isVisible) : null,
  };
}

/** The memory, or why it is not known. */
function knownMemory(memory: NvmlAnswer<NvmlMemory>): NvmlMemory | string {
  if (!memory.ok) {
    return memory.code === NVML_CODE.notSupported ? SHARES_MEMORY : meaningOf(memory.code);
  }
  const { totalBytes, usedBytes } = memory.value;
  if (totalBytes === 0) return SHARES_MEMORY;
  if (usedBytes > totalBytes) return `used (${usedBytes} B) exceeds total (${totalBytes} B)`;
  return memory.value;
}

/**
 * In a container with PIDs of its own NVML lists none, or lists those of the
 * host: then nothing is known of who holds what.
 */
function seen(
  processes: readonly GpuProcess[],
  usedBytes: number,
  isVisible: (pid: number) => boolean,
): readonly GpuProcess[] | null {
  if (processes.length === 0) return usedBytes > NOBODY_BYTES ? null : processes;
  // One that has just ended, or is hidden, does not make the others unknown.
  return processes.some(({ pid }) => isVisible(pid)) ? processes : null;
}
