/** Figures of vLLM's own by which kvgate tells layouts apart. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { vllmMetrics } from '../../backend-adapters/vllm/metrics.ts';
import { toldFigures } from '../../backend-adapters/vllm/told-figures.ts';

const recorded = (name: string) =>
  readFileSync(new URL(`../fixtures/engines/vllm/${name}`, import.meta.url), 'utf8');

const told = (text: string) => toldFigures(vllmMetrics(text), 2048);

const config = (...labels: readonly string[]) =>
  `vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="1000",${labels.join(',')}} 1\n`;

test('a real server of v0.32 tells the blocks of a request of full length', () => {
  const [figure, ...others] = told(recorded('metrics-v0.32-run.txt'));
  // Its blocks were set by hand: they do not follow from the bytes it tells.
  expect(others).toEqual([]);
  expect(figure).toMatchObject({ kind: 'full_length_blocks', contextTokens: 2048 });
  expect(figure?.measured.lo).toBeCloseTo(129, 2);
  expect(figure?.measured.hi).toBeCloseTo(129, 2);
});

test('bytes that the operator gave tell the size of a block', () => {
  const sized = told(
    config('kv_cache_memory_bytes="1073741824"', 'num_gpu_blocks_override="None"'),
  );
  expect(sized).toEqual([
    {
      kind: 'pool_blocks',
      measured: { lo: 1000, hi: 1000 },
      poolBytes: { lo: 1_073_741_824 * 0.99, hi: 1_073_741_824 },
    },
  ]);
});

test.each([
  ['an older version', recorded('metrics-before-v0.10.txt')],
  ['several engines behind one address', recorded('metrics-two-engines.txt')],
  ['a pool that is not sized yet', config('kv_cache_max_concurrency="None"')],
  ['nonsense', config('kv_cache_max_concurrency="-1"', 'kv_cache_memory_bytes="many"')],
])('%s tells none', (_, text) => {
  expect(told(text)).toEqual([]);
});
