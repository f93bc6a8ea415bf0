/** Every engine kvgate can guard. A new adapter is a file and a line here. */
import type { Adapter, EngineIo } from './adapter.ts';
import { llamacpp } from './llamacpp.ts';
import { transformers } from './transformers.ts';
import { vllm } from './vllm.ts';

/** In the order in which they are looked for: the one that is told apart least comes last. */
export const adapters: readonly Adapter[] = [llamacpp, vllm, transformers];

export function adapterNamed(name: string): Adapter | null {
  return adapters.find((adapter) => adapter.name === name) ?? null;
}

/** The adapter of the engine behind `io`; null when none knows it, or it can't be reached. */
export async function detectAdapter(io: EngineIo, signal: AbortSignal): Promise<Adapter | null> {
  for (const adapter of adapters) {
    if (await adapter.detect(io, signal)) return adapter;
  }
  return null;
}
