/** Every engine kvgate can guard. A new adapter is a file and a line here. */
import type { Adapter, EngineIo } from './adapter.ts';
import { gptOssHf } from './gpt-oss-hf.ts';
import { llamacpp } from './llamacpp.ts';
import { ollama } from './ollama.ts';
import { openai } from './openai.ts';
import { sglang } from './sglang.ts';
import { tgi } from './tgi.ts';
import { transformers } from './transformers.ts';
import { vllm } from './vllm.ts';

/** In the order in which they are looked for: the one that is told apart least comes last. */
export const adapters: readonly Adapter[] = [
  // First, since its health route generates where others are asked for theirs, and its root says
  // "Ollama is running".
  sglang,
  llamacpp,
  vllm,
  tgi,
  ollama,
  gptOssHf,
  transformers,
  openai,
];

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
