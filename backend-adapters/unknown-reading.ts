/** A reading of an engine that serves but tells nothing more. */
import type { EngineReading } from './adapter.ts';

export const UNKNOWN_READING: EngineReading = {
  state: 'ready',
  capacityUnits: null,
  usedUnits: null,
  runningSequences: null,
  waitingSequences: null,
  maxSequences: null,
  preemptions: null,
  hostTier: null,
  ranks: [],
};
