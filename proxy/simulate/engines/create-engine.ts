/** An engine of each kind, by what is told about it. */
import type { SlotsShape } from '../../../backend-adapters/simulated-server/slots-memory.ts';
import type { EngineModel } from '../engine-model.ts';
import { BatchedEngine, type BatchSettings } from './batched-engine.ts';
import { BlockAccount, type PagedShape } from './block-account.ts';
import { CellAccount } from './cell-account.ts';
import { DynamicAccount, type DynamicShape } from './dynamic-account.ts';

export type EngineSettings = BatchSettings &
  (
    | ({ readonly memory: 'dynamic' } & DynamicShape)
    | ({ readonly memory: 'paged' } & PagedShape)
    | ({ readonly memory: 'slots' } & SlotsShape)
  );

/**
 * What becomes of a prompt that not even the empty engine can hold, at the end
 * of the step that would have begun it:
 * - `dynamic` fails it with 'oom', which is what the real one runs into;
 * - `paged` fails it with 'overflow'; vLLM answers 400, for its context is
 *   never longer than its pool;
 * - `slots` fail it with 'overflow'; llama-server answers 400
 *   `exceed_context_size_error`. An output that reaches the context just ends.
 *
 * @throws RangeError where `maxBatchedTokens` is below 1
 */
export function createEngine(settings: EngineSettings): EngineModel {
  return new BatchedEngine(accountOf(settings), settings);
}

function accountOf(settings: EngineSettings) {
  switch (settings.memory) {
    case 'dynamic':
      return new DynamicAccount(settings);
    case 'paged':
      return new BlockAccount(settings);
    case 'slots':
      return new CellAccount(settings);
  }
}
