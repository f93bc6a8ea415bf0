import type { Clock } from '../state/clock.ts';
import type { GpuReading } from '../state/gpu-source.ts';
import { PolledGpuSource } from './polled.ts';

const MAX_GPUS = 64;

export interface SimulatedGpuOptions {
  /**
   * Asks the simulated server for `{gpus: [{uuid, index, name, totalBytes,
   * usedBytes, utilizationPercent}]}`. The signal aborts when the answer is no
   * longer wanted.
   */
  readonly read: (signal: AbortSignal) => Promise<unknown>;
  readonly pollIntervalMs: number;
  readonly clock: Clock;
}

/** Reads the GPUs that a simulated server imagines. */
export class SimulatedGpuSource extends PolledGpuSource {
  constructor({ read, pollIntervalMs, clock }: SimulatedGpuOptions) {
    super({
      name: 'simulated',
      what: 'the simulated GPUs',
      read: async (signal) => toReadings(await read(signal)),
      pollIntervalMs,
      clock,
    });
  }
}

function toReadings(answer: unknown): readonly GpuReading[] {
  const gpus = isObject(answer) ? answer.gpus : undefined;
  if (!Array.isArray(gpus) || gpus.length === 0 || gpus.length > MAX_GPUS) {
    throw new TypeError(`"gpus" is not a list of 1 to ${MAX_GPUS} GPUs`);
  }
  return gpus.map(toReading);
}

function toReading(gpu: unknown, position: number): GpuReading {
  const where = `gpus[${position}]`;
  if (!isObject(gpu)) throw new TypeError(`${where} is not an object`);
  const { uuid, name } = gpu;
  if (typeof uuid !== 'string' || uuid === '') throw new TypeError(`${where}.uuid is not a text`);
  if (typeof name !== 'string') throw new TypeError(`${where}.name is not a text`);
  const index = numberIn(gpu, 'index', MAX_GPUS, where);
  const totalBytes = numberIn(gpu, 'totalBytes', Number.MAX_SAFE_INTEGER, where);
  const usedBytes = numberIn(gpu, 'usedBytes', totalBytes, where);
  const utilizationPercent = numberIn(gpu, 'utilizationPercent', 100, where);
  return {
    ...{ uuid, index, name, totalBytes, usedBytes, utilizationPercent },
    unknownWhy: null,
    processes: null,
  };
}

function numberIn(
  gpu: Readonly<Record<string, unknown>>,
  key: string,
  max: number,
  where: string,
): number {
  const value = gpu[key];
  if (typeof value !== 'number' || !(value >= 0 && value <= max)) {
    throw new TypeError(`${where}.${key} is not a number from 0 to ${max}`);
  }
  return value;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
