/**
 * A gpt-oss model of random weights, small enough (1.3 MB) to be made on the
 * spot and real enough for llama-server to load and run: the geometry of
 * test/fixtures/tiny-gpt-oss-config.json, with a tokenizer of one token a byte.
 *
 * It answers in printable ASCII, one character a token, and never with an end
 * token: a request always runs to its limit. Metadata and tensors are those
 * that llama.cpp's src/models/openai-moe.cpp and src/llama-vocab.cpp read.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { encodeGguf, type GgufTensor, type GgufValue } from './gguf-encoder.ts';

interface GptOssConfig {
  readonly head_dim: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly max_position_embeddings: number;
  readonly num_attention_heads: number;
  readonly num_experts_per_tok: number;
  readonly num_hidden_layers: number;
  readonly num_key_value_heads: number;
  readonly num_local_experts: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly sliding_window: number;
  readonly vocab_size: number;
}

const CONFIG_URL = new URL('../fixtures/tiny-gpt-oss-config.json', import.meta.url);

const BYTE_TOKENS = 256;

/** Control tokens of the harmony format; their ids follow those of the bytes. */
const CONTROL_TOKENS = [
  '<|startoftext|>',
  '<|endoftext|>',
  '<|return|>',
  '<|constrain|>',
  '<|channel|>',
  '<|start|>',
  '<|end|>',
  '<|message|>',
  '<|call|>',
  '<|endofprompt|>',
] as const;

const CHAT_TEMPLATE =
  '{% for message in messages %}<|start|>{{ message.role }}<|message|>{{ message.content }}<|end|>{% endfor %}' +
  '{% if add_generation_prompt %}<|start|>assistant<|message|>{% endif %}';

/** `llama_token_type` of llama.h. */
const TOKEN_TYPE_NORMAL = 1;
const TOKEN_TYPE_CONTROL = 3;

/**
 * Every embedding holds this in hidden dimension 0, far more than the layers
 * add to it, so it is still positive after the last norm. The output row of a
 * token that must not be sampled weighs it with UNSAMPLED_WEIGHT, which drowns
 * the rest of its logit.
 */
const STEADY_EMBEDDING = 16;
const UNSAMPLED_WEIGHT = -1000;

export interface TinyGgufOptions {
  readonly seed?: number;
  /** Files that its header says it is split into, all of it in the first. */
  readonly parts?: number;
}

/** Writes the model to `path`, replacing what is there in one step. */
export function writeTinyGguf(path: string, options: TinyGgufOptions = {}): void {
  const partial = `${path}.${process.pid}`;
  writeFileSync(partial, tinyGguf(options));
  renameSync(partial, path);
}

/** The bytes of the model's file. Equal seeds give equal bytes. */
export function tinyGguf(options: TinyGgufOptions = {}): Uint8Array {
  const config = JSON.parse(readFileSync(CONFIG_URL, 'utf8')) as GptOssConfig;
  const metadata = new Map([...modelMetadata(config), ...tokenizerMetadata(config.vocab_size)]);
  if (options.parts !== undefined) {
    metadata.set('split.count', { type: 'uint16', value: options.parts });
  }
  return encodeGguf(metadata, modelTensors(config, mulberry32(options.seed ?? 1)));
}

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
const float32 = (value: number): GgufValue => ({ type: 'float32', value });
const string = (value: string): GgufValue => ({ type: 'string', value });

function modelMetadata(config: GptOssConfig): [string, GgufValue][] {
  return [
    ['general.architecture', string('gpt-oss')],
    ['general.name', string('tiny-gpt-oss')],
    ['gpt-oss.block_count', uint32(config.num_hidden_layers)],
    ['gpt-oss.context_length', uint32(config.max_position_embeddings)],
    ['gpt-oss.embedding_length', uint32(config.hidden_size)],
    ['gpt-oss.feed_forward_length', uint32(config.intermediate_size)],
    ['gpt-oss.expert_feed_forward_length', uint32(config.intermediate_size)],
    ['gpt-oss.expert_count', uint32(config.num_local_experts)],
    ['gpt-oss.expert_used_count', uint32(config.num_experts_per_tok)],
    ['gpt-oss.attention.head_count', uint32(config.num_attention_heads)],
    ['gpt-oss.attention.head_count_kv', uint32(config.num_key_value_heads)],
    ['gpt-oss.attention.key_length', uint32(config.head_dim)],
    ['gpt-oss.attention.value_length', uint32(config.head_dim)],
    ['gpt-oss.attention.layer_norm_rms_epsilon', float32(config.rms_norm_eps)],
    ['gpt-oss.attention.sliding_window', uint32(config.sliding_window)],
    ['gpt-oss.rope.freq_base', float32(config.rope_theta)],
  ];
}

