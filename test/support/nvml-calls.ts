import type { Nvml, NvmlAnswer } from '../../proxy/gpu/nvml-api.ts';

export const ok = <T>(value: T): NvmlAnswer<T> => ({ ok: true, value });
export const failed = (code: number) => ({ ok: false as const, code });

/** Two GPUs, whose handles are their indexes, until a test says something else. */
export function fakeNvml(change: Partial<Nvml> = {}): Nvml {
  return {
    init: async () => ok(null),
    shutdown: async () => ok(null),
    deviceCount: async () => ok(2),
    device: async (index) => ok(BigInt(index)),
    uuid: async (device) => ok(`GPU-${device}`),
    nameOf: async () => ok('fake'),
    memory: async (device) => ok({ totalBytes: 1_000, usedBytes: Number(device) }),
    utilizationPercent: async () => failed(3),
    computeProcesses: async () => ok([]),
    isMigEnabled: async () => failed(3),
    maxMigInstances: async () => ok(0),
    migInstance: async () => failed(6),
    ...change,
  };
}
