/**
 * NVML by way of koffi, an optional dependency: where it or the driver's
 * library is missing, that is an answer and not a fault. Calls run on threads
 * of koffi's, so that a driver that hangs does not hang this process with it.
 *
 * Structures and constants: nvml.h of NVIDIA/go-nvml, gen/nvml.
 */
import { NVML_CODE, type Nvml } from './nvml-api.ts';
import { bindNvml, type Call, TEXT_CHARS } from './nvml-bindings.ts';

const LIBRARY = 'libnvidia-ml.so.1';
const KOFFI_PREFIX = /^Failed to load shared library: /;

export type LoadedNvml =
  | { readonly ok: true; readonly nvml: Nvml }
  | { readonly ok: false; readonly why: string };

type Koffi = typeof import('koffi');
type KoffiFunction = ReturnType<ReturnType<Koffi['load']>['func']>;
type Type = Parameters<Koffi['array']>[0];

/**
 * Loads koffi and the library. Neither talks to the driver yet.
 * @param path of the library; its bare name is looked up by the system's loader
 * @param importKoffi stands in for the package in tests of its absence
 */
export async function loadNvml(
  path: string = LIBRARY,
  importKoffi: () => Promise<Koffi> = () => import('koffi'),
): Promise<LoadedNvml> {
  let koffi: Koffi;
  try {
    koffi = await importKoffi();
  } catch (error) {
    return { ok: false, why: `the optional package koffi can't be loaded: ${firstLine(error)}` };
  }
  try {
    const types = structures(koffi);
    const calls = declare(koffi, path, types);
    // NVML_STRUCT_VERSION(Memory, 2)
    const memoryVersion = koffi.sizeof(types.memoryV2) | (2 << 24);
    return { ok: true, nvml: bindNvml(calls, memoryVersion) };
  } catch (error) {
    return {
      ok: false,
      why: `${path} can't be loaded: ${firstLine(error).replace(KOFFI_PREFIX, '')}`,
    };
  }
}

type Types = ReturnType<typeof structures>;

function structures(koffi: Koffi) {
  return {
    handle: koffi.pointer(koffi.opaque()),
    count: koffi.struct({ value: 'uint32' }),
    text: koffi.struct({ value: koffi.array('char', TEXT_CHARS) }),
    rates: koffi.struct({ gpu: 'uint32', memory: 'uint32' }),
    memoryV1: koffi.struct({ total: 'uint64', free: 'uint64', used: 'uint64' }),
    memoryV2: koffi.struct({
      version: 'uint32',
      total: 'uint64',
      reserved: 'uint64',
      free: 'uint64',
      used: 'uint64',
    }),
    process: koffi.struct({
      pid: 'uint32',
      usedGpuMemory: 'uint64',
      gpuInstanceId: 'uint32',
      computeInstanceId: 'uint32',
    }),
  };
}

/** @throws when the library can't be loaded; a function it lacks answers FUNCTION_NOT_FOUND instead */
function declare(koffi: Koffi, path: string, types: Types) {
  const library = koffi.load(path);
  const call = (names: string | readonly string[], parameters: Type[]): Call => {
    for (const name of [names].flat()) {
      try {
        return asPromise(library.func(name, 'int', parameters));
      } catch {
        // A function of newer drivers: the next name is the older one's.
      }
    }
    return async () => NVML_CODE.functionNotFound;
  };
  const { handle } = types;
  const out = (type: keyof Types) => koffi.out(koffi.pointer(types[type]));
  const inout = (type: keyof Types) => koffi.inout(koffi.pointer(types[type]));
  return {
    init: call('nvmlInit_v2', []),
    shutdown: call('nvmlShutdown', []),
    count: call('nvmlDeviceGetCount_v2', [out('count')]),
    device: call('nvmlDeviceGetHandleByIndex_v2', ['uint32', out('handle')]),
    uuid: call('nvmlDeviceGetUUID', [handle, out('text'), 'uint32']),
    name: call('nvmlDeviceGetName', [handle, out('text'), 'uint32']),
    memoryV2: call('nvmlDeviceGetMemoryInfo_v2', [handle, inout('memoryV2')]),
    memoryV1: call('nvmlDeviceGetMemoryInfo', [handle, out('memoryV1')]),
    rates: call('nvmlDeviceGetUtilizationRates', [handle, out('rates')]),
    // Both fill the same structure; the one before them knew no instances.
    processes: call(
      ['nvmlDeviceGetComputeRunningProcesses_v3', 'nvmlDeviceGetComputeRunningProcesses_v2'],
      [handle, inout('count'), out('process')],
    ),
    migMode: call('nvmlDeviceGetMigMode', [handle, out('count'), out('count')]),
    maxMig: call('nvmlDeviceGetMaxMigDeviceCount', [handle, out('count')]),
    mig: call('nvmlDeviceGetMigDeviceHandleByIndex', [handle, 'uint32', out('handle')]),
  };
}

/** Rejects where koffi itself refuses the call, not where NVML returns an error. */
function asPromise(fn: KoffiFunction): Call {
  return (...args) =>
    new Promise((resolve, reject) => {
      fn.async(...args, (error: Error | null, code: number) =>
        error === null ? resolve(code) : reject(error),
      );
    });
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
