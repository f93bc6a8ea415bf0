/**
 * What the NVML source asks of the driver's library, and what its return codes
 * mean. Codes and their meaning: nvml.h, `nvmlReturn_enum`.
 */

/** A value, or the code that NVML returned instead of it. */
export type NvmlAnswer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: number };

/** An opaque pointer of the library; no longer good after `shutdown`. */
export type NvmlHandle = bigint;

export interface NvmlMemory {
  readonly totalBytes: number;
  /** What processes allocated, as nvidia-smi's memory.used. */
  readonly usedBytes: number;
}

export interface NvmlProcess {
  readonly pid: number;
  readonly usedBytes: number | null;
}

/** Calls of libnvidia-ml, none of which blocks this process; never more than one at a time. */
export interface Nvml {
  init(): Promise<NvmlAnswer<null>>;
  shutdown(): Promise<NvmlAnswer<null>>;
  deviceCount(): Promise<NvmlAnswer<number>>;
  device(index: number): Promise<NvmlAnswer<NvmlHandle>>;
  uuid(device: NvmlHandle): Promise<NvmlAnswer<string>>;
  nameOf(device: NvmlHandle): Promise<NvmlAnswer<string>>;
  memory(device: NvmlHandle): Promise<NvmlAnswer<NvmlMemory>>;
  utilizationPercent(device: NvmlHandle): Promise<NvmlAnswer<number>>;
  computeProcesses(device: NvmlHandle): Promise<NvmlAnswer<readonly NvmlProcess[]>>;
  isMigEnabled(device: NvmlHandle): Promise<NvmlAnswer<boolean>>;
  maxMigInstances(device: NvmlHandle): Promise<NvmlAnswer<number>>;
  migInstance(device: NvmlHandle, index: number): Promise<NvmlAnswer<NvmlHandle>>;
}

export const NVML_CODE = {
  success: 0,
  uninitialized: 1,
  notSupported: 3,
  notFound: 6,
  insufficientSize: 7,
  driverNotLoaded: 9,
  libraryNotFound: 12,
  functionNotFound: 13,
  gpuIsLost: 15,
  resetRequired: 16,
  versionMismatch: 18,
  argumentVersionMismatch: 25,
} as const;

const MEANINGS: ReadonlyMap<number, string> = new Map([
  [1, 'the library is not initialized, and is initialized anew'],
  [2, 'an argument is not valid for this driver'],
  [3, 'the GPU does not support the query'],
  [4, 'no permission to talk to the GPU: check /dev/nvidia* and the device cgroup'],
  [8, 'the external power cables of the GPU are not attached'],
  [9, 'the NVIDIA driver is not loaded: load its kernel module (`modprobe nvidia`)'],
  [10, 'the driver did not answer in its own time limit'],
  [11, 'the kernel has an interrupt problem with the GPU'],
  [12, "the driver's library was not found: install it, or run the container with the GPU runtime"],
  [13, 'the library is too old for the query'],
  [14, 'the infoROM of the GPU is corrupted'],
  [15, 'the GPU has fallen off the bus: look for an Xid in the kernel log; it may need a reboot'],
  [16, 'the GPU requires a reset: end its processes, then `nvidia-smi --gpu-reset` or a reboot'],
  [17, 'the operating system or a cgroup blocks the control device'],
  [
    18,
    'the kernel module and the library are of different driver versions: reboot, or reload the module',
  ],
  [999, 'an internal error of the driver'],
]);

/** One plain clause: what is wrong and, where it is known, what an operator can do; with the code. */
export function meaningOf(code: number): string {
  return `${MEANINGS.get(code) ?? 'an error of the driver'} (NVML error ${code})`;
}

/** After these nothing that the library gave out is good: it has to be initialized again. */
const ENDS_SESSION: ReadonlySet<number> = new Set([
  NVML_CODE.uninitialized,
  NVML_CODE.driverNotLoaded,
  NVML_CODE.libraryNotFound,
  NVML_CODE.versionMismatch,
]);

/** No GPU can be read, for a reason that is not any single one's. */
export class NvmlError extends Error {
  readonly code = 'nvml_failed';

  constructor(what: string, returned: number) {
    super(`${what}: ${meaningOf(returned)}`);
  }
}

/** @throws NvmlError when the code means that no GPU can be read before the next `init` */
export function throwIfSessionEnded(what: string, answer: NvmlAnswer<unknown>): void {
  if (!answer.ok && ENDS_SESSION.has(answer.code)) throw new NvmlError(what, answer.code);
}
