/**
 * Bytes of what state-space and linear-attention layers keep for a sequence in
 * place of KV. It is of one size from the first token to the last.
 */
import type { ModelSpec, StateGroup } from '../models/model-spec.ts';

/** How an engine stores such states. */
export interface StateStorage {
  /** Positions of the convolution that it does not keep: of a width of 4 some keep 4, some 3. */
  readonly convPositionsLess: 0 | 1;
  readonly convElementBytes: number;
  readonly recurrentElementBytes: number;
}

/**
 * vLLM (model_executor/layers/mamba/mamba_utils.py) and SGLang
 * (configs/mamba_utils.py). The recurrent part is float32 in SGLang unless it is
 * told otherwise, and in vLLM for the models whose file asks for it; narrower
 * ones take less than is counted here.
 */
export const PAGED_STATES: StateStorage = {
  convPositionsLess: 1,
  convElementBytes: 2,
  recurrentElementBytes: 4,
};

/**
 * Bytes of one sequence's state in one layer on one GPU. Channels and heads are
 * split over the GPUs of a tensor-parallel instance.
 */
export function layerStateBytes(
  state: StateGroup,
  storage: StateStorage,
  tensorParallel = 1,
): number {
  const positions = state.convKernel - storage.convPositionsLess;
  const conv = Math.ceil(state.convChannels / tensorParallel) * positions;
  const recurrent = Math.ceil(state.recurrentElements / tensorParallel);
  return conv * storage.convElementBytes + recurrent * storage.recurrentElementBytes;
}

/** Bytes of one sequence's states in all layers on one GPU; 0 for models of attention alone. */
export function sequenceStateBytes(
  spec: ModelSpec,
  storage: StateStorage,
  tensorParallel = 1,
): number {
  const bytes = spec.states.reduce(
    (sum, state) => sum + state.layers * layerStateBytes(state, storage, tensorParallel),
    0,
  );
  return Math.ceil(bytes);
}
