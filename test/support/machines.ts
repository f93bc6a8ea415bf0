/** Small simulated machines, one for each way to hold KV. */
import { SIMULATED_ENGINES } from '../../proxy/simulate/engine-maker.ts';
import { type Machine, type MachineOptions, machineOf } from '../../proxy/simulate/machine.ts';

export function machine(change: Partial<MachineOptions> = {}): Machine {
  const made = machineOf(
    {
      engine: 'vllm',
      model: 'gpt-oss-20b',
      gpus: 1,
      gpuBytes: 80 * 1024 ** 3,
      gpuMemoryThreshold: 0.85,
      safetyReserveBytes: 0,
      kvTokens: 30_000,
      kvLayout: 'unified',
      slots: 32,
      maxSequences: 256,
      attention: 'flash',
      ...change,
    },
    SIMULATED_ENGINES,
  );
  if (typeof made === 'string') throw new Error(made);
  return made;
}
