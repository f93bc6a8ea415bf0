/**
 * KV of gpt-oss on transformers, vLLM and SGLang, worked out by hand from the
 * engines' formulas: 12 layers of each kind (20b), 2048 bytes a token and layer
 * in bf16, a window of 128, blocks of 16 tokens and 12 layers (384 KiB). 120b has
 * 1.5 times as many layers of each kind.
 */
import { decodeCacheBytes, prefillCacheBytes } from '../../proxy/memory/engines/dynamic.ts';
import { blockBytes, pagedBlocks, pagedPrefillBlocks } from '../../proxy/memory/engines/paged.ts';
import { tokenPoolBytes } from '../../proxy/memory/engines/token-pool.ts';
import {
  type DynamicLayout,
  naiveKvBytes,
  type PagedLayout,
} from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { GoldenKvRow } from './golden-llamacpp-table.ts';

const TOKENS = [1024, 8192, 32_768, 131_072];

/** One figure for each of TOKENS. */
type Figures<T> = readonly [T, T, T, T];

interface Column {
  readonly layout: string;
  readonly compute: (tokens: number) => GoldenKvRow['compute'];
  /** Of 20b; where a formula has a fraction of a byte, the next whole one. */
  readonly bytes: Figures<number>;
  /** Of 120b, where it is not 1.5 times as much to the byte. */
  readonly large?: Figures<number>;
  /** Of 20b, and of 120b, as they are printed. */
  readonly mib: Figures<string>;
  readonly largeMib: Figures<string>;
}

const BF16 = 2;

function vllmLayout(spec: ModelSpec, changes: Partial<PagedLayout> = {}): PagedLayout {
  return {
    model: 'paged',
    spec,
    kvBytesPerElement: BF16,
    blockTokens: 16,
    contextTokens: 131_072,
    inFlightTokens: 2048,
    tensorParallel: 1,
    drafting: null,
    ...changes,
  };
}

function transformersLayout(spec: ModelSpec): DynamicLayout {
  return { model: 'dynamic', spec, kvBytesPerElement: BF16, attention: 'flash' };
}

/** `swa_full_tokens_ratio` as it is by default. */
const SGLANG_POOL = {
  blocks: null,
  slidingShare: 0.8,
  slidingSlackTokens: 128,
  outputChunkTokens: 1,
};

function poolBytes(layout: PagedLayout, blocks: number): number {
  return blocks * (blockBytes(layout) ?? Number.NaN);
}

function admitted(inFlightTokens: number, changes: Partial<PagedLayout> = {}): Column['compute'] {
  return (tokens) => (spec) => {
    const layout = vllmLayout(spec, { inFlightTokens, ...changes });
    return poolBytes(layout, pagedPrefillBlocks(layout, tokens));
  };
}

function sglang(part: 'liveBytes' | 'placedBytes'): Column['compute'] {
  return (tokens) => (spec) => {
    const layout = vllmLayout(spec, { blockTokens: 1, tokenPool: SGLANG_POOL });
    return tokenPoolBytes(layout, SGLANG_POOL, tokens)?.[part] ?? null;
  };
}

const naive: Column['compute'] = (tokens) => (spec) => naiveKvBytes(spec, tokens, BF16);

const NAIVE = {
  bytes: [50_331_648, 402_653_184, 1_610_612_736, 6_442_450_944],
  mib: ['48.0', '384.0', '1536.0', '6144.0'],
  largeMib: ['72.0', '576.0', '2304.0', '9216.0'],
} as const;

const DECODE = {
  bytes: [28_311_552, 204_472_320, 808_452_096, 3_224_371_200],
  mib: ['27.0', '195.0', '771.0', '3075.0'],
  largeMib: ['40.5', '292.5', '1156.5', '4612.5'],
} as const;

const COLUMNS: readonly Column[] = [
  { layout: 'naive', compute: naive, ...NAIVE },
  {
    layout: 'HF prefill-end',
    compute: (tokens) => (spec) => prefillCacheBytes(transformersLayout(spec), tokens),
    ...NAIVE,
  },
  {
    layout: 'HF decode',
    compute: (tokens) => (spec) => decodeCacheBytes(transformersLayout(spec), tokens),
    ...DECODE,
  },
  {
    layout: 'vLLM steady',
    compute: (tokens) => (spec) => {
      const layout = vllmLayout(spec);
      return poolBytes(layout, pagedBlocks(layout, tokens));
    },
    bytes: [28_704_768, 204_865_536, 808_845_312, 3_224_764_416],
    mib: ['27.4', '195.4', '771.4', '3075.4'],
    largeMib: ['41.1', '293.1', '1157.1', '4613.1'],
  },
  {
    layout: 'vLLM admit C=2048',
    compute: admitted(2048),
    bytes: [50_331_648, 255_197_184, 859_176_960, 3_275_096_064],
    mib: ['48.0', '243.4', '819.4', '3123.4'],
    largeMib: ['72.0', '365.1', '1229.1', '4685.1'],
  },
  {
    layout: 'vLLM admit C=8192',
    compute: admitted(8192),
    bytes: [50_331_648, 402_653_184, 1_010_171_904, 3_426_091_008],
    mib: ['48.0', '384.0', '963.4', '3267.4'],
    largeMib: ['72.0', '576.0', '1445.1', '4901.1'],
  },
  {
    layout: 'vLLM admit C=8192 async',
    compute: admitted(2 * 8192),
    bytes: [50_331_648, 402_653_184, 1_211_498_496, 3_627_417_600],
    mib: ['48.0', '384.0', '1155.4', '3459.4'],
    largeMib: ['72.0', '576.0', '1733.1', '5189.1'],
  },
  { layout: 'vLLM HMA off', compute: admitted(8192, { hybridManager: false }), ...NAIVE },
  { layout: 'SGLang live', compute: sglang('liveBytes'), ...DECODE },
  {
    layout: 'SGLang charge',
    compute: sglang('placedBytes'),
    bytes: [45_298_484, 362_387_866, 1_449_551_463, 5_798_205_850],
    large: [67_947_725, 543_581_799, 2_174_327_194, 8_697_308_775],
    mib: ['43.2', '345.6', '1382.4', '5529.6'],
    largeMib: ['64.8', '518.4', '2073.6', '8294.4'],
  },
];

const LARGER = 1.5;

/** Every cell; llama.cpp's and Ollama's are in golden-llamacpp-table.ts. */
export const GOLDEN_KV_TABLE: readonly GoldenKvRow[] = COLUMNS.flatMap((column) =>
  TOKENS.flatMap((tokens, index): GoldenKvRow[] => {
    const row = { tokens, layout: column.layout, compute: column.compute(tokens) };
    const bytes = column.bytes[index] ?? Number.NaN;
    return [
      {
        ...row,
        model: 'gpt-oss-20b',
        expectedMiB: column.mib[index] ?? '',
        expectedBytes: bytes,
      },
      {
        ...row,
        model: 'gpt-oss-120b',
        expectedMiB: column.largeMib[index] ?? '',
        expectedBytes: column.large?.[index] ?? LARGER * bytes,
      },
    ];
  }),
);

/** Bytes that one GPU holds of a token in a layer of gpt-oss, by the number of GPUs. */
export const GOLDEN_TENSOR_PARALLEL = [
  [1, 2048],
  [2, 1024],
  [4, 512],
  [8, 256],
  [16, 256],
] as const;
