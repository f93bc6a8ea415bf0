/**
 * Ways to start a real llama-server that change what it allocates for KV, each
 * with what kvgate is told of it. For suites and benchmarks that compare the
 * two.
 */
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesPerElement } from '../../backend-adapters/llamacpp/kv-cache-type.ts';
import type { LlamacppStart } from '../../proxy/memory/engines/llamacpp-memory.ts';
import { type ModelSpec, modelSpecFromConfig } from '../../proxy/memory/models/model-spec.ts';
import { type TinyArchitecture, tinySpec, writeTinyModel } from './tiny-architectures.ts';
import { writeTinyGguf } from './tiny-gguf.ts';

export type TinyModel = 'gpt-oss' | TinyArchitecture;

export interface LlamacppShape {
  readonly name: string;
  readonly model: TinyModel;
  /** Of the command line, without the model. */
  readonly args: readonly string[];
  readonly start: LlamacppStart;
  /** The model's own draft, for which the server has a context with the same cells. */
  readonly drafts: boolean;
}

type Traits = Partial<Omit<LlamacppStart, 'keyBytesPerElement' | 'valueBytesPerElement'>> & {
  readonly model?: TinyModel;
  readonly keyType?: string;
  readonly valueType?: string;
  readonly drafts?: boolean;
};

const GPT_OSS_CONFIG = new URL('../fixtures/tiny-gpt-oss-config.json', import.meta.url);

/** Without `-np` the server opens so many slots over one pool (server.cpp). */
const AUTO = { sequences: 4, unified: true };

function shape(name: string, given: readonly string[], traits: Traits): LlamacppShape {
  const {
    model = 'gpt-oss',
    keyType = 'f16',
    valueType = 'f16',
    drafts = false,
    ...context
  } = traits;
  const types = [
    ...(keyType === 'f16' ? [] : ['-ctk', keyType]),
    ...(valueType === 'f16' ? [] : ['-ctv', valueType]),
  ];
  const start = {
    ...{ contextTokens: 4096, sequences: 1, unified: false },
    ...context,
    keyBytesPerElement: elementBytes(keyType),
    valueBytesPerElement: elementBytes(valueType),
  };
  const args = ['-c', String(start.contextTokens), ...given, ...types];
  return { name, model, args, start, drafts };
}

function elementBytes(type: string): number {
  const bytes = bytesPerElement(type);
  if (bytes === null) throw new Error(`${type} is not a cache type`);
  return bytes;
}

const SPLIT_4 = { contextTokens: 8192, sequences: 4 };

export const LLAMACPP_SHAPES: readonly LlamacppShape[] = [
  shape('one slot, large context', ['-np', '1'], { contextTokens: 131_072 }),
  shape('unified by default', [], { ...AUTO, contextTokens: 32_768 }),
  shape('unified by request', ['-np', '8', '-kvu'], {
    ...{ contextTokens: 32_768, sequences: 8, unified: true },
  }),
  shape('split', ['-np', '4'], SPLIT_4),
  shape('eight slots', ['-np', '8'], { contextTokens: 32_768, sequences: 8 }),
  shape('odd context', ['-np', '3'], { contextTokens: 30_001, sequences: 3 }),
  shape('a context smaller than a batch', ['-np', '2'], { contextTokens: 300, sequences: 2 }),
  shape('large batch', ['-np', '1', '-ub', '2048'], {
    ...{ contextTokens: 32_768, ubatchTokens: 2048 },
  }),
  shape('physical batch above the logical one', ['-np', '1', '-b', '100', '-ub', '512'], {
    ...{ batchTokens: 100, ubatchTokens: 512 },
  }),
  shape('full windows', ['--swa-full'], { ...AUTO, contextTokens: 1000, swaFull: true }),
  shape('no flash attention', ['-np', '1', '-fa', 'off'], { flashAttention: false }),
  shape('q8_0', ['-np', '4'], { ...SPLIT_4, keyType: 'q8_0', valueType: 'q8_0' }),
  shape('q4_0', ['-np', '1'], { contextTokens: 32_768, keyType: 'q4_0', valueType: 'q4_0' }),
  shape('wide keys, narrow values', ['-np', '2'], {
    ...{ sequences: 2, keyType: 'q8_0', valueType: 'q4_0' },
  }),
  shape('narrow keys, wide values', ['-np', '1'], { keyType: 'iq4_nl', valueType: 'f32' }),
  shape('bf16 and q4_1', ['-np', '1'], { keyType: 'bf16', valueType: 'q4_1' }),
  shape('q5_0 and q5_1', ['-np', '1'], { keyType: 'q5_0', valueType: 'q5_1' }),
  shape('all layers full', ['-np', '2'], { model: 'llama', sequences: 2 }),
  shape('all layers full, mixed types', ['-np', '4', '-kvu'], {
    ...{ model: 'llama', sequences: 4, unified: true, keyType: 'q8_0', valueType: 'q5_1' },
  }),
  shape('states beside KV', ['-np', '32'], {
    ...{ model: 'qwen35', contextTokens: 32_768, sequences: 32 },
  }),
  shape('states beside a pool', [], { ...AUTO, model: 'qwen35' }),
  shape(
    'states that a draft may be taken back to',
    ['-np', '2', '--spec-type', 'draft-mtp', '--spec-draft-n-max', '3'],
    { model: 'qwen35', sequences: 2, rollbackStates: 3, drafts: true },
  ),
];

/** What a reader of the model's file would make of it. */
export function specOfTiny(model: TinyModel): ModelSpec {
  if (model !== 'gpt-oss') return tinySpec(model);
  const config: unknown = JSON.parse(readFileSync(GPT_OSS_CONFIG, 'utf8'));
  const result = modelSpecFromConfig(config, 'tiny-gpt-oss-config.json');
  if (!result.ok) throw new Error(`${result.field} ${result.problem}`);
  return result.spec;
}

/** Writes the model and gives its path. */
export function tinyModelFile(model: TinyModel): string {
  const path = join(tmpdir(), `kvgate-tiny-${model}.gguf`);
  if (model === 'gpt-oss') writeTinyGguf(path);
  else writeTinyModel(model, path);
  return path;
}