/** A tokenizer of one token a byte, and the control tokens of harmony. */
export function tokenizerMetadata(vocabSize: number): [string, GgufValue][] {
  const tokens = [...byteTokens(), ...CONTROL_TOKENS];
  if (tokens.length !== vocabSize) {
    throw new RangeError(`vocab_size is ${vocabSize}, but the tokenizer has ${tokens.length}`);
  }
  const types = tokens.map((_, id) => (id < BYTE_TOKENS ? TOKEN_TYPE_NORMAL : TOKEN_TYPE_CONTROL));
  const idOf = (token: (typeof CONTROL_TOKENS)[number]) => uint32(tokens.indexOf(token));
  return [
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('gpt-4o')],
    ['tokenizer.ggml.tokens', { type: 'string[]', value: tokens }],
    ['tokenizer.ggml.token_type', { type: 'int32[]', value: types }],
    ['tokenizer.ggml.merges', { type: 'string[]', value: [] }],
    ['tokenizer.ggml.bos_token_id', idOf('<|startoftext|>')],
    ['tokenizer.ggml.eos_token_id', idOf('<|return|>')],
    ['tokenizer.ggml.padding_token_id', idOf('<|endoftext|>')],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
    ['tokenizer.chat_template', string(CHAT_TEMPLATE)],
  ];
}

/** GPT-2's spelling of the 256 bytes: printable ones as they are, the others from U+0100 on. */
function byteTokens(): string[] {
  let nextSubstitute = 0x100;
  return Array.from({ length: BYTE_TOKENS }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCodePoint(printable ? byte : nextSubstitute++);
  });
}

/** Printable ASCII, so that every token is a character and none ends the answer. */
function isSampled(tokenId: number): boolean {
  return tokenId >= 0x20 && tokenId < 0x7f;
}

function modelTensors(config: GptOssConfig, random: () => number): GgufTensor[] {
  const hidden = config.hidden_size;
  const experts = config.num_local_experts;
  const inner = config.intermediate_size;
  const queryWidth = config.num_attention_heads * config.head_dim;
  const keyWidth = config.num_key_value_heads * config.head_dim;

  const noise = (name: string, sizes: readonly number[], scale: number): GgufTensor => {
    const length = sizes.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length }, () => (2 * random() - 1) * scale);
    return { name, sizes, data };
  };
  const linear = (name: string, inputs: number, outputs: number, ...copies: number[]) => [
    noise(`${name}.weight`, [inputs, outputs, ...copies], 1 / Math.sqrt(inputs)),
    noise(`${name}.bias`, [outputs, ...copies], 0.1),
  ];
  const norm = (name: string): GgufTensor => {
    return { name: `${name}.weight`, sizes: [hidden], data: new Float32Array(hidden).fill(1) };
  };
  const table = (name: string, dimensionZero: (tokenId: number) => number): GgufTensor => {
    const tensor = noise(`${name}.weight`, [hidden, config.vocab_size], 1);
    for (let id = 0; id < config.vocab_size; id++) tensor.data[id * hidden] = dimensionZero(id);
    return tensor;
  };

  const block = (name: string): GgufTensor[] => [
    norm(`${name}.attn_norm`),
    norm(`${name}.post_attention_norm`),
    ...linear(`${name}.attn_q`, hidden, queryWidth),
    ...linear(`${name}.attn_k`, hidden, keyWidth),
    ...linear(`${name}.attn_v`, hidden, keyWidth),
    ...linear(`${name}.attn_output`, queryWidth, hidden),
    noise(`${name}.attn_sinks.weight`, [config.num_attention_heads], 1),
    ...linear(`${name}.ffn_gate_inp`, hidden, experts),
    ...linear(`${name}.ffn_gate_exps`, hidden, inner, experts),
    ...linear(`${name}.ffn_up_exps`, hidden, inner, experts),
    ...linear(`${name}.ffn_down_exps`, inner, hidden, experts),
  ];
  return [
    table('token_embd', () => STEADY_EMBEDDING),
    ...Array.from({ length: config.num_hidden_layers }, (_, layer) => block(`blk.${layer}`)).flat(),
    norm('output_norm'),
    table('output', (tokenId) => (isSampled(tokenId) ? 0 : UNSAMPLED_WEIGHT)),
  ];
}

/** A seeded generator of numbers in [0, 1): mulberry32, by Tommy Ettinger, public domain. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}
