import type { Clock } from '../state/clock.ts';
import type { GpuReading } from '../state/gpu-source.ts';
import { PolledGpuSource } from './polled.ts';

const KIB = 1024;

export interface UnifiedOptions {
  /** The text of /proc/meminfo. */
  readonly readMeminfo: () => Promise<string>;
  /** The GPU that shares the memory, where it is known; its name stays the memory's. */
  readonly gpu?: { readonly uuid: string; readonly index: number };
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/**
 * Reads the memory of a machine whose GPU has none of its own (GB10 of the DGX
 * Spark, Jetson): drivers tell `[N/A]` there, and what is left for the GPU is
 * what is left for anybody.
 */
export class UnifiedSource extends PolledGpuSource {
  constructor({ readMeminfo, gpu, pollIntervalMs, clock }: UnifiedOptions) {
    super({
      name: 'unified',
      what: 'the values of /proc/meminfo',
      read: async () => [unifiedReading(await readMeminfo(), gpu)],
      pollIntervalMs,
      clock,
    });
  }
}

/**
 * MemAvailable, not MemFree: caches of files give way to whoever asks for the memory.
 *
 * @throws Error when a value is missing or makes no sense
 */
export function unifiedReading(
  meminfo: string,
  gpu: UnifiedOptions['gpu'] = { uuid: 'unified-memory', index: 0 },
): GpuReading {
  const totalBytes = bytesOf(meminfo, 'MemTotal');
  const availableBytes = bytesOf(meminfo, 'MemAvailable');
  if (totalBytes === 0 || availableBytes > totalBytes) {
    throw new Error(`MemAvailable (${availableBytes} B) is not within MemTotal (${totalBytes} B)`);
  }
  return {
    uuid: gpu.uuid,
    index: gpu.index,
    name: 'unified memory',
    totalBytes,
    usedBytes: totalBytes - availableBytes,
    utilizationPercent: null,
    unknownWhy: null,
    processes: null,
  };
}

/** The format of proc_meminfo(5): `MemTotal:       131072000 kB`, in KiB whatever it says. */
function bytesOf(meminfo: string, name: string): number {
  const value = new RegExp(`^${name}:\\s+(\\d{1,12}) kB$`, 'm').exec(meminfo)?.[1];
  if (value === undefined) throw new Error(`it has no ${name}`);
  return Number(value) * KIB;
}
