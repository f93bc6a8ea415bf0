/** How an instance and its model are named. */
import { expect, test } from '@jest/globals';
import { tagsOf } from '../../proxy/state/instance-tags.ts';
import { PAGED } from '../support/decision.ts';
import { facts, serving, stateWorld } from '../support/state-world.ts';

function tags(modelId: string, kvBytesPerElement = 2, large = false) {
  const { pools } = stateWorld({ instances: [{ name: 'a', large }] });
  pools.update('a', { facts: facts({ ...PAGED, kvBytesPerElement }, modelId) });
  return tagsOf(serving(pools, 'a'));
}

test.each<[string, string]>([
  ['gpt-oss-20b', '20b'],
  ['openai/gpt-oss-120b', '120b'],
  ['gpt-oss:20b', '20b'],
  ['gpt-oss-20b-mxfp4.gguf', '20b'],
  ['Meta-Llama-3.1-8B-Instruct', '8b'],
  ['Qwen2.5-0.5B', '0.5b'],
  ['SmolLM2-135M', '135m'],
  ['Qwen3-30B-A3B', '30b'],
  ['mixtral-8x7b', ''],
  ['model-4bit', ''],
  ['gpt-4o', ''],
  ['', ''],
])('the size in %s is "%s"', (modelId, modelSize) => {
  expect(tags(modelId)).toMatchObject({ modelId, modelSize });
});

test.each<[number, string]>([
  [4, 'f32'],
  [2, 'bf16'],
  [1.0625, 'q8_0'],
  [1, 'fp8'],
  [0.5625, 'q4_0'],
  [3, ''],
])('%d bytes an element: %s', (bytes, dtype) => {
  expect(tags('m', bytes).dtype).toBe(dtype);
});

test('one GPU or several', () => {
  expect(tags('m').gpuMode).toBe('single');
  expect(tags('m', 2, true)).toMatchObject({ gpuMode: 'multi', pool: 'large', instance: 'a' });
});

test('what the engine has not told is empty', () => {
  const { pools } = stateWorld();
  pools.update('a', { facts: null });
  const [instance] = pools.instances;
  expect(instance === undefined ? null : tagsOf(instance)).toEqual({
    instance: 'a',
    pool: 'default',
    modelId: '',
    modelSize: '',
    dtype: '',
    gpuMode: 'single',
  });
});
