/** The instances of a simulation, as the rooms of state know a backend; most have just the one. */
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

export const INSTANCE = 'simulated';

const notReached = (): never => {
  throw new Error('a simulated engine is not reached over HTTP');
};
const IO: EngineIo = { get: notReached, post: notReached, commandLine: async () => null };

/** What a reading tells of a machine besides what is in use. */
export interface WorldMachine
  extends Pick<Machine, 'engine' | 'layout' | 'maxSequences' | 'gpuBytes'> {
  readonly model: string;
  /** null: the engine does not tell. */
  readonly capacityUnits: number | null;
  /** In use on its GPU before anything runs; left out: what leaves exactly its capacity by the margins. */
  readonly gpuFloorBytes?: number;
}

/** One instance of a world, and where its figures come from: they may change with time. */
export interface Member {
  readonly config: InstanceConfig;
  /** That it serves. */
  readonly paths: readonly string[];
  readonly machine: () => WorldMachine;
  readonly gauges: () => Pick<EngineGauges, 'usedUnits' | 'running' | 'waiting' | 'preemptions'>;
}

/** Of an instance by another name. */
export function configOf(name: string, pool: string, large: boolean): InstanceConfig {
  return { ...INSTANCE_CONFIG, name, pool, large };
}

export const INSTANCE_CONFIG: InstanceConfig = {
  name: INSTANCE,
  url: 'simulated:',
  pool: 'default',
  large: false,
  io: IO,
};

export function adapterOf(engine: string, paths: readonly string[]): Adapter {
  return {
    name: engine,
    generationRoutes: paths.map((path) => ({ path, kind: 'chat', api: 'openai' })),
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

export function factsOf({ layout, model }: WorldMachine): EngineFacts {
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
export function readingOf(
  machine: WorldMachine,
  gauges: ReturnType<Member['gauges']>,
): EngineReading {
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
