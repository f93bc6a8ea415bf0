/**
 * Models of other architectures than gpt-oss, as tiny and as meaningless, for
 * the memory that llama.cpp gives them: `llama`, whose layers are all alike and
 * full, and `qwen35`, most of whose layers keep a state in place of KV, with a
 * layer of its own draft. Metadata and tensors are those that llama.cpp's
 * src/models/llama.cpp and src/models/qwen35.cpp read.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { NO_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { encodeGguf, type GgufTensor, type GgufValue } from './gguf-encoder.ts';
import { tokenizerMetadata } from './tiny-gguf.ts';

export type TinyArchitecture = 'llama' | 'qwen35';

const HIDDEN = 64;
const LAYERS = 4;
const QUERY_HEADS = 4;
const KV_HEADS = 2;
const HEAD_DIM = 32;
const INTERMEDIATE = 64;
const VOCABULARY = 266;
const CONTEXT = 131_072;

/** Of qwen35: keys and values of its linear layers are as wide as the state is deep. */
const STATE = { kernel: 4, size: 64, keyHeads: 2, valueHeads: 4 };
const KEY_WIDTH = STATE.size * STATE.keyHeads;
const INNER_WIDTH = STATE.size * STATE.valueHeads;
const CONV_CHANNELS = 2 * KEY_WIDTH + INNER_WIDTH;
const FULL_EVERY = 4;
/** Layers of its own draft, which only a server that drafts makes use of. */
const DRAFT_LAYERS = 1;

/** What a reader of the file would make of it. */
export function tinySpec(architecture: TinyArchitecture): ModelSpec {
  const isHybrid = architecture === 'qwen35';
  const fullLayers = isHybrid ? LAYERS / FULL_EVERY : LAYERS;
  const shape = { kvHeads: KV_HEADS, keyDim: HEAD_DIM, valueDim: HEAD_DIM, windowTokens: null };
  const state = {
    layers: LAYERS - fullLayers,
    convChannels: CONV_CHANNELS,
    convKernel: STATE.kernel,
    recurrentElements: STATE.size * INNER_WIDTH,
  };
  return {
    id: `tiny-${architecture}`,
    groups: [{ layers: fullLayers, ...shape }],
    states: isHybrid ? [state] : [],
    hiddenSize: HIDDEN,
    queryHeads: QUERY_HEADS,
    headDim: HEAD_DIM,
    vocabSize: VOCABULARY,
    contextTokens: CONTEXT,
    experts: null,
    intermediateSize: INTERMEDIATE,
    media: NO_MEDIA,
    tokenizer: null,
    source: 'test/support/tiny-architectures.ts',
  };
}

/** The draft of qwen35: a context of its own with one full layer. */
export function tinyDraftSpec(): ModelSpec {
  const { groups, ...spec } = tinySpec('qwen35');
  return {
    ...spec,
    groups: groups.map((group) => ({ ...group, layers: DRAFT_LAYERS })),
    states: [],
  };
}

/** Writes the model to `path`, replacing what is there in one step. */
export function writeTinyModel(architecture: TinyArchitecture, path: string): void {
  const metadata = new Map([
    ['general.architecture', string(architecture)],
    ...modelMetadata(architecture),
    ...tokenizerMetadata(VOCABULARY),
  ]);
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, encodeGguf(metadata, tensorsOf(architecture)));
  renameSync(partial, path);
}

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
const float32 = (value: number): GgufValue => ({ type: 'float32', value });
const string = (value: string): GgufValue => ({ type: 'string', value });

function modelMetadata(architecture: TinyArchitecture): [string, GgufValue][] {
  const common: [string, GgufValue][] = [
    ['block_count', uint32(LAYERS + (architecture === 'llama' ? 0 : DRAFT_LAYERS))],
    ['context_length', uint32(CONTEXT)],
    ['embedding_length', uint32(HIDDEN)],
    ['feed_forward_length', uint32(INTERMEDIATE)],
    ['attention.head_count', uint32(QUERY_HEADS)],
    ['attention.head_count_kv', uint32(KV_HEADS)],
    ['attention.key_length', uint32(HEAD_DIM)],
    ['attention.value_length', uint32(HEAD_DIM)],
    ['attention.layer_norm_rms_epsilon', float32(1e-5)],
    ['rope.dimension_count', uint32(HEAD_DIM)],
  ];
  const hybrid: [string, GgufValue][] = [
    ['full_attention_interval', uint32(FULL_EVERY)],
    ['rope.dimension_sections', { type: 'int32[]', value: [8, 4, 4, 0] }],
    ['nextn_predict_layers', uint32(DRAFT_LAYERS)],
    ['ssm.conv_kernel', uint32(STATE.kernel)],
    ['ssm.inner_size', uint32(INNER_WIDTH)],
    ['ssm.state_size', uint32(STATE.size)],
    ['ssm.time_step_rank', uint32(STATE.valueHeads)],
    ['ssm.group_count', uint32(STATE.keyHeads)],
  ];
  const entries = architecture === 'qwen35' ? [...common, ...hybrid] : common;
  return entries.map(([name, value]) => [`${architecture}.${name}`, value]);
}

