/** How an instance and its model are named in metrics, answers and health. */
import type { KvLayout } from '../memory/kv-layout.ts';
import type { InstanceTags } from './metrics.ts';
import type { Instance } from './pools.ts';

const DTYPES: ReadonlyMap<number, string> = new Map([
  [4, 'f32'],
  [2, 'bf16'],
  [34 / 32, 'q8_0'],
  [1, 'fp8'],
  [18 / 32, 'q4_0'],
]);

/** Tags of an instance; what its engine has not told yet is an empty string. */
export function tagsOf(instance: Instance): InstanceTags {
  const { facts } = instance;
  const modelId = facts?.modelId ?? '';
  return {
    instance: instance.name,
    pool: instance.pool,
    modelId,
    // "gpt-oss-20b" -> "20b": the parameter count is part of nearly every published name.
    modelSize:
      /(?<![a-z0-9])(\d+(?:\.\d+)?[bm])(?![a-z0-9])/i.exec(modelId)?.[1]?.toLowerCase() ?? '',
    dtype: facts === null ? '' : dtypeOf(facts.layout),
    gpuMode: instance.large ? 'multi' : 'single',
  };
}

function dtypeOf({ model, kvBytesPerElement }: KvLayout): string {
  // Two bytes are f16 in llama.cpp's cache and bf16 everywhere else.
  if (model === 'slots' && kvBytesPerElement === 2) return 'f16';
  return DTYPES.get(kvBytesPerElement) ?? '';
}
