import { describe, expect, test } from '@jest/globals';
import { naiveKvBytes, steadyKvBytes } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { knownModel } from '../support/known-model.ts';

const MIB = 2 ** 20;
const BF16 = 2;

/** MiB of gpt-oss-20b; 120b has 1.5 times as many layers of each kind. */
const WORKED = [
  { tokens: 1024, naive: 48, steady: 27 },
  { tokens: 8192, naive: 384, steady: 195 },
  { tokens: 32_768, naive: 1536, steady: 771 },
  { tokens: 131_072, naive: 6144, steady: 3075 },
];

describe('KV bytes of gpt-oss in bf16, to the byte', () => {
  test.each(WORKED)('20b at $tokens tokens', ({ tokens, naive, steady }) => {
    const spec = knownModel('gpt-oss-20b');
    expect(naiveKvBytes(spec, tokens, BF16)).toBe(naive * MIB);
    expect(steadyKvBytes(spec, tokens, BF16)).toBe(steady * MIB);
  });

  test.each(WORKED)('120b at $tokens tokens', ({ tokens, naive, steady }) => {
    const spec = knownModel('gpt-oss-120b');
    expect(naiveKvBytes(spec, tokens, BF16)).toBe(1.5 * naive * MIB);
    expect(steadyKvBytes(spec, tokens, BF16)).toBe(1.5 * steady * MIB);
  });

  test('below the window, nothing is saved', () => {
    const spec = knownModel('gpt-oss-20b');
    expect(steadyKvBytes(spec, 128, BF16)).toBe(naiveKvBytes(spec, 128, BF16));
    expect(steadyKvBytes(spec, 129, BF16)).toBeLessThan(naiveKvBytes(spec, 129, BF16));
    expect(steadyKvBytes(spec, 0, BF16)).toBe(0);
  });

  test.each([
    [1, 2048],
    [2, 1024],
    [4, 512],
    [8, 256],
    // Heads are replicated where there are more GPUs than heads.
    [16, 256],
    // 8 heads over 3 GPUs: one of them has 3.
    [3, 768],
  ])('on %i GPUs each holds %i bytes of a token in a layer', (tensorParallel, bytes) => {
    const spec = knownModel('gpt-oss-20b');
    expect(steadyKvBytes(spec, 1, BF16, tensorParallel)).toBe(24 * bytes);
  });

  test('q8_0 is 34 bytes for 32 elements', () => {
    // The full layers alone are 1632.00 MiB in llama.cpp's own log of this context.
    const windowMib = 3 * (34 / 64);
    const spec = knownModel('gpt-oss-20b');
    expect(steadyKvBytes(spec, 131_072, 1.0625)).toBe((1632 + windowMib) * MIB);
  });

  test('a fraction of a byte is rounded up', () => {
    const odd: ModelSpec = {
      ...knownModel('gpt-oss-20b'),
      groups: [{ layers: 1, kvHeads: 1, keyDim: 1, valueDim: 1, windowTokens: null }],
    };
    expect(steadyKvBytes(odd, 3, 0.5625)).toBe(4);
    expect(naiveKvBytes(odd, 3, 0.5625)).toBe(4);
  });

  test('each of several sequences keeps a window of its own', () => {
    const spec = knownModel('gpt-oss-20b');
    expect(steadyKvBytes(spec, 4096, BF16, 1, 4)).toBe(4 * steadyKvBytes(spec, 1024, BF16));
  });
});
