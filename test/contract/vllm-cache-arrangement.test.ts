/** What vLLM's flags and CacheConfig change about the layout of a model's KV. */
import { describe, expect, test } from '@jest/globals';
import type { EngineHints } from '../../backend-adapters/adapter.ts';
import { vllm } from '../../backend-adapters/vllm.ts';
import { findModel } from '../../proxy/memory/catalog/catalog.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import { unitBytes } from '../../proxy/memory/units.ts';
import { answersOf, NO_HINTS } from '../support/engines-under-test.ts';
import { fakeEngine, reply } from '../support/fake-engine-io.ts';

const signal = new AbortController().signal;
const gptOss = findModel('gpt-oss-20b');
if (gptOss === null) throw new Error('the catalog is empty');

const WITH_STATES: ModelSpec = {
  ...gptOss,
  groups: [{ layers: 12, kvHeads: 2, keyDim: 256, valueDim: 256, windowTokens: null }],
  states: [{ layers: 36, convChannels: 8192, convKernel: 4, recurrentElements: 524_288 }],
};

const latent = { layers: 61, kvHeads: 1, valueDim: 0, windowTokens: null };
const SPARSE_LATENT: ModelSpec = {
  ...gptOss,
  groups: [
    { ...latent, keyDim: 576 },
    { ...latent, keyDim: 128, packedTokenBytes: 132 },
  ],
};

async function layoutOf(
  labels: string,
  flags: readonly string[] = [],
  modelSpec: ModelSpec | null = null,
) {
  const text = `vllm:cache_config_info{${labels},num_gpu_blocks="1000"} 1.0\n`;
  const answers = { ...answersOf('vllm'), 'GET /metrics': reply(200, text) };
  const hints: EngineHints = { ...NO_HINTS, modelSpec };
  const result = await vllm.probe(fakeEngine(answers, ['vllm', 'serve', ...flags]), hints, signal);
  if (!result.ok) throw new Error(result.why);
  return result.facts.layout;
}

const PLAIN = 'block_size="16",cache_dtype="auto"';

describe('the hybrid KV cache manager', () => {
  test.each([
    [[], undefined],
    [['--disable-hybrid-kv-cache-manager'], false],
    [['--disable_hybrid_kv_cache_manager'], false],
    [['--no-disable-hybrid-kv-cache-manager'], undefined],
  ])('with %j: %p', async (flags, hybridManager) => {
    expect(await layoutOf(PLAIN, flags)).toEqual(
      hybridManager === undefined
        ? expect.not.objectContaining({ hybridManager: expect.anything() })
        : expect.objectContaining({ hybridManager }),
    );
  });
});

describe('states', () => {
  test.each([
    ['none', [], 1],
    ['align', [], 3],
    ['align', ['--no-async-scheduling'], 2],
    ['all', [], 'each'],
  ])('in mode %s with %j: %p blocks a sequence', async (mode, flags, stateBlocks) => {
    const labels = `block_size="544",cache_dtype="auto",mamba_cache_mode="${mode}"`;
    expect(await layoutOf(labels, flags, WITH_STATES)).toMatchObject({ stateBlocks });
  });

  test('a mode that is not told is the one that takes more', async () => {
    expect(await layoutOf(PLAIN, [], WITH_STATES)).toMatchObject({ stateBlocks: 3 });
  });

  test('a model without any has no such figure', async () => {
    expect(await layoutOf(`${PLAIN},mamba_cache_mode="none"`)).not.toHaveProperty('stateBlocks');
  });
});

describe('latent attention with an indexer', () => {
  const bytesOf = async (dtype: string, modelSpec: ModelSpec) =>
    unitBytes(await layoutOf(`block_size="64",cache_dtype="${dtype}"`, [], modelSpec));

  test.each([
    ['auto', 64 * 61 * (2 * 576 + 132)],
    ['fp8', 64 * 61 * (656 + 132)],
    ['fp8_ds_mla', 64 * 61 * (656 + 132)],
  ])('in %s a block has %i bytes', async (dtype, bytes) => {
    expect(await bytesOf(dtype, SPARSE_LATENT)).toBe(bytes);
  });

  test('without an indexer 8 bits are 8 bits, unless the packed form is named', async () => {
    const dense = { ...SPARSE_LATENT, groups: SPARSE_LATENT.groups.slice(0, 1) };
    expect(await bytesOf('fp8', dense)).toBe(64 * 61 * 576);
    expect(await bytesOf('fp8_ds_mla', dense)).toBe(64 * 61 * 656);
  });
});
