/**
 * What llama.cpp knows of an architecture without its file saying so: which
 * layers slide, which hold a state in place of KV, what can't be told in cells
 * at all (llama.cpp 0.5.0: src/models/<name>.cpp, load_arch_hparams;
 * src/llama-model.cpp, create_memory and load_swa_pattern).
 */

/**
 * Every `fullEvery`-th layer is full, the rest slide; 0: all slide; null: the
 * file has to list them. A pattern that the file has goes before it.
 */
export interface SlidingRule {
  readonly fullEvery: number | null;
  /** The full layer is the first of each run, not the last. */
  readonly fullFirst?: true;
  /** The window where the file has none; `full`: no layer slides then. */
  readonly unset: 'required' | 'full' | number;
  /** Used whatever window the file has. */
  readonly windowTokens?: number;
  readonly chunked?: true;
  /** Models of this many layers alone slide. */
  readonly onlyLayers?: number;
}

export interface StateRule {
  readonly kind: 'ssm' | 'kda' | 'short-convolution' | 'wkv' | 'linear-attention';
  /**
   * `no-kv-heads`: those without KV heads; `no-kv-heads-nor-ffn`: and without a
   * feed-forward part; `beside-kv`: every layer has both; a number: all but every
   * n-th, unless the file says otherwise.
   */
  readonly layers: 'all' | 'no-kv-heads' | 'no-kv-heads-nor-ffn' | 'beside-kv' | number;
}

export interface Architecture {
  readonly sliding?: SlidingRule;
  readonly state?: StateRule;
  /** `kv_lora_rank` is understood: as latent KV where the file has the sizes for it, else as plain KV. */
  readonly latent?: true;
  /** Each layer keeps the keys of an indexer besides its latent KV. */
  readonly indexer?: true;
  /** The last layers use the KV of others: so many of the first have their own, or the file tells. */
  readonly sharesKv?: 'told' | number;
  /** Nothing is kept between steps. */
  readonly cacheless?: true;
  /** Why it is refused. */
  readonly refused?: string;
}

const KV_OF_EVERY_LAYER: Architecture = {};
const LISTED: Architecture = { sliding: { fullEvery: null, unset: 'required' } };
const MAMBA_OR_KV: Architecture = { state: { kind: 'ssm', layers: 'no-kv-heads' } };
const GATED_DELTA_NET: Architecture = { state: { kind: 'ssm', layers: 4 } };
const LATENT_OR_KDA: Architecture = { latent: true, state: { kind: 'kda', layers: 'no-kv-heads' } };
const SPARSE_LATENT: Architecture = { latent: true, indexer: true };
const NEMOTRON_H: Architecture = { state: { kind: 'ssm', layers: 'no-kv-heads-nor-ffn' } };
const DRAFT: Architecture = { refused: 'drafts for another model' };
const NO_TEXT_MODEL: Architecture = { refused: 'is no model that generates text' };

const PLAIN = [
  ...['llama', 'deci', 'falcon', 'grok', 'gpt2', 'gptj', 'gptneox', 'mpt', 'baichuan'],
  ...['starcoder', 'refact', 'bloom', 'stablelm', 'qwen', 'qwen2', 'qwen2moe', 'qwen2vl', 'qwen3'],
  ...['qwen3moe', 'qwen3vl', 'qwen3vlmoe', 'phi2', 'phi3', 'phimoe', 'plamo', 'codeshell', 'orion'],
  ...[
    'internlm2',
    'minicpm',
    'gemma',
    'starcoder2',
    'xverse',
    'command-r',
    'dbrx',
    'olmo',
    'olmoe',
  ],
  ...['openelm', 'arctic', 'deepseek', 'deepseek2-ocr', 'chatglm', 'glm4', 'glm4moe', 'bitnet'],
  ...['jais', 'jais2', 'nemotron', 'exaone', 'granite', 'granitemoe', 'chameleon', 'bailingmoe'],
  ...['bailingmoe2', 'dots1', 'arcee', 'ernie4_5', 'ernie4_5-moe', 'hunyuan-moe', 'hunyuan-dense'],
  ...['hunyuan_vl', 'hy_v3', 'smollm3', 'seed_oss', 'grovemoe', 'apertus', 'hrm_text'],
  ...['minimax-m2', 'cogvlm', 'pangu-embedded', 'mistral3', 'paddleocr', 'llama-embed'],
  ...['maincoder', 'talkie'],
];

const CACHELESS = [
  ...['bert', 'modern-bert', 'nomic-bert', 'nomic-bert-moe', 'neo-bert', 'jina-bert-v2'],
  ...['jina-bert-v3', 'eurobert', 'gemma-embedding', 'dream', 'llada', 'llada-moe', 'rnd1'],
];

