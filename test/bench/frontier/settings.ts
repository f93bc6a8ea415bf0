/** What is compared: engines, machines and prompts, and which options of `kvgate simulate` say so. */
import { SIMULATED_ENGINES } from '../../../proxy/simulate/engine-maker.ts';
import {
  type Machine,
  type MachineOptions,
  machineOf,
  type SimulatedModel,
} from '../../../proxy/simulate/machine.ts';

export const ENGINES = ['dynamic', 'paged', 'unified', 'split'] as const;
export type EngineKind = (typeof ENGINES)[number];

export interface MachineKind {
  readonly name: string;
  readonly model: SimulatedModel;
  /** Whose speed its steps have, see step-times.ts. */
  readonly gpuGb: number;
  readonly kvTokens: number;
}

/** One machine with one kind of traffic. */
export interface Setting {
  readonly engine: EngineKind;
  readonly machine: MachineKind;
  readonly promptScale: number;
}

/**
 * Pools as 16, 24 and 80 GB leave them, at the speed of a large GPU: there memory ends long before
 * steps are slow.
 */
export const SMALLEST: MachineKind = {
  ...{ name: '20b, 57,000', model: 'gpt-oss-20b', gpuGb: 80, kvTokens: 57_000 },
};
const MACHINES: readonly MachineKind[] = [
  SMALLEST,
  { name: '20b, 371,000', model: 'gpt-oss-20b', gpuGb: 80, kvTokens: 371_000 },
  { name: '120b, 220,000', model: 'gpt-oss-120b', gpuGb: 80, kvTokens: 220_000 },
];
/** At their own speed: steps are slower than goodput allows before memory is full. */
const SLOW_MACHINES: readonly MachineKind[] = [
  { name: '20b on 16 GB, 57,000', model: 'gpt-oss-20b', gpuGb: 16, kvTokens: 57_000 },
  { name: '20b on 24 GB, 371,000', model: 'gpt-oss-20b', gpuGb: 24, kvTokens: 371_000 },
];

const PROMPT_SCALES = [1, 8] as const;
/** Output tokens that every request asks for. */
export const MAX_TOKENS = 1_000;

/** A slot of its own has room for nearly every prompt, and there are two of them at least. */
const SPLIT_CONTEXT_TOKENS = 15_000;
const MOST_SLOTS = 256;

export function allSettings(): readonly Setting[] {
  return MACHINES.flatMap((machine) =>
    PROMPT_SCALES.flatMap((promptScale) =>
      ENGINES.map((engine) => ({ engine, machine, promptScale })),
    ),
  );
}

export function slowSettings(): readonly Setting[] {
  return SLOW_MACHINES.flatMap((machine) =>
    ENGINES.map((engine) => ({ engine, machine, promptScale: 1 })),
  );
}

/** More than memory has room for, but for `split`, where slots are what there is. */
export function slotsOf({ engine, machine, promptScale }: Setting): number {
  if (engine === 'unified') return machine.kvTokens < 100_000 ? 128 : MOST_SLOTS;
  return Math.max(2, Math.floor(machine.kvTokens / (SPLIT_CONTEXT_TOKENS * promptScale)));
}

export function flagsOf(setting: Setting): readonly string[] {
  const { machine, promptScale } = setting;
  const { engine, kvLayout, slots, maxSequences } = engineOptions(setting);
  const own = {
    dynamic: [],
    paged: ['--max-num-seqs', String(maxSequences)],
    unified: ['--kv-layout', kvLayout, '--slots', String(slots)],
    split: ['--kv-layout', kvLayout, '--slots', String(slots)],
  }[setting.engine];
  return [
    ...['--engine', engine, ...own, '--model', machine.model, '--gpu-gb', String(machine.gpuGb)],
    ...['--kv-tokens', String(machine.kvTokens), '--prompt-scale', String(promptScale)],
    ...['--max-tokens', String(MAX_TOKENS)],
  ];
}

/** The machine that `kvgate simulate` makes of `flagsOf`. */
export function machineFor(setting: Setting): Machine {
  const { machine } = setting;
  const made = machineOf(
    {
      ...engineOptions(setting),
      ...{ model: machine.model, gpus: 1, kvTokens: machine.kvTokens, attention: 'flash' },
      ...{ gpuBytes: machine.gpuGb * 1024 ** 3, gpuMemoryThreshold: 0.85, safetyReserveBytes: 0 },
    },
    SIMULATED_ENGINES,
  );
  if (typeof made === 'string') throw new Error(made);
  return made;
}

function engineOptions(
  setting: Setting,
): Pick<MachineOptions, 'engine' | 'kvLayout' | 'slots' | 'maxSequences'> {
  const engine = { dynamic: 'transformers', paged: 'vllm', unified: 'llamacpp', split: 'llamacpp' };
  const { kvTokens } = setting.machine;
  return {
    engine: engine[setting.engine] as MachineOptions['engine'],
    kvLayout: setting.engine === 'split' ? 'split' : 'unified',
    slots: slotsOf(setting),
    maxSequences: kvTokens < 100_000 ? 256 : 1_024,
  };
}
