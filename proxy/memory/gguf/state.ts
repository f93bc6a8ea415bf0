/**
 * The state that a layer of a GGUF model holds for each sequence in place of
 * KV, as llama.cpp sizes it (src/llama-hparams.cpp, n_embd_r and n_embd_s).
 */
import { assertNever } from '../assert-never.ts';
import type { StateGroup } from '../models/model-spec.ts';
import type { StateRule } from './architectures.ts';
import { GGUF_MAX, type GgufFields } from './fields.ts';

/** What a convolution remembers where a Kimi file does not tell its width (llama-hparams.cpp). */
const KDA_KERNEL = 4;
/** Positions that RWKV remembers where the file does not tell (llama-hparams.h, token_shift_count). */
const RWKV_SHIFTS = 2;

/** @param heads query heads of each layer, where the file tells */
export function readState(
  fields: GgufFields,
  kind: StateRule['kind'],
  hiddenSize: number,
  heads: readonly number[] | null,
): Omit<StateGroup, 'layers'> {
  const size = (name: string): number => fields.required(name, GGUF_MAX.stateSize);
  const firstHeads = heads?.[0] ?? 0;
  switch (kind) {
    case 'ssm': {
      const inner = size('ssm.inner_size');
      const state = size('ssm.state_size');
      const groups = fields.nonzero('ssm.group_count', GGUF_MAX.stateSize) ?? 0;
      return {
        convChannels: inner + 2 * groups * state,
        convKernel: size('ssm.conv_kernel'),
        recurrentElements: state * inner,
      };
    }
    case 'kda': {
      const headDim = size('kda.head_dim');
      return {
        // Of queries, keys and values.
        convChannels: 3 * firstHeads * headDim,
        convKernel: fields.nonzero('ssm.conv_kernel', GGUF_MAX.stateSize) ?? KDA_KERNEL,
        recurrentElements: headDim * headDim * firstHeads,
      };
    }
    case 'short-convolution':
      return {
        convChannels: hiddenSize,
        convKernel: size('shortconv.l_cache'),
        recurrentElements: 0,
      };
    case 'wkv':
      return {
        convChannels: hiddenSize,
        convKernel: 1 + (fields.optional('token_shift_count', GGUF_MAX.stateSize) ?? RWKV_SHIFTS),
        recurrentElements: hiddenSize * size('wkv.head_size'),
      };
    case 'linear-attention': {
      const headDim = fields.optional('attention.key_length', GGUF_MAX.headDim);
      const derived = firstHeads === 0 ? 0 : Math.floor(hiddenSize / firstHeads);
      return {
        convChannels: 0,
        convKernel: 1,
        recurrentElements: (headDim ?? derived) ** 2 * firstHeads,
      };
    }
    default:
      return assertNever(kind);
  }
}
