/** What is simulated: an engine with a model on GPUs, how it lays out KV, and how much it has for it. */
import { assertNever } from '../memory/assert-never.ts';
import { findModel } from '../memory/catalog/catalog.ts';
import type { KvLayout } from '../memory/kv-layout.ts';
import { tokenBytesOfLayer } from '../memory/kv-layout.ts';
import type { ModelSpec } from '../memory/models/model-spec.ts';
import { knownWeightBytes } from '../memory/models/weights.ts';
import { unitBytes } from '../memory/units.ts';
import type { EngineModel, StepTime } from './engine-model.ts';

/** Engines by name, and how each holds KV. */
export const MEMORY_MODELS = {
  transformers: 'dynamic',
  vllm: 'paged',
  sglang: 'paged',
  tgi: 'paged',
  llamacpp: 'slots',
  ollama: 'slots',
} as const;

export type EngineName = keyof typeof MEMORY_MODELS;
export type SimulatedModel = 'gpt-oss-20b' | 'gpt-oss-120b';

export interface MachineOptions {
  readonly engine: EngineName;
  readonly model: SimulatedModel;
  readonly gpus: number;
  /** Of each GPU. */
  readonly gpuBytes: number;
  readonly gpuMemoryThreshold: number;
  readonly safetyReserveBytes: number;
  /** Tokens that the KV memory has room for, in the layers that keep every token; null: what the GPUs give. */
  readonly kvTokens: number | null;
  readonly kvLayout: 'split' | 'unified';
  readonly slots: number;
  readonly maxSequences: number;
  readonly attention: 'eager' | 'flash';
}

export interface Machine {
  readonly engine: EngineName;
  readonly model: SimulatedModel;
  readonly layout: KvLayout;
  /** For KV and what comes with it, in the layout's unit; the same for every policy. */
  readonly capacityUnits: number;
  readonly capacityBytes: number;
  /** As many in the layers that keep every token. */
  readonly capacityTokens: number;
  readonly maxSequences: number | null;
  /** Prompt tokens that one step takes at most. */
  readonly prefillStepTokens: number;
  readonly stepTime: StepTime;
  readonly gpuBytes: number;
  newEngine(): EngineModel;
}

/** How engines are made; apart, so that a test can bring its own. */
export interface EngineMaker {
  stepTime(options: MachineOptions): StepTime;
  engine(machine: Omit<Machine, 'newEngine'>): EngineModel;
}

const MIB = 1024 ** 2;
const CUDA_CONTEXT_BYTES = 600 * MIB;
/** vLLM: `gpu_memory_utilization`; the share that llama.cpp leaves free is as much. */
const POOL_MEMORY_SHARE = 0.9;
const KV_BYTES_PER_ELEMENT = 2;
/** vLLM: `block_size`, `max_num_batched_tokens`; a second batch is in the works (async scheduling). */
const BLOCK_TOKENS = 16;
const BATCHED_TOKENS = 8_192;
const BATCHES = 2;
/** llama.cpp: `-b`; a context is padded to whole steps (llama-context.cpp). */
const SLOTS_BATCH_TOKENS = 2_048;
const CELL_PADDING = 256;

/** Why there is no such machine, as a text; else the machine. */
export function machineOf(options: MachineOptions, maker: EngineMaker): Machine | string {
  const spec = findModel(options.model);
  if (spec === null) throw new Error(`the catalog lost ${options.model}`);
  const tokenBytes = fullTokenBytes(spec);
  const capacityBytes =
    options.kvTokens === null ? kvBytesOfGpus(options, spec) : options.kvTokens * tokenBytes;
  const layout = layoutOf(options, spec, Math.floor(capacityBytes / tokenBytes));
  const capacityUnits = unitsOf(layout, capacityBytes);
  if (!(capacityUnits >= 1)) {
    const gib = (options.gpuBytes / 1024 ** 3).toFixed(0);
    return `${options.model} leaves no memory for KV on ${options.gpus} x ${gib} GiB`;
  }
  const paged = layout.model === 'paged';
  const machine: Omit<Machine, 'newEngine'> = {
    engine: options.engine,
    model: options.model,
    layout,
    capacityUnits,
    capacityBytes,
    capacityTokens: Math.floor(capacityBytes / tokenBytes),
    maxSequences: layout.model === 'slots' ? layout.slots : paged ? options.maxSequences : null,
    prefillStepTokens: stepTokensOf(layout),
    stepTime: maker.stepTime(options),
    gpuBytes: options.gpuBytes * options.gpus,
  };
  return { ...machine, newEngine: () => maker.engine(machine) };
}

/** Over all GPUs: what is left beside weights, contexts and the share that is not to be filled. */
function kvBytesOfGpus(options: MachineOptions, spec: ModelSpec): number {
  const { gpuBytes, gpus, gpuMemoryThreshold, safetyReserveBytes } = options;
  const fixedBytes = (knownWeightBytes(spec) ?? 0) / gpus + CUDA_CONTEXT_BYTES;
  const usableBytes =
    MEMORY_MODELS[options.engine] === 'dynamic'
      ? Math.min(gpuBytes * gpuMemoryThreshold, gpuBytes - safetyReserveBytes)
      : gpuBytes * POOL_MEMORY_SHARE;
  return Math.max(0, Math.floor((usableBytes - fixedBytes) * gpus));
}

/** Of one token in the layers without a window: what a long sequence grows by. */
function fullTokenBytes(spec: ModelSpec): number {
  return spec.groups
    .filter(({ windowTokens }) => windowTokens === null)
    .reduce((sum, group) => sum + group.layers * tokenBytesOfLayer(group, KV_BYTES_PER_ELEMENT), 0);
}

function layoutOf(options: MachineOptions, spec: ModelSpec, tokens: number): KvLayout {
  const common = { spec, kvBytesPerElement: KV_BYTES_PER_ELEMENT };
  const { kvLayout, slots, attention } = options;
  const memoryModel = MEMORY_MODELS[options.engine];
  switch (memoryModel) {
    case 'dynamic':
      return { ...common, model: 'dynamic', attention };
    case 'paged':
      return {
        ...common,
        model: 'paged',
        blockTokens: BLOCK_TOKENS,
        contextTokens: spec.contextTokens,
        inFlightTokens: BATCHES * BATCHED_TOKENS,
        tensorParallel: 1,
        drafting: null,
      };
    case 'slots': {
      const unified = kvLayout === 'unified';
      const cells = unified ? tokens : tokens / slots;
      const contextTokens = Math.floor(cells / CELL_PADDING) * CELL_PADDING;
      return { ...common, model: 'slots', unified, slots, contextTokens };
    }
    default:
      return assertNever(memoryModel);
  }
}

function unitsOf(layout: KvLayout, capacityBytes: number): number {
  if (layout.model === 'slots') {
    return layout.unified ? layout.contextTokens : layout.slots * layout.contextTokens;
  }
  return Math.floor(capacityBytes / (unitBytes(layout) ?? 1));
}

function stepTokensOf(layout: KvLayout): number {
  switch (layout.model) {
    case 'dynamic':
      // A generation prefills its whole prompt at once.
      return Number.POSITIVE_INFINITY;
    case 'paged':
      return BATCHED_TOKENS;
    case 'slots':
      return SLOTS_BATCH_TOKENS;
    default:
      return assertNever(layout);
  }
}
