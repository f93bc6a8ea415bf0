/**
 * How long a step takes on a GPU. Derived from data sheets, not measured. What
 * was measured is the form, `StepTime`, on llama-server with a tiny model
 * (test/real/step-time-fit.test.ts).
 *
 *   baseMs            = overhead + weights read in a step / bandwidth
 *   perKvTokenMs      = KV bytes of a token in the full layers / bandwidth
 *   perSequenceMs     = host work + KV bytes of one window in the sliding layers / bandwidth
 *   perPrefillTokenMs = 2 x active parameters / FLOP/s
 *
 * Decoding is bound by reading, its arithmetic runs beside it. A batch of n
 * reads 1 - (1 - 4 / experts)^n of the experts: all but 0.3 % at 45 of 20b's 32
 * and at 180 of 120b's 128, the batches that fill the memory. The figures are
 * those of such batches: a few sequences alone are faster in truth.
 */
import type { ModelGeometry, ModelName } from '../../backend-adapters/simulated-server/geometry.ts';
import {
  kvBytesPerTokenLayer,
  modelGeometry,
} from '../../backend-adapters/simulated-server/geometry.ts';
import type { StepTime } from './engine-model.ts';

export interface GpuFigures {
  readonly name: string;
  readonly bytesPerSecond: number;
  /** Dense BF16 with FP32 accumulation. */
  readonly flopPerSecond: number;
}

const GIB = 1024 ** 3;

/** By memory: NVIDIA's data sheets of the RTX 4080 and 4090 (Ada whitepaper) and the H100 SXM. */
const GPUS: ReadonlyArray<GpuFigures & { readonly memoryBytes: number }> = [
  { name: 'RTX 4080', memoryBytes: 16 * GIB, bytesPerSecond: 716.8e9, flopPerSecond: 97.5e12 },
  { name: 'RTX 4090', memoryBytes: 24 * GIB, bytesPerSecond: 1008e9, flopPerSecond: 165.2e12 },
];
const LARGE_GPU: GpuFigures = {
  name: 'H100 SXM',
  bytesPerSecond: 3.35e12,
  flopPerSecond: 989.4e12,
};

/** Shares of the data sheet's figures that a good engine gets; assumed. */
const BANDWIDTH_SHARE = 0.75;
const FLOP_SHARE = 0.4;
/** Launching a step, and sampling and detokenizing for one sequence; assumed. */
const STEP_OVERHEAD_MS = 1;
const SEQUENCE_OVERHEAD_MS = 0.02;

/** gpt-oss model card, table 1. */
const ACTIVE_PARAMETERS: Readonly<Record<ModelName, number>> = {
  'gpt-oss-20b': 3.61e9,
  'gpt-oss-120b': 5.13e9,
};
/** Of 201,088 tokens, 16 bits an element: only single rows of it are read. */
const EMBEDDING_ROWS = 201_088;
const EMBEDDING_ELEMENT_BYTES = 2;

/** The GPU whose figures stand for all of about its size: 16 GB, 24 GB, and 80 GB for what is larger. */
export function gpuOfSize(gpuBytes: number): GpuFigures {
  return GPUS.find(({ memoryBytes }) => gpuBytes <= memoryBytes) ?? LARGE_GPU;
}

/** On `gpus` of that size, which share the work without loss. */
export function derivedStepTime(model: ModelName, gpuBytes: number, gpus: number): StepTime {
  const geometry = modelGeometry(model);
  const gpu = gpuOfSize(gpuBytes);
  const bytesPerMs = (gpus * gpu.bytesPerSecond * BANDWIDTH_SHARE) / 1000;
  const flopPerMs = (gpus * gpu.flopPerSecond * FLOP_SHARE) / 1000;
  const layerTokenBytes = kvBytesPerTokenLayer(geometry);
  const windowBytes = geometry.slidingLayers * geometry.windowTokens * layerTokenBytes;
  return {
    baseMs: STEP_OVERHEAD_MS + readWeightsBytes(geometry) / bytesPerMs,
    perSequenceMs: SEQUENCE_OVERHEAD_MS + windowBytes / bytesPerMs,
    perPrefillTokenMs: (2 * ACTIVE_PARAMETERS[model]) / flopPerMs,
    perKvTokenMs: (geometry.fullLayers * layerTokenBytes) / bytesPerMs,
  };
}

function readWeightsBytes({ weightsBytes, hiddenSize }: ModelGeometry): number {
  return weightsBytes - EMBEDDING_ROWS * hiddenSize * EMBEDDING_ELEMENT_BYTES;
}
