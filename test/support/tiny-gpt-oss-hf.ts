/**
 * A gpt-oss model as a Hugging Face folder, made on the spot for
 * `transformers serve` and vLLM, with the KV geometry of
 * test/fixtures/tiny-gpt-oss-config.json.
 *
 * Its next token depends on the last one alone, whatever the temperature: a
 * letter gives the letter after it (after `z` a space, then `a`), a newline
 * gives the end token, any other byte gives `a`. It never ends by itself within
 * letters, so a request runs to its limit. After `<|start|>assistant`, where
 * vLLM's own Harmony rendering stops, come `<|channel|>final<|message|>` first,
 * which count as output tokens.
 *
 * One token a byte. The ids are those of o200k_harmony, whose bytes are in the
 * same places, because vLLM renders chats by that vocabulary: hence the 201,088
 * rows of a 52 MB file that is almost all zeros. The rope parameters are those
 * that vLLM's model_executor/models/gpt_oss.py reads without a default.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors, type Tensor } from './safetensors-encoder.ts';
import {
  ASSISTANT,
  byteCharacters,
  CHANNEL,
  CHAT_TEMPLATE,
  FINAL,
  MESSAGE,
  RETURN,
  TOKENIZER_CONFIG,
  tokenizer,
  VOCABULARY,
  WINDOW,
} from './tiny-gpt-oss-tokens.ts';

interface Geometry {
  readonly head_dim: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly layer_types: readonly string[];
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly num_local_experts: number;
}

const GEOMETRY_URL = new URL('../fixtures/tiny-gpt-oss-config.json', import.meta.url);
/** Of the output rows: times the norm's sqrt(64) it makes a logit of 64, against 0 elsewhere. */
const CERTAIN = 8;

/** Writes the model into `folder`, each file in one step, so that a running server keeps its own. */
export function writeTinyGptOss(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const geometry = JSON.parse(readFileSync(GEOMETRY_URL, 'utf8')) as Geometry;
  const end = { eos_token_id: [RETURN, 200_012], pad_token_id: 199_999 };
  const files = {
    'config.json': JSON.stringify(configOf(geometry, end)),
    'generation_config.json': JSON.stringify({ do_sample: true, ...end }),
    'tokenizer.json': JSON.stringify(tokenizer()),
    'tokenizer_config.json': JSON.stringify(TOKENIZER_CONFIG),
    'chat_template.jinja': CHAT_TEMPLATE,
    'model.safetensors': encodeSafetensors(tensorsOf(geometry)),
  };
  for (const [name, content] of Object.entries(files)) {
    const partial = join(folder, `.${name}.${process.pid}`);
    writeFileSync(partial, content);
    renameSync(partial, join(folder, name));
  }
}

function configOf(geometry: Geometry, end: object) {
  return {
    ...geometry,
    ...end,
    attention_dropout: 0,
    bos_token_id: 199_998,
    dtype: 'bfloat16',
    hidden_act: 'silu',
    initializer_range: 0.02,
    max_position_embeddings: WINDOW,
    rope_parameters: {
      rope_type: 'yarn',
      rope_theta: 150_000,
      factor: 1,
      beta_fast: 32,
      beta_slow: 1,
      truncate: false,
      original_max_position_embeddings: WINDOW,
    },
    vocab_size: VOCABULARY,
  };
}

/** What follows a token; every token that is not named here is followed by `a`. */
function successors(): Map<number, number> {
  const characters = byteCharacters();
  // A space and a newline can't be printed: U+0120 and U+010A stand for them.
  const ids = (text: string) => [...text].map((character) => characters.indexOf(character));
  const round = ids('abcdefghijklmnopqrstuvwxyz\u0120');
  const [first = 0] = round;
  const [newline = 0] = ids('\u010a');
  return new Map([
    ...round.map((id, index) => [id, round[index + 1] ?? first] as const),
    [newline, RETURN],
    [ASSISTANT, CHANNEL],
    [CHANNEL, FINAL],
    [FINAL, MESSAGE],
    [MESSAGE, first],
  ]);
}

/**
 * Each token of `successors` has a hidden dimension of its own, all others
 * share dimension 0. The layers add nothing, their output projections being
 * zero, so the output row of a token only has to look at the dimensions of the
 * tokens before it.
 */
function tensorsOf(geometry: Geometry): Tensor[] {
  const { hidden_size: hidden, head_dim: headDim } = geometry;
  const next = successors();
  const [first = 0] = next.keys();
  const dimensions = new Map([...next.keys()].map((id, index) => [id, index + 1]));
  const embeddings = new Float32Array(VOCABULARY * hidden);
  const output = new Float32Array(VOCABULARY * hidden);
  for (let id = 0; id < VOCABULARY; id += 1) {
    embeddings[id * hidden + (dimensions.get(id) ?? 0)] = 1;
  }
  output[first * hidden] = CERTAIN;
  for (const [id, dimension] of dimensions) {
    output[(next.get(id) ?? first) * hidden + dimension] = CERTAIN;
  }
  const queries = geometry.num_attention_heads * headDim;
  const keys = geometry.num_key_value_heads * headDim;
  const experts = geometry.num_local_experts;
  const width = geometry.intermediate_size;
  const ones = (name: string) => ({
    name,
    shape: [hidden],
    values: new Float32Array(hidden).fill(1),
  });
  const zeros = (name: string, ...shape: number[]) => ({ name, shape });
  const linear = (name: string, rows: number, columns: number) => [
    zeros(`${name}.weight`, rows, columns),
    zeros(`${name}.bias`, rows),
  ];
  return [
    { name: 'model.embed_tokens.weight', shape: [VOCABULARY, hidden], values: embeddings },
    { name: 'lm_head.weight', shape: [VOCABULARY, hidden], values: output },
    ones('model.norm.weight'),
    ...geometry.layer_types.flatMap((_, layer) => {
      const at = (name: string) => `model.layers.${layer}.${name}`;
      return [
        ones(at('input_layernorm.weight')),
        ones(at('post_attention_layernorm.weight')),
        ...linear(at('self_attn.q_proj'), queries, hidden),
        ...linear(at('self_attn.k_proj'), keys, hidden),
        ...linear(at('self_attn.v_proj'), keys, hidden),
        ...linear(at('self_attn.o_proj'), hidden, queries),
        zeros(at('self_attn.sinks'), geometry.num_attention_heads),
        ...linear(at('mlp.router'), experts, hidden),
        zeros(at('mlp.experts.gate_up_proj'), experts, hidden, 2 * width),
        zeros(at('mlp.experts.gate_up_proj_bias'), experts, 2 * width),
        zeros(at('mlp.experts.down_proj'), experts, width, hidden),
        zeros(at('mlp.experts.down_proj_bias'), experts, hidden),
      ];
    }),
  ];
}