/** Weights mean nothing here: small ones that are not all alike keep every step of the model finite. */
function tensor(name: string, ...sizes: readonly number[]): GgufTensor {
  const length = sizes.reduce((product, size) => product * size, 1);
  return { name, sizes, data: Float32Array.from({ length }, (_, index) => Math.sin(index) / 8) };
}

function tensorsOf(architecture: TinyArchitecture): GgufTensor[] {
  const layer = (index: number, tensors: (named: Named) => GgufTensor[]) =>
    tensors((name, ...sizes) => tensor(`blk.${index}.${name}`, ...sizes));
  const trunk = Array.from({ length: LAYERS }, (_, index) => {
    if (architecture === 'llama') return layer(index, llamaLayer);
    return layer(index, (index + 1) % FULL_EVERY === 0 ? gatedLayer : linearLayer);
  });
  return [
    tensor('token_embd.weight', HIDDEN, VOCABULARY),
    ...trunk.flat(),
    ...(architecture === 'llama' ? [] : layer(LAYERS, draftLayer)),
    tensor('output_norm.weight', HIDDEN),
    tensor('output.weight', HIDDEN, VOCABULARY),
  ];
}

type Named = (name: string, ...sizes: readonly number[]) => GgufTensor;

/** @param perQuery vectors that each query head projects to */
function attention(named: Named, perQuery: number): GgufTensor[] {
  return [
    named('attn_norm.weight', HIDDEN),
    named('attn_q.weight', HIDDEN, perQuery * QUERY_HEADS * HEAD_DIM),
    named('attn_k.weight', HIDDEN, KV_HEADS * HEAD_DIM),
    named('attn_v.weight', HIDDEN, KV_HEADS * HEAD_DIM),
    named('attn_output.weight', QUERY_HEADS * HEAD_DIM, HIDDEN),
  ];
}

function llamaLayer(named: Named): GgufTensor[] {
  return [...attention(named, 1), named('ffn_norm.weight', HIDDEN), ...feedForward(named)];
}

/** Queries come with a gate. */
function gatedLayer(named: Named): GgufTensor[] {
  return [
    ...attention(named, 2),
    named('attn_q_norm.weight', HEAD_DIM),
    named('attn_k_norm.weight', HEAD_DIM),
    named('post_attention_norm.weight', HIDDEN),
    ...feedForward(named),
  ];
}

function linearLayer(named: Named): GgufTensor[] {
  return [
    named('attn_norm.weight', HIDDEN),
    named('attn_qkv.weight', HIDDEN, CONV_CHANNELS),
    named('attn_gate.weight', HIDDEN, INNER_WIDTH),
    named('ssm_conv1d.weight', STATE.kernel, CONV_CHANNELS),
    named('ssm_dt.bias', STATE.valueHeads),
    named('ssm_a', STATE.valueHeads),
    named('ssm_beta.weight', HIDDEN, STATE.valueHeads),
    named('ssm_alpha.weight', HIDDEN, STATE.valueHeads),
    named('ssm_norm.weight', STATE.size),
    named('ssm_out.weight', INNER_WIDTH, HIDDEN),
    named('post_attention_norm.weight', HIDDEN),
    ...feedForward(named),
  ];
}

/** A full layer that guesses the token after the next. */
function draftLayer(named: Named): GgufTensor[] {
  return [
    ...gatedLayer(named),
    named('nextn.eh_proj.weight', 2 * HIDDEN, HIDDEN),
    named('nextn.enorm.weight', HIDDEN),
    named('nextn.hnorm.weight', HIDDEN),
  ];
}

function feedForward(named: Named): GgufTensor[] {
  return [
    named('ffn_gate.weight', HIDDEN, INTERMEDIATE),
    named('ffn_up.weight', HIDDEN, INTERMEDIATE),
    named('ffn_down.weight', INTERMEDIATE, HIDDEN),
  ];
}
