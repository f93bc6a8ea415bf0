/** Every cell of the worked table, by the functions that decide with. */
import { describe, expect, test } from '@jest/globals';
import { tokenBytesOfLayer } from '../../proxy/memory/kv-layout.ts';
import { expectAccuracy } from '../support/accuracy.ts';
import { GOLDEN_KV_TABLE, GOLDEN_TENSOR_PARALLEL } from '../support/golden-kv-table.ts';
import { GOLDEN_LLAMACPP_TABLE } from '../support/golden-llamacpp-table.ts';
import { knownModel } from '../support/known-model.ts';

const MIB = 2 ** 20;

describe('KV of gpt-oss in MiB, and to the byte', () => {
  test.each(GOLDEN_KV_TABLE)('$model at $tokens: $layout', (row) => {
    const bytes = row.compute(knownModel(row.model));
    expect(bytes).toBe(row.expectedBytes);
    expect(((bytes ?? Number.NaN) / MIB).toFixed(1)).toBe(row.expectedMiB);
  });
});

test('KV units are what the engines take, without an error', () => {
  const rows = [...GOLDEN_KV_TABLE, ...GOLDEN_LLAMACPP_TABLE];
  const off = rows.filter((row) => row.compute(knownModel(row.model)) !== row.expectedBytes);
  expectAccuracy({
    part: 'KV units given n tokens',
    bar: '0 %',
    seen: `${off.length} of ${rows.length} cells differ, to the byte`,
    against: 'tables of transformers, vLLM, SGLang, llama.cpp and Ollama, 20b and 120b, 1k to 128k',
    holds: off.length === 0,
  });
});

test.each(GOLDEN_TENSOR_PARALLEL)(
  'on %i GPUs each holds %i bytes of a token in a layer',
  (tensorParallel, bytes) => {
    for (const group of knownModel('gpt-oss-20b').groups) {
      expect(tokenBytesOfLayer(group, 2, tensorParallel)).toBe(bytes);
    }
  },
);
