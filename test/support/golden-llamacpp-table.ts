/**
 * KV of gpt-oss on llama.cpp and in Ollama's own prediction, worked out by hand:
 * 12 layers of each kind (20b), 1024 elements of keys and values a token and
 * layer; a sliding layer has 768 cells at a batch of 512. 120b has 1.5 times as
 * many layers.
 */
import { bytesPerElement } from '../../backend-adapters/llamacpp/kv-cache-type.ts';
import { ollamaPredictedKvBytes } from '../../proxy/memory/engines/ollama-memory.ts';
import { slotBytes } from '../../proxy/memory/engines/slots.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';

export interface GoldenKvRow {
  readonly model: 'gpt-oss-20b' | 'gpt-oss-120b';
  readonly tokens: number;
  readonly layout: string;
  /** As tables print it, with one decimal. */
  readonly expectedMiB: string;
  readonly expectedBytes: number;
  /** The product's own figure. */
  readonly compute: (spec: ModelSpec) => number | null;
}

interface Column {
  readonly layout: string;
  readonly compute: (tokens: number) => GoldenKvRow['compute'];
  /** Of 20b, for each of TOKENS. */
  readonly bytes: readonly number[];
  readonly mib: readonly string[];
  /** Of 120b. */
  readonly largeMib: readonly string[];
}

const TOKENS = [1024, 8192, 32_768, 131_072];

function oneSlot(type: string): (tokens: number) => GoldenKvRow['compute'] {
  const layout: Omit<SlotsLayout, 'spec' | 'contextTokens'> = {
    model: 'slots',
    kvBytesPerElement: bytesPerElement(type) ?? Number.NaN,
    unified: false,
    slots: 1,
  };
  return (contextTokens) => (spec) => slotBytes({ ...layout, spec, contextTokens });
}

const COLUMNS: readonly Column[] = [
  {
    layout: 'llama.cpp np1',
    compute: oneSlot('f16'),
    bytes: [44_040_192, 220_200_960, 824_180_736, 3_240_099_840],
    mib: ['42.0', '210.0', '786.0', '3090.0'],
    largeMib: ['63.0', '315.0', '1179.0', '4635.0'],
  },
  {
    layout: 'llama.cpp np1 q8_0',
    compute: oneSlot('q8_0'),
    bytes: [23_396_352, 116_981_760, 437_846_016, 1_721_303_040],
    mib: ['22.3', '111.6', '417.6', '1641.6'],
    largeMib: ['33.5', '167.3', '626.3', '2462.3'],
  },
  {
    layout: 'Ollama predictor',
    compute: (tokens) => (spec) => ollamaPredictedKvBytes(spec, tokens),
    bytes: [35_389_440, 283_115_520, 1_132_462_080, 4_529_848_320],
    mib: ['33.8', '270.0', '1080.0', '4320.0'],
    largeMib: ['50.6', '405.0', '1620.0', '6480.0'],
  },
];

const LARGER = 1.5;

export const GOLDEN_LLAMACPP_TABLE: readonly GoldenKvRow[] = COLUMNS.flatMap((column) =>
  TOKENS.flatMap((tokens, index) => {
    const { layout } = column;
    const bytes = column.bytes[index] ?? Number.NaN;
    const row = { tokens, layout, compute: column.compute(tokens) };
    const mib = (texts: readonly string[]) => texts[index] ?? '';
    return [
      { ...row, model: 'gpt-oss-20b', expectedMiB: mib(column.mib), expectedBytes: bytes },
      {
        ...{ ...row, model: 'gpt-oss-120b' },
        ...{ expectedMiB: mib(column.largeMib), expectedBytes: LARGER * bytes },
      },
    ] as const;
  }),
);
