import { describe, expect, test } from '@jest/globals';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { GgufValue } from '../../proxy/memory/gguf/metadata.ts';
import { specFromGguf } from '../../proxy/memory/gguf/spec.ts';
import { NO_MEDIA, UNKNOWN_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import { ggufMetadata, readGguf } from '../support/gguf-header.ts';
import { tinyGguf } from '../support/tiny-gguf.ts';

type Values = Readonly<Record<string, GgufValue | undefined>>;

/** Llama 3.1 8B. */
const LLAMA: Values = {
  block_count: 32,
  context_length: 131_072,
  embedding_length: 4096,
  feed_forward_length: 14_336,
  'attention.head_count': 32,
  'attention.head_count_kv': 8,
  vocab_size: 128_256,
};

const MAMBA: Values = {
  ...LLAMA,
  'attention.head_count': 0,
  'ssm.conv_kernel': 4,
  'ssm.inner_size': 8192,
  'ssm.state_size': 16,
};

/** The metadata of openai/gpt-oss-20b in llama.cpp's own conversion. */
const GPT_OSS: Values = {
  'general.name': 'Openai_Gpt Oss 20b',
  block_count: 24,
  context_length: 131_072,
  embedding_length: 2880,
  feed_forward_length: 2880,
  expert_feed_forward_length: 2880,
  expert_count: 32,
  expert_used_count: 4,
  'attention.head_count': 64,
  'attention.head_count_kv': 8,
  'attention.key_length': 64,
  'attention.value_length': 64,
  'attention.sliding_window': 128,
  'tokenizer.ggml.pre': 'gpt-4o',
  'tokenizer.ggml.tokens': { kind: 'array', elementType: 'string', length: 201_088 },
};

const result = (architecture: string, values: Values) =>
  specFromGguf(ggufMetadata(architecture, values), 'model.gguf');

function specOf(architecture: string, values: Values) {
  const spec = result(architecture, values);
  if (!spec.ok) throw new Error(`${spec.field}: ${spec.problem}`);
  return spec.spec;
}

/** Layers, KV heads x key + value width, and window of each group. */
function groupsOf(architecture: string, values: Values) {
  return specOf(architecture, values).groups.map(
    ({ layers, kvHeads, keyDim, valueDim, windowTokens, chunked }) =>
      `${layers} of ${kvHeads}x(${keyDim}+${valueDim})${windowTokens === null ? '' : `, ${windowTokens}`}${chunked === true ? ' in chunks' : ''}`,
  );
}

/** The layers that slide, s, and those that don't, f, in a model of as many as asked. */
const pattern = (layers: number, slides: (layer: number) => boolean): boolean[] =>
  Array.from({ length: layers }, (_, layer) => slides(layer));

describe('whole models', () => {
  test.each(['gpt-oss', 'gptoss'])('%s-20b reads as the catalog has it', (architecture) => {
    const known = findModel('gpt-oss-20b');
    const spec = specOf(architecture, GPT_OSS);
    expect(spec).toEqual({ ...known, id: 'Openai_Gpt Oss 20b', source: 'model.gguf' });
  });

  test('Llama 3.1 8B', () => {
    expect(specOf('llama', LLAMA)).toEqual({
      id: 'llama',
      groups: [{ layers: 32, kvHeads: 8, keyDim: 128, valueDim: 128, windowTokens: null }],
      states: [],
      hiddenSize: 4096,
      queryHeads: 32,
      headDim: 128,
      vocabSize: 128_256,
      contextTokens: 131_072,
      experts: null,
      intermediateSize: 14_336,
      media: UNKNOWN_MEDIA,
      tokenizer: null,
      source: 'model.gguf',
    });
  });

  test("the tests' own model, from its bytes", () => {
    const state = readGguf(tinyGguf());
    if (state.state !== 'done') throw new Error(JSON.stringify(state));
    const tiny = specFromGguf(state.header.metadata, 'tiny.gguf');
    const shape = { layers: 2, kvHeads: 2, keyDim: 32, valueDim: 32 };
    expect(tiny).toMatchObject({
      ok: true,
      spec: {
        id: 'tiny-gpt-oss',
        groups: [
          { ...shape, windowTokens: 128 },
          { ...shape, windowTokens: null },
        ],
        vocabSize: 266,
        media: NO_MEDIA,
        tokenizer: null,
        experts: { total: 4, activePerToken: 2, intermediateSize: 64 },
      },
    });
  });

  test('o200k_harmony is told by the vocabulary and by how it splits', () => {
    const tokenizer = (change: Values) => specOf('gpt-oss', { ...GPT_OSS, ...change }).tokenizer;
    expect(tokenizer({})).toBe('o200k_harmony');
    expect(tokenizer({ 'tokenizer.ggml.pre': 'llama-bpe' })).toBeNull();
    expect(tokenizer({ vocab_size: 200_064 })).toBeNull();
  });
});

describe('layers that slide', () => {
  /** A model of `layers` layers with one KV head of 64 + 64. */
  const small = (layers: number, values: Values = {}): Values => ({
    ...LLAMA,
    block_count: layers,
    embedding_length: 512,
    'attention.head_count': 8,
    'attention.head_count_kv': 1,
    ...values,
  });
  const window = (tokens: number): Values => ({ 'attention.sliding_window': tokens });
  const full = (layers: number) => `${layers} of 1x(64+64)`;
  const cases: [string, string, Values, readonly string[]][] = [
    ['gemma2', 'gemma2', small(42), [`${full(21)}, 4096`, full(21)]],
    ['gemma3', 'gemma3', small(62, window(1024)), [`${full(52)}, 1024`, full(10)]],
    ['gemma3 without a window', 'gemma3', small(18), [full(18)]],
    ['cohere2', 'cohere2', small(32, window(4096)), [`${full(24)}, 4096`, full(8)]],
    ['cohere2moe', 'cohere2moe', small(5, window(9)), [full(2), `${full(3)}, 9`]],
    ['olmo2 of the third kind', 'olmo2', small(32, window(4096)), [`${full(24)}, 4096`, full(8)]],
    ['olmo2', 'olmo2', small(32), [full(32)]],
    ['exaone4 of 32B', 'exaone4', small(64), [`${full(48)}, 4096`, full(16)]],
    ['exaone4 of 1.2B', 'exaone4', small(30, window(4096)), [full(30)]],
    ['plamo3', 'plamo3', small(8, window(2048)), [`${full(7)}, 2048`, full(1)]],
    ['smallthinker', 'smallthinker', small(8, window(1)), [full(2), `${full(6)}, 4096`]],
    ['llama4', 'llama4', small(48), [`${full(36)}, 8192 in chunks`, full(12)]],
    ['llama4 without chunks', 'llama4', small(48, window(0)), [full(48)]],
    ['phi3, whatever its file says', 'phi3', small(32, window(2047)), [full(32)]],
    ['llama, whatever its file says', 'llama', small(32, window(4096)), [full(32)]],
    [
      'a pattern in the file goes before the rule',
      'gemma3',
      small(4, { ...window(7), 'attention.sliding_window_pattern': 2 }),
      [`${full(2)}, 7`, full(2)],
    ],
    [
      'a list in the file',
      'step35',
      small(5, {
        ...window(512),
        'attention.sliding_window_pattern': pattern(5, (layer) => layer !== 2),
      }),
      [`${full(4)}, 512`, full(1)],
    ],
    [
      'a list of numbers, longer than the layers',
      'mimo2',
      small(3, { ...window(5), 'attention.sliding_window_pattern': [0, 1, 1, 1] }),
      [full(1), `${full(2)}, 5`],
    ],
    [
      'an unknown architecture with a list',
      'brand-new',
      small(2, { ...window(5), 'attention.sliding_window_pattern': [true, false] }),
      [`${full(1)}, 5`, full(1)],
    ],
    ['an unknown architecture without a window', 'brand-new', small(2, window(0)), [full(2)]],
  ];

  test.each(cases)('%s', (_, architecture, values, groups) => {
    expect(groupsOf(architecture, values)).toEqual(groups);
  });

  test('gemma 4 31B: heads and sizes of their own, KV of the last layers shared', () => {
    const slides = pattern(60, (layer) => layer % 6 !== 5);
    const values = small(60, {
      ...window(1024),
      'attention.sliding_window_pattern': slides,
      'attention.head_count_kv': slides.map((isSliding) => (isSliding ? 16 : 4)),
      'attention.key_length': 512,
      'attention.value_length': 512,
      'attention.key_length_swa': 256,
      'attention.value_length_swa': 256,
    });
    expect(groupsOf('gemma4', values)).toEqual(['50 of 16x(256+256), 1024', '10 of 4x(512+512)']);
    const shared = { ...values, 'attention.shared_kv_layers': 12 };
    expect(groupsOf('gemma4', shared)).toEqual(['40 of 16x(256+256), 1024', '8 of 4x(512+512)']);
  });

  test('gemma 3n keeps the KV of its first 20 layers', () => {
    const values = small(35, { ...window(512), 'attention.shared_kv_layers': 15 });
    expect(groupsOf('gemma3n', values)).toEqual([`${full(16)}, 512`, full(4)]);
  });
});

describe('heads', () => {
  test('as many for keys and values as for queries, unless told', () => {
    const values = { ...LLAMA, 'attention.head_count_kv': undefined };
    expect(groupsOf('llama', values)).toEqual(['32 of 32x(128+128)']);
  });

  test('that differ by layer, in layers of which some have none', () => {
    const values = { ...LLAMA, block_count: 4, 'attention.head_count_kv': [8, 0, 4, 8] };
    expect(groupsOf('deci', values)).toEqual(['2 of 8x(128+128)', '1 of 4x(128+128)']);
    const queries = { ...values, 'attention.head_count': [32, 0, 16, 48] };
    expect(specOf('deci', queries)).toMatchObject({ queryHeads: 48 });
  });

  test('values may be smaller than keys', () => {
    const values = { ...LLAMA, 'attention.key_length': 192 };
    expect(groupsOf('minicpm3', { ...values, 'attention.kv_lora_rank': 256 })).toEqual([
      '32 of 8x(192+128)',
    ]);
  });

  test('blocks that guess ahead hold nothing of their own', () => {
    const values = { ...LLAMA, block_count: 47, nextn_predict_layers: 1 };
    expect(groupsOf('glm4moe', values)).toEqual(['46 of 8x(128+128)']);
  });

  test('a model that embeds holds nothing', () => {
    expect(specOf('bert', LLAMA)).toMatchObject({ groups: [], states: [] });
  });
});

describe('latent KV', () => {
  /** DeepSeek V3. */
  const DEEPSEEK: Values = {
    ...LLAMA,
    block_count: 61,
    embedding_length: 7168,
    'attention.head_count': 128,
    'attention.head_count_kv': 1,
    'attention.kv_lora_rank': 512,
    'attention.key_length': 576,
    'attention.value_length': 512,
    'attention.key_length_mla': 192,
    'attention.value_length_mla': 128,
  };

  test('is one head as wide as rank and rope together, without values', () => {
    expect(groupsOf('deepseek2', DEEPSEEK)).toEqual(['61 of 1x(576+0)']);
    expect(specOf('deepseek2', DEEPSEEK)).toMatchObject({ headDim: 192, queryHeads: 128 });
  });

  test('is plain KV in files from before there was such', () => {
    const old = {
      ...DEEPSEEK,
      'attention.head_count_kv': 128,
      'attention.key_length': 192,
      'attention.value_length': 128,
      'attention.key_length_mla': undefined,
      'attention.value_length_mla': undefined,
    };
    expect(groupsOf('deepseek2', old)).toEqual(['61 of 128x(192+128)']);
  });

  test('with an indexer has its keys too, but for the block that guesses ahead', () => {
    const sparse = {
      ...DEEPSEEK,
      block_count: 62,
      nextn_predict_layers: 1,
      'attention.indexer.key_length': 128,
    };
    const groups = ['61 of 1x(576+0)', '61 of 1x(128+0)'];
    expect(groupsOf('deepseek32', sparse)).toEqual(groups);
    const types = pattern(61, (layer) => layer % 4 === 0);
    const shared = { ...sparse, context_length: 2 ** 20, 'attention.indexer.types': types };
    expect(groupsOf('glm-dsa', shared)).toEqual(['61 of 1x(576+0)', '16 of 1x(128+0)']);
    expect(result('glm-dsa', { ...shared, 'attention.indexer.types': undefined })).toMatchObject({
      field: 'glm-dsa.attention.indexer.types',
    });
  });

  test('beside linear attention, as in Kimi Linear', () => {
    const values = {
      ...DEEPSEEK,
      block_count: 27,
      'attention.head_count': 32,
      'attention.head_count_kv': pattern(27, (layer) => layer % 4 === 3).map(Number),
      'ssm.conv_kernel': 4,
      'kda.head_dim': 128,
    };
    expect(groupsOf('kimi-linear', values)).toEqual(['6 of 1x(576+0)']);
    expect(specOf('kimi-linear', values).states).toEqual([
      { layers: 21, convChannels: 12_288, convKernel: 4, recurrentElements: 524_288 },
    ]);
  });
});

describe('layers with a state', () => {
  const QWEN3_NEXT: Values = {
    ...LLAMA,
    block_count: 48,
    embedding_length: 2048,
    'attention.head_count': 16,
    'attention.head_count_kv': 2,
    'attention.key_length': 256,
    'attention.value_length': 256,
    'ssm.conv_kernel': 4,
    'ssm.inner_size': 4096,
    'ssm.state_size': 128,
    'ssm.group_count': 16,
    'ssm.time_step_rank': 32,
  };
  const GATED = { convChannels: 8192, convKernel: 4, recurrentElements: 524_288 };

  test('all but every fourth in Qwen3-Next', () => {
    expect(groupsOf('qwen3next', QWEN3_NEXT)).toEqual(['12 of 2x(256+256)']);
    expect(specOf('qwen3next', QWEN3_NEXT).states).toEqual([{ layers: 36, ...GATED }]);
  });

  test('as its file says otherwise', () => {
    const interval = { ...QWEN3_NEXT, full_attention_interval: 8 };
    expect(specOf('qwen35', interval).states).toEqual([{ layers: 42, ...GATED }]);
    const recurrent = pattern(48, (layer) => layer > 0);
    const listed = { ...interval, 'attention.recurrent_layers': recurrent };
    expect(specOf('qwen35moe', listed)).toMatchObject({
      groups: [{ layers: 1 }],
      states: [{ layers: 47 }],
    });
  });

  test('those without KV heads in Granite and Jamba', () => {
    const values = {
      ...QWEN3_NEXT,
      block_count: 4,
      'attention.head_count_kv': [0, 0, 2, 0],
    };
    expect(specOf('granitehybrid', values)).toMatchObject({
      groups: [{ layers: 1, kvHeads: 2 }],
      states: [{ layers: 3, ...GATED }],
    });
    expect(specOf('jamba', { ...values, 'ssm.group_count': undefined }).states).toMatchObject([
      { convChannels: 4096 },
    ]);
  });

  test('neither heads nor a feed-forward part in Nemotron-H', () => {
    const values = {
      ...QWEN3_NEXT,
      block_count: 5,
      'attention.head_count_kv': [0, 0, 2, 0, 0],
      feed_forward_length: [0, 9, 0, 9, 0],
    };
    expect(specOf('nemotron_h', values)).toMatchObject({
      groups: [{ layers: 1 }],
      states: [{ layers: 2 }],
      intermediateSize: 9,
    });
  });

  test('every layer, beside KV or in its place', () => {
    expect(specOf('falcon-h1', QWEN3_NEXT)).toMatchObject({
      groups: [{ layers: 48 }],
      states: [{ layers: 48 }],
    });
    const mamba = {
      ...QWEN3_NEXT,
      'attention.head_count': 0,
      'attention.head_count_kv': undefined,
    };
    expect(specOf('mamba2', mamba)).toMatchObject({ groups: [], states: [{ layers: 48 }] });
    const rwkv = { ...LLAMA, 'attention.head_count': 0, 'wkv.head_size': 64 };
    expect(specOf('rwkv6', rwkv).states).toEqual([
      { layers: 32, convChannels: 4096, convKernel: 3, recurrentElements: 262_144 },
    ]);
  });

  test('convolutions beside sliding KV in LFM2, and squares in MiniMax-01', () => {
    const values = {
      ...LLAMA,
      block_count: 3,
      'attention.head_count_kv': [0, 8, 0],
      'shortconv.l_cache': 3,
    };
    const states = [{ layers: 2, convChannels: 4096, convKernel: 3, recurrentElements: 0 }];
    expect(specOf('lfm2', { ...values, 'attention.sliding_window': 99 })).toMatchObject({
      groups: [{ layers: 1, windowTokens: 99 }],
      states,
    });
    expect(specOf('lfm2moe', values)).toMatchObject({ groups: [{ windowTokens: null }], states });
    expect(specOf('minimax-01', { ...LLAMA, block_count: 8 })).toMatchObject({
      groups: [{ layers: 1 }],
      states: [{ layers: 7, convChannels: 0, recurrentElements: 128 * 128 * 32 }],
    });
  });
});

describe('experts and sizes', () => {
  test('a number for each layer counts as its largest', () => {
    const spec = specOf('llama', {
      ...LLAMA,
      feed_forward_length: [...Array<number>(31).fill(100), 300],
      expert_count: 8,
      expert_used_count: [...Array<number>(31).fill(2), 4],
      expert_feed_forward_length: 50,
    });
    expect(spec).toMatchObject({
      intermediateSize: 300,
      experts: { total: 8, activePerToken: 4, intermediateSize: 50 },
    });
  });

  test('a list that Ollama leaves out leaves the KV as it is', () => {
    const untold: GgufValue = { kind: 'array', elementType: null, length: null };
    const spec = specOf('llama', { ...LLAMA, feed_forward_length: untold });
    expect(spec).toMatchObject({ groups: [{ layers: 32 }], intermediateSize: 4096 });
    expect(specOf('mamba', { ...MAMBA, feed_forward_length: 0 }).intermediateSize).toBe(0);
  });

  test('no experts are no experts', () => {
    expect(specOf('llama', { ...LLAMA, expert_count: 0 }).experts).toBeNull();
  });
});

describe('what is wrong is named', () => {
  const cases: [string, string, Values, RegExp][] = [
    ['llama.block_count', 'llama', { block_count: undefined }, /is missing/],
    ['llama.block_count', 'llama', { block_count: 0 }, /from 1 to 1024/],
    ['llama.block_count', 'llama', { block_count: 2 ** 31 }, /from 1 to 1024/],
    ['llama.block_count', 'llama', { block_count: '32' }, /from 1 to 1024/],
    ['llama.block_count', 'llama', { block_count: [32] }, /from 1 to 1024/],
    ['llama.context_length', 'llama', { context_length: 0 }, /from 1 to/],
    ['llama.embedding_length', 'llama', { embedding_length: undefined }, /is missing/],
    ['llama.embedding_length', 'llama', { embedding_length: -1 }, /from 1 to/],
    ['llama.attention.head_count', 'llama', { 'attention.head_count': undefined }, /is missing/],
    ['llama.attention.head_count', 'llama', { 'attention.head_count': 1.5 }, /integers/],
    ['llama.attention.head_count_kv', 'llama', { 'attention.head_count_kv': [8] }, /\(32\)/],
    ['llama.attention.head_count_kv', 'llama', { 'attention.head_count_kv': 0 }, /no layer/],
    [
      'llama.attention.head_count_kv',
      'llama',
      { 'attention.head_count_kv': { kind: 'array', elementType: 'int32', length: 5000 } },
      /integers/,
    ],
    ['llama.attention.key_length', 'llama', { 'attention.key_length': 0 }, /from 1 to 4096/],
    [
      'llama.attention.key_length',
      'llama',
      { 'attention.head_count': 0, 'attention.head_count_kv': 8 },
      /does not follow/,
    ],
    ['llama.vocab_size', 'llama', { vocab_size: undefined }, /is missing/],
    ['llama.nextn_predict_layers', 'llama', { nextn_predict_layers: 32 }, /no layer/],
    ['llama.feed_forward_length', 'llama', { feed_forward_length: undefined }, /is missing/],
    ['llama.feed_forward_length', 'llama', { feed_forward_length: 2 ** 30 }, /from 1 to/],
    ['llama.expert_used_count', 'llama', { expert_count: 8 }, /is missing/],
    ['llama.expert_used_count', 'llama', { expert_count: 8, expert_used_count: 9 }, /from 1 to 8/],
    ['llama.attention.kv_lora_rank', 'llama', { 'attention.kv_lora_rank': 512 }, /latent/],
    ['new.ssm.state_size', 'new', { 'ssm.state_size': 128 }, /not supported/],
    ['new.full_attention_interval', 'new', { full_attention_interval: 4 }, /not supported/],
    ['new.attention.shared_kv_layers', 'new', { 'attention.shared_kv_layers': 4 }, /not supported/],
    ['nanbeige.num_loops', 'nanbeige', { num_loops: 2 }, /more than once/],
    [
      'minimax-m3.attention.indexer.key_length',
      'minimax-m3',
      { 'attention.indexer.key_length': 64 },
      /sparse/,
    ],
    [
      'new.attention.sliding_window',
      'new',
      { 'attention.sliding_window': 4096 },
      /layers of new slide/,
    ],
    ['gpt-oss.attention.sliding_window', 'gpt-oss', {}, /is missing/],
    [
      'gemma4.attention.sliding_window_pattern',
      'gemma4',
      { 'attention.sliding_window': 1 },
      /is missing/,
    ],
    [
      'gemma3.attention.sliding_window_pattern',
      'gemma3',
      { 'attention.sliding_window': 1, 'attention.sliding_window_pattern': [true] },
      /32 layers/,
    ],
    [
      'jamba.ssm.inner_size',
      'jamba',
      { 'attention.head_count_kv': [0, ...Array<number>(31).fill(8)] },
      /is missing/,
    ],
    [
      'deepseek2.attention.key_length',
      'deepseek2',
      {
        'attention.kv_lora_rank': 512,
        'attention.key_length_mla': 192,
        'attention.value_length_mla': 128,
      },
      /is missing/,
    ],
    ['general.architecture', 'clip', {}, /no model that generates/],
    ['general.architecture', 'deepseek4', {}, /compressed KV/],
    ['general.architecture', '', {}, /is missing/],
    ['general.architecture', 'a\nb', {}, /no name/],
    [
      'split.no',
      'llama',
      { 'split.no': 1, 'split.count': 3 },
      /part 2 of 3.*-00001-of-00003\.gguf/,
    ],
  ];

  test.each(cases)('%s of %s with %j', (field, architecture, change, problem) => {
    expect(result(architecture, { ...LLAMA, ...change })).toEqual({
      ok: false,
      field,
      problem: expect.stringMatching(problem),
    });
  });

  test('nothing at all', () => {
    expect(specFromGguf(new Map(), 'empty.gguf')).toMatchObject({
      ok: false,
      field: 'general.architecture',
    });
  });

  test('a name that would break a line is told without', () => {
    const id = `evil\n\u001b[31m${'x'.repeat(1_000)}`;
    expect(specOf('llama', { ...LLAMA, 'general.name': id }).id).toMatch(/^evil\?\?\[31mx{190}$/);
  });

  test('the first part of a file that was split is as good as the whole', () => {
    expect(specOf('llama', { ...LLAMA, 'split.no': 0, 'split.count': 3 }).groups).toHaveLength(1);
  });
});
