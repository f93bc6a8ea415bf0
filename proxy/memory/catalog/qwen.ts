/** Qwen 2.5 and the dense models of Qwen 3. */
import { type CatalogRow, LITGPT, MAXTEXT, plainConfig, type Sizes } from './row.ts';

type Geometry = Omit<Sizes, 'vocab' | 'context'>;

/** Files of one size differ in their context, the longest of which is here: no layer slides. */
function qwen25(size: string, geometry: Geometry, vocab: number, context: number): CatalogRow {
  return {
    id: `qwen2.5-${size}`,
    name: new RegExp(`qwen-?2\\.5-(?:coder-)?${size.replace('.', '\\.')}`),
    config: {
      ...plainConfig('qwen2', { ...geometry, vocab, context }),
      use_sliding_window: false,
    },
    source: LITGPT,
  };
}

const LARGE_VOCAB = 152_064;
/** Of most models of Qwen 2.5 and 3. */
export const QWEN_VOCAB = 151_936;
const QWEN25_32B = { layers: 64, hidden: 5120, heads: 40, kvHeads: 8, intermediate: 27_648 };

const QWEN25: readonly CatalogRow[] = [
  qwen25(
    '0.5b',
    { layers: 24, hidden: 896, heads: 14, kvHeads: 2, intermediate: 4864 },
    QWEN_VOCAB,
    32_768,
  ),
  qwen25(
    '1.5b',
    { layers: 28, hidden: 1536, heads: 12, kvHeads: 2, intermediate: 8960 },
    QWEN_VOCAB,
    131_072,
  ),
  qwen25(
    '3b',
    { layers: 36, hidden: 2048, heads: 16, kvHeads: 2, intermediate: 11_008 },
    QWEN_VOCAB,
    32_768,
  ),
  qwen25(
    '7b',
    { layers: 28, hidden: 3584, heads: 28, kvHeads: 4, intermediate: 18_944 },
    LARGE_VOCAB,
    131_072,
  ),
  qwen25(
    '14b',
    { layers: 48, hidden: 5120, heads: 40, kvHeads: 8, intermediate: 13_824 },
    LARGE_VOCAB,
    131_072,
  ),
  qwen25('32b', QWEN25_32B, LARGE_VOCAB, 131_072),
  qwen25(
    '72b',
    { layers: 80, hidden: 8192, heads: 64, kvHeads: 8, intermediate: 29_568 },
    LARGE_VOCAB,
    131_072,
  ),
  { ...qwen25('32b', QWEN25_32B, LARGE_VOCAB, 131_072), id: 'qwq-32b', name: /qwq-32b/ },
];

/** The models of July 2025 are named after it and have a longer context than the first ones. */
export const DATED = '-(?:instruct|thinking)-2507';

function qwen3(size: string, geometry: Geometry, dated = false): CatalogRow {
  const context = dated ? 262_144 : 40_960;
  return {
    id: dated ? `qwen3-${size}-2507` : `qwen3-${size}`,
    name: new RegExp(`qwen-?3-${size.replace('.', '\\.')}${dated ? DATED : ''}`),
    config: {
      ...plainConfig('qwen3', { headDim: 128, ...geometry, vocab: QWEN_VOCAB, context }),
      use_sliding_window: false,
    },
    source: `${LITGPT}; ${MAXTEXT}`,
  };
}

const QWEN3_4B = { layers: 36, hidden: 2560, heads: 32, kvHeads: 8, intermediate: 9728 };

const QWEN3: readonly CatalogRow[] = [
  qwen3('0.6b', { layers: 28, hidden: 1024, heads: 16, kvHeads: 8, intermediate: 3072 }),
  qwen3('1.7b', { layers: 28, hidden: 2048, heads: 16, kvHeads: 8, intermediate: 6144 }),
  qwen3('4b', QWEN3_4B),
  qwen3('4b', QWEN3_4B, true),
  qwen3('8b', { layers: 36, hidden: 4096, heads: 32, kvHeads: 8, intermediate: 12_288 }),
  qwen3('14b', { layers: 40, hidden: 5120, heads: 40, kvHeads: 8, intermediate: 17_408 }),
  qwen3('32b', { layers: 64, hidden: 5120, heads: 64, kvHeads: 8, intermediate: 25_600 }),
];

export const QWEN_ROWS: readonly CatalogRow[] = [...QWEN25, ...QWEN3];
