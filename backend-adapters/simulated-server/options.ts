/**
 * Options of a simulated server, and their defaults. The rates are round
 * figures of the order of one data-centre GPU and were not measured; whoever
 * needs real ones passes them.
 */
import { slidingBlocksBound } from './block-counts.ts';
import { pageBytes } from './block-table.ts';
import { BLOCK_TOKENS } from './content-chain.ts';
import type { ModelName } from './geometry.ts';
import { modelGeometry } from './geometry.ts';

const MIB = 1024 ** 2;

interface CommonOptions {
  readonly model?: ModelName;
  /** Every answer follows from the seed and the request. */
  readonly seed?: number;
  /** GPUs that share weights and KV equally (tensor parallel). */
  readonly gpuCount?: number;
  readonly gpuTotalBytes?: number;
  /** Seconds of simulated time in a second of real time. */
  readonly speed?: number;
  /** Of the whole server: prompts in prefill share it. */
  readonly prefillTokensPerSecond?: number;
  /** Of a sequence that decodes alone. */
  readonly decodeTokensPerSecond?: number;
  /** n sequences decode at `decodeTokensPerSecond / (1 + batchSlowdown * (n - 1))` each. */
  readonly batchSlowdown?: number;
  /**
   * The model ends an answer by itself after a number of tokens drawn from this
   * range by seed and prompt. null: only a limit ends it.
   */
  readonly answerTokens?: { readonly min: number; readonly max: number } | null;
}

/** Like a transformers server that runs several generations at a time. */
export interface DynamicOptions extends CommonOptions {
  readonly personality: 'dynamic';
  readonly attention?: 'eager' | 'flash';
  /** Generations at a time; more wait. null: no limit. */
  readonly maxGenerations?: number | null;
  /** Whether a client that leaves also stops an answer that is not streamed. */
  readonly cancelsNonStream?: boolean;
}

/** Like vLLM. */
export interface PagedOptions extends CommonOptions {
  readonly personality: 'paged';
  /** `max_model_len`. */
  readonly contextTokens?: number;
  readonly gpuMemoryUtilization?: number;
  /** Pool size, the null block included; by default what the GPU memory gives. */
  readonly numGpuBlocks?: number;
  /** `max_num_seqs`. */
  readonly maxSequences?: number;
  /** `max_num_batched_tokens`. */
  readonly maxBatchedTokens?: number;
  /** Off: every layer keeps every token (`--disable-hybrid-kv-cache-manager`). */
  readonly hybridManager?: boolean;
  /** Whether the metrics tell how many requests of full length fit, as since v0.22. */
  readonly tellsConcurrency?: boolean;
}

/** Like llama-server. */
export interface SlotsOptions extends CommonOptions {
  readonly personality: 'slots';
  /** `-c`. */
  readonly contextTokens?: number;
  /** `-np`; left out, 4 slots share one unified pool. */
  readonly slots?: number;
  /** `--kv-unified`. */
  readonly unified?: boolean;
  /** Real milliseconds after `listen` during which everything answers 503 "Loading model". */
  readonly loadingMs?: number;
}

export type SimulatedOptions = DynamicOptions | PagedOptions | SlotsOptions;

export type Resolved<T extends SimulatedOptions> = Required<T>;

const COMMON_DEFAULTS = {
  model: 'gpt-oss-20b',
  seed: 0,
  gpuCount: 1,
  gpuTotalBytes: 81_559 * MIB,
  speed: 1,
  prefillTokensPerSecond: 10_000,
  decodeTokensPerSecond: 100,
  batchSlowdown: 0.02,
  answerTokens: null,
} as const;

export function resolveDynamic(options: DynamicOptions): Resolved<DynamicOptions> {
  return {
    ...COMMON_DEFAULTS,
    attention: 'flash',
    maxGenerations: null,
    cancelsNonStream: true,
    ...options,
  };
}

/** @throws RangeError where one request of full length would not fit the pool: vLLM refuses to start. */
export function resolvePaged(options: PagedOptions): Resolved<PagedOptions> {
  const resolved = {
    ...COMMON_DEFAULTS,
    contextTokens: modelGeometry(options.model ?? COMMON_DEFAULTS.model).contextTokens,
    gpuMemoryUtilization: 0.9,
    maxSequences: 256,
    maxBatchedTokens: 8192,
    hybridManager: true,
    tellsConcurrency: false,
    ...options,
  };
  const numGpuBlocks = options.numGpuBlocks ?? blocksThatFit(resolved);
  const { windowTokens } = modelGeometry(resolved.model);
  const neededBlocks =
    Math.ceil(resolved.contextTokens / BLOCK_TOKENS) +
    slidingBlocksBound(
      resolved.contextTokens,
      resolved.hybridManager ? windowTokens : null,
      resolved.maxBatchedTokens,
    );
  if (neededBlocks > numGpuBlocks - 1) {
    throw new RangeError(
      `a request of ${resolved.contextTokens} tokens needs ${neededBlocks} blocks, the pool has ${numGpuBlocks - 1}`,
    );
  }
  return { ...resolved, numGpuBlocks };
}

/** llama.cpp: `-np` left out means 4 slots over one unified pool, given means split. */
export function resolveSlots(options: SlotsOptions): Resolved<SlotsOptions> {
  return {
    ...COMMON_DEFAULTS,
    contextTokens: modelGeometry(options.model ?? COMMON_DEFAULTS.model).contextTokens,
    slots: 4,
    unified: options.slots === undefined,
    loadingMs: 0,
    ...options,
  };
}

/** vLLM: (total x utilization - weights) / page, activations left out. */
function blocksThatFit(options: {
  readonly model: ModelName;
  readonly gpuCount: number;
  readonly gpuTotalBytes: number;
  readonly gpuMemoryUtilization: number;
  readonly hybridManager: boolean;
}): number {
  const usableBytes = options.gpuTotalBytes * options.gpuMemoryUtilization * options.gpuCount;
  const kvBytes = usableBytes - modelGeometry(options.model).weightsBytes;
  return Math.floor(kvBytes / pageBytes(modelGeometry(options.model), options.hybridManager));
}
