/** Puts the parts of each personality together: GPU, engine and dialect. */
import { fullLengthBlocks, pageBytes } from './block-table.ts';
import type { Dialect, Reply } from './dialect.ts';
import { DynamicEngine } from './dynamic-engine.ts';
import type { Engine } from './engine.ts';
import type { ModelGeometry } from './geometry.ts';
import { modelGeometry } from './geometry.ts';
import { llamacppDialect } from './llamacpp-dialect.ts';
import { llamaError } from './llamacpp-errors.ts';
import type { Resolved, SimulatedOptions } from './options.ts';
import { resolveDynamic, resolvePaged, resolveSlots } from './options.ts';
import { PagedEngine } from './paged-engine.ts';
import { SimulatedGpu } from './simulated-gpu.ts';
import { SlotsEngine } from './slots-engine.ts';
import { slotContextTokens, slotsPoolBytes } from './slots-memory.ts';
import { transformersDialect } from './transformers-dialect.ts';
import { vllmDialect } from './vllm-dialect.ts';

export interface Personality {
  readonly gpu: SimulatedGpu;
  readonly engine: Engine;
  readonly dialect: Dialect;
  readonly settings: Resolved<SimulatedOptions>;
  readonly cancelsNonStream: boolean;
  /** Everything answers `loadingReply` for this long after `listen`. */
  readonly loadingMs: number;
  readonly loadingReply: Reply;
}

const LOADING_REPLY = llamaError(503, 'unavailable_error', 'Loading model');

/** @throws RangeError where the model, or its pool, does not fit the GPU */
export function createPersonality(options: SimulatedOptions): Personality {
  switch (options.personality) {
    case 'dynamic': {
      const settings = resolveDynamic(options);
      const model = modelGeometry(settings.model);
      const gpu = new SimulatedGpu(settings.gpuCount, settings.gpuTotalBytes, model.weightsBytes);
      return {
        ...COMMON,
        settings,
        gpu,
        engine: new DynamicEngine(model, gpu, settings),
        dialect: transformersDialect(model.id),
        cancelsNonStream: settings.cancelsNonStream,
      };
    }
    case 'paged': {
      const settings = resolvePaged(options);
      const model = modelGeometry(settings.model);
      const poolBytes = settings.numGpuBlocks * pageBytes(model, settings.hybridManager);
      const windowTokens = settings.hybridManager ? model.windowTokens : null;
      const engine = new PagedEngine({ ...settings, windowTokens });
      return {
        ...COMMON,
        settings,
        gpu: gpuWithPool(settings, model, poolBytes),
        engine,
        dialect: vllmDialect({
          ...settings,
          modelId: model.id,
          fullLengthBlocks: settings.tellsConcurrency
            ? fullLengthBlocks(settings, windowTokens)
            : null,
          engine,
        }),
      };
    }
    case 'slots': {
      const settings = resolveSlots(options);
      const model = modelGeometry(settings.model);
      const engine = new SlotsEngine(settings);
      const server = {
        modelId: model.id,
        slotContextTokens: slotContextTokens(settings),
        trainedContextTokens: model.contextTokens,
        weightsBytes: model.weightsBytes,
        rates: settings,
        engine,
      };
      return {
        ...COMMON,
        settings,
        gpu: gpuWithPool(settings, model, slotsPoolBytes(settings, model)),
        engine,
        dialect: llamacppDialect(server),
        loadingMs: settings.loadingMs,
      };
    }
  }
}

const COMMON = { cancelsNonStream: true, loadingMs: 0, loadingReply: LOADING_REPLY } as const;

/** A GPU whose KV is allocated once, at the start. */
function gpuWithPool(
  { gpuCount, gpuTotalBytes }: { readonly gpuCount: number; readonly gpuTotalBytes: number },
  { weightsBytes }: ModelGeometry,
  poolBytes: number,
): SimulatedGpu {
  return new SimulatedGpu(gpuCount, gpuTotalBytes, weightsBytes + poolBytes);
}
