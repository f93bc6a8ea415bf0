/**
 * The states that layers without KV keep for each sequence, in elements. The
 * formulas are those of transformers' modeling files, compared with the tensors
 * in the cache of a small model of each family (transformers 5.18).
 */
import type { ConfigFields } from './config-fields.ts';
import type { StateGroup } from './model-spec.ts';

/** What one layer keeps. */
export type StateShape = Omit<StateGroup, 'layers'>;
export type StateReader = (fields: ConfigFields) => StateShape;

const MAX_HEADS = 1024;
const MAX_HEAD_DIM = 4096;
const MAX_HIDDEN = 2 ** 18;
const MAX_KERNEL = 64;
const MAX_EXPANSION = 16;

/**
 * Gated delta net: the convolution runs over queries, keys and values, the
 * state is a matrix of key x value for each value head
 * (modeling_qwen3_next.py, modeling_qwen3_5.py, modeling_olmo_hybrid.py).
 */
export function gatedDeltaNet(fields: ConfigFields): StateShape {
  const keyHeads = fields.required('linear_num_key_heads', MAX_HEADS);
  const valueHeads = fields.required('linear_num_value_heads', MAX_HEADS);
  const keyDim = fields.required('linear_key_head_dim', MAX_HEAD_DIM);
  const valueDim = fields.required('linear_value_head_dim', MAX_HEAD_DIM);
  return {
    convChannels: 2 * keyHeads * keyDim + valueHeads * valueDim,
    convKernel: fields.required('linear_conv_kernel_dim', MAX_KERNEL),
    recurrentElements: valueHeads * keyDim * valueDim,
  };
}

/**
 * Kimi delta attention: queries, keys and values of as many heads, a square
 * state for each. Older files nest the numbers (modeling_kimi_linear.py and
 * KimiLinearConfig).
 */
export function kimiDelta(fields: ConfigFields): StateShape {
  const inner = fields.inside('linear_attn_config');
  const read = (nested: string, flat: string, max: number): number =>
    inner === null || inner.raw(nested) === null
      ? fields.required(flat, max)
      : inner.required(nested, max);
  const heads = read('num_heads', 'linear_num_heads', MAX_HEADS);
  const headDim = read('head_dim', 'linear_head_dim', MAX_HEAD_DIM);
  return {
    convChannels: 3 * heads * headDim,
    convKernel: read('short_conv_kernel_size', 'linear_conv_kernel_dim', MAX_KERNEL),
    recurrentElements: heads * headDim * headDim,
  };
}

/** Mamba 2: inner channels, and B and C of each group (modeling_mamba2.py). */
function mamba2(
  innerChannels: number,
  groups: number,
  stateSize: number,
): Omit<StateShape, 'convKernel'> {
  return {
    convChannels: innerChannels + 2 * groups * stateSize,
    recurrentElements: innerChannels * stateSize,
  };
}

/** modeling_nemotron_h.py: inner channels are heads x head size, whatever `expand` says. */
export function nemotronMamba(fields: ConfigFields): StateShape {
  const heads = fields.required('mamba_num_heads', MAX_HEADS);
  const inner = heads * fields.required('mamba_head_dim', MAX_HEAD_DIM);
  const groups = fields.required(fields.firstSet(['mamba_n_groups', 'n_groups']), MAX_HEADS);
  const stateSize = fields.required('ssm_state_size', MAX_HEAD_DIM);
  const convKernel = fields.required(fields.firstSet(['mamba_d_conv', 'conv_kernel']), MAX_KERNEL);
  return { ...mamba2(inner, groups, stateSize), convKernel };
}

/** modeling_bamba.py, modeling_granitemoehybrid.py, modeling_falcon_h1.py. */
export function bambaMamba(fields: ConfigFields): StateShape {
  const inner = fields.optional('mamba_d_ssm', MAX_HIDDEN) ?? expandedChannels(fields);
  const heads = fields.required('mamba_n_heads', MAX_HEADS);
  const given =
    fields.raw('mamba_d_head') === 'auto' ? null : fields.optional('mamba_d_head', MAX_HEAD_DIM);
  if (heads * (given ?? inner / heads) !== inner || inner % heads !== 0) {
    fields.reject('mamba_d_head', 'times mamba_n_heads is not the size of the inner layer');
  }
  const groups = fields.required('mamba_n_groups', MAX_HEADS);
  const stateSize = fields.required('mamba_d_state', MAX_HEAD_DIM);
  return {
    ...mamba2(inner, groups, stateSize),
    convKernel: fields.required('mamba_d_conv', MAX_KERNEL),
  };
}

/** Mamba 1: the convolution runs over the inner channels alone (modeling_jamba.py). */
export function jambaMamba(fields: ConfigFields): StateShape {
  const inner = expandedChannels(fields);
  return {
    convChannels: inner,
    convKernel: fields.required('mamba_d_conv', MAX_KERNEL),
    recurrentElements: inner * fields.required('mamba_d_state', MAX_HEAD_DIM),
  };
}

function expandedChannels(fields: ConfigFields): number {
  return (
    fields.required('mamba_expand', MAX_EXPANSION) * fields.required('hidden_size', MAX_HIDDEN)
  );
}

/** A short convolution and nothing else (modeling_lfm2.py). */
export function shortConvolution(fields: ConfigFields): StateShape {
  return {
    convChannels: fields.required('hidden_size', MAX_HIDDEN),
    convKernel: fields.required('conv_L_cache', MAX_KERNEL),
    recurrentElements: 0,
  };
}
