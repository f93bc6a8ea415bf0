/** The one instance of a simulation, as the rooms of state know a backend. */
import type {
  Adapter,
  EngineFacts,
  EngineIo,
  EngineReading,
} from '../../backend-adapters/adapter.ts';
import { NO_MEDIA } from '../memory/models/media-bounds.ts';
import type { InstanceConfig } from '../state/pools.ts';
import type { EngineGauges } from './engine-model.ts';
import type { Machine } from './machine.ts';
import { PATH } from './requests.ts';

export const INSTANCE = 'simulated';

const notReached = (): never => {
  throw new Error('a simulated engine is not reached over HTTP');
};
const IO: EngineIo = { get: notReached, post: notReached, commandLine: async () => null };

export const INSTANCE_CONFIG: InstanceConfig = {
  name: INSTANCE,
  url: 'simulated:',
  pool: 'default',
  large: false,
  io: IO,
};

export function adapterOf(engine: string): Adapter {
  return {
    name: engine,
    generationRoutes: [{ path: PATH, kind: 'chat', api: 'openai' }],
    passthroughRoutes: [],
    cancelQuietMs: 0,
    rankHeader: null,
    detect: notReached,
    probe: notReached,
    read: notReached,
    countTokens: notReached,
    tryOneToken: notReached,
    parse: notReached,
    rewrite: notReached,
    usage: notReached,
    streamEvent: notReached,
    classifyError: notReached,
  };
}

export function factsOf({ layout, model }: Machine): EngineFacts {
  return {
    layout,
    modelId: model,
    version: null,
    ranks: 1,
    media: NO_MEDIA,
    warnings: [],
    framing: { baseTokens: 0, perMessageTokens: 0 },
  };
}

/** What the adapter of such an engine reads: transformers tells nothing, llama.cpp counts no preemptions. */
export function readingOf(machine: Machine, gauges: EngineGauges): EngineReading {
  const { layout, capacityUnits, maxSequences } = machine;
  const isDynamic = layout.model === 'dynamic';
  return {
    state: 'ready',
    capacityUnits: isDynamic ? null : capacityUnits,
    usedUnits: isDynamic ? null : gauges.usedUnits,
    runningSequences: isDynamic ? null : gauges.running,
    waitingSequences: layout.model === 'paged' ? gauges.waiting : null,
    maxSequences,
    preemptions: layout.model === 'paged' ? gauges.preemptions : null,
    hostTier: null,
    ranks: [],
  };
}