const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map<string, Architecture>([
  ...PLAIN.map((name): [string, Architecture] => [name, KV_OF_EVERY_LAYER]),
  ...CACHELESS.map((name): [string, Architecture] => [name, { cacheless: true }]),

  ['gpt-oss', { sliding: { fullEvery: 2, unset: 'required' } }],
  ['gemma2', { sliding: { fullEvery: 2, unset: 4096 } }],
  ['gemma3', { sliding: { fullEvery: 6, unset: 'full' } }],
  ['gemma3n', { sliding: { fullEvery: 5, unset: 'required' }, sharesKv: 20 }],
  ['gemma4', { ...LISTED, sharesKv: 'told' }],
  ['cohere2', { sliding: { fullEvery: 4, unset: 'required' } }],
  ['cohere2moe', { sliding: { fullEvery: 4, fullFirst: true, unset: 'required' } }],
  ['llama4', { sliding: { fullEvery: 4, unset: 8192, windowTokens: 8192, chunked: true } }],
  ['olmo2', { sliding: { fullEvery: 4, unset: 'full' } }],
  ['exaone4', { sliding: { fullEvery: 4, unset: 4096, onlyLayers: 64 } }],
  ['exaone-moe', { sliding: { fullEvery: 4, unset: 'required' } }],
  ['afmoe', { sliding: { fullEvery: 4, unset: 'full' } }],
  ['mellum', { sliding: { fullEvery: 4, unset: 'full' } }],
  ['laguna', { sliding: { fullEvery: 4, fullFirst: true, unset: 'full' } }],
  ['muse-glimmer', { sliding: { fullEvery: 4, unset: 'required' } }],
  [
    'smallthinker',
    { sliding: { fullEvery: 4, fullFirst: true, unset: 'full', windowTokens: 4096 } },
  ],
  ['plamo3', { sliding: { fullEvery: 8, unset: 'full' } }],
  ...['mimo2', 'step35', 'spark2_5', 'maple', 'granite_swa'].map((name): [string, Architecture] => [
    name,
    LISTED,
  ]),

  ...['deepseek2', 'mistral4', 'hy_v4', 'minicpm3', 'plm'].map((name): [string, Architecture] => [
    name,
    { latent: true },
  ]),
  ['deepseek32', SPARSE_LATENT],
  ['glm-dsa', SPARSE_LATENT],

  ...['jamba', 'granitehybrid', 'plamo2'].map((name): [string, Architecture] => [
    name,
    MAMBA_OR_KV,
  ]),
  ...['nemotron_h', 'nemotron_h_moe'].map((name): [string, Architecture] => [name, NEMOTRON_H]),
  ['falcon-h1', { state: { kind: 'ssm', layers: 'beside-kv' } }],
  ...['qwen3next', 'qwen35', 'qwen35moe'].map((name): [string, Architecture] => [
    name,
    GATED_DELTA_NET,
  ]),
  ...['kimi-linear', 'bailingmoe3', 'kimi-k3'].map((name): [string, Architecture] => [
    name,
    LATENT_OR_KDA,
  ]),
  ['minimax-01', { state: { kind: 'linear-attention', layers: 8 } }],
  [
    'lfm2',
    {
      sliding: { fullEvery: 0, unset: 'full' },
      state: { kind: 'short-convolution', layers: 'no-kv-heads' },
    },
  ],
  ['lfm2moe', { state: { kind: 'short-convolution', layers: 'no-kv-heads' } }],
  ...['mamba', 'mamba2'].map((name): [string, Architecture] => [
    name,
    { state: { kind: 'ssm', layers: 'all' } },
  ]),
  ...['rwkv6', 'rwkv6qwen2', 'rwkv7', 'arwkv7'].map((name): [string, Architecture] => [
    name,
    { state: { kind: 'wkv', layers: 'all' } },
  ]),

  ['deepseek4', { refused: 'has compressed KV, which is not supported' }],
  ['graniteswitch', { refused: 'has a router with KV of its own, which is not supported' }],
  ['t5', { refused: 'has an encoder, which is not supported' }],
  ...['eagle3', 'dflash', 'gemma4-assistant'].map((name): [string, Architecture] => [name, DRAFT]),
  ...['clip', 't5encoder', 'wavtokenizer-dec', 'qwen3tts', 'pockettts'].map(
    (name): [string, Architecture] => [name, NO_TEXT_MODEL],
  ),
]);

/** Ollama's own converter writes it without the hyphen. */
const ALIASES: ReadonlyMap<string, string> = new Map([['gptoss', 'gpt-oss']]);

/** null for a name that is not known. */
export function architectureNamed(name: string): Architecture | null {
  return ARCHITECTURES.get(ALIASES.get(name) ?? name) ?? null;
}
