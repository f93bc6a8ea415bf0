/** The calls of NVML as functions that give values: what goes in, what comes out, and how it grows. */
import {
  NVML_CODE,
  type Nvml,
  type NvmlAnswer,
  type NvmlHandle,
  type NvmlMemory,
  type NvmlProcess,
} from './nvml-api.ts';

/** NVML_DEVICE_UUID_V2_BUFFER_SIZE and NVML_DEVICE_NAME_V2_BUFFER_SIZE. */
export const TEXT_CHARS = 96;
const FIRST_PROCESSES = 32;
const MAX_PROCESSES = 2_048;

/** One native function: fills the objects it is given, and gives the return code. */
export type Call = (...args: readonly unknown[]) => Promise<number>;

type CallName =
  | 'init'
  | 'shutdown'
  | 'count'
  | 'device'
  | 'uuid'
  | 'name'
  | 'memoryV2'
  | 'memoryV1'
  | 'rates'
  | 'processes'
  | 'migMode'
  | 'maxMig'
  | 'mig';
type Calls = Readonly<Record<CallName, Call>>;

/** @param memoryVersion what `nvmlMemory_v2_t` has in its field `version` */
export function bindNvml(calls: Calls, memoryVersion: number): Nvml {
  return {
    init: async () => answer(await calls.init(), () => null),
    shutdown: async () => answer(await calls.shutdown(), () => null),
    deviceCount: () => readCount(calls.count),
    device: (index) => readHandle(calls.device, index),
    uuid: (device) => readText(calls.uuid, device),
    nameOf: (device) => readText(calls.name, device),
    memory: (device) => readMemory(calls, device, memoryVersion),
    async utilizationPercent(device) {
      const rates = { gpu: 0, memory: 0 };
      return answer(await calls.rates(device, rates), () => rates.gpu);
    },
    computeProcesses: (device) => readProcesses(calls.processes, device),
    async isMigEnabled(device) {
      const current = { value: 0 };
      const code = await calls.migMode(device, current, { value: 0 });
      return answer(code, () => current.value === 1);
    },
    maxMigInstances: (device) => readCount(calls.maxMig, device),
    migInstance: (device, index) => readHandle(calls.mig, device, index),
  };
}

async function readCount(call: Call, ...args: readonly unknown[]): Promise<NvmlAnswer<number>> {
  const count = { value: 0 };
  return answer(await call(...args, count), () => count.value);
}

async function readText(call: Call, device: NvmlHandle): Promise<NvmlAnswer<string>> {
  const text = { value: '' };
  return answer(await call(device, text, TEXT_CHARS), () => text.value);
}

async function readHandle(
  call: Call,
  ...args: readonly unknown[]
): Promise<NvmlAnswer<NvmlHandle>> {
  const handle: [NvmlHandle] = [0n];
  return answer(await call(...args, handle), () => handle[0]);
}

/**
 * Version 2 tells what the driver reserves apart from what is used, as
 * nvidia-smi does since driver 510; of an older driver both tell the sum.
 */
async function readMemory(
  { memoryV2, memoryV1 }: Calls,
  device: NvmlHandle,
  version: number,
): Promise<NvmlAnswer<NvmlMemory>> {
  const second = { version, total: 0, reserved: 0, free: 0, used: 0 };
  const code = await memoryV2(device, second);
  if (code !== NVML_CODE.functionNotFound && code !== NVML_CODE.argumentVersionMismatch) {
    return answer(code, () => ({ totalBytes: second.total, usedBytes: second.used }));
  }
  const first = { total: 0, free: 0, used: 0 };
  const firstCode = await memoryV1(device, first);
  return answer(firstCode, () => ({ totalBytes: first.total, usedBytes: first.used }));
}

/** Processes may start between two calls: the array grows until it holds them all. */
async function readProcesses(
  call: Call,
  device: NvmlHandle,
): Promise<NvmlAnswer<readonly NvmlProcess[]>> {
  for (let room = FIRST_PROCESSES; ; ) {
    const count = { value: room };
    const list = Array.from({ length: room }, () => ({
      pid: 0,
      usedGpuMemory: 0 as number | bigint,
      gpuInstanceId: 0,
      computeInstanceId: 0,
    }));
    const code = await call(device, count, list);
    if (code !== NVML_CODE.insufficientSize || room === MAX_PROCESSES) {
      return answer(code, () =>
        list.slice(0, count.value).map(({ pid, usedGpuMemory }) => ({
          pid,
          // NVML_VALUE_NOT_AVAILABLE, all ones, is beyond what a number holds.
          usedBytes: typeof usedGpuMemory === 'number' ? usedGpuMemory : null,
        })),
      );
    }
    room = Math.min(MAX_PROCESSES, Math.max(2 * room, count.value));
  }
}

function answer<T>(code: number, value: () => T): NvmlAnswer<T> {
  return code === NVML_CODE.success ? { ok: true, value: value() } : { ok: false, code };
}
