/**
 * Facts of an Ollama server, and what of them is assumed: how many requests run
 * at a time and what type KV has, it tells nowhere.
 */

import { ollamaBatchTokens } from '../../proxy/memory/engines/ollama-memory.ts';
import type { SlotsLayout } from '../../proxy/memory/kv-layout.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineFacts, EngineHints, Framing } from '../adapter.ts';
import { flagInteger, flagValue } from '../command-line.ts';
import { countField, field, listField, stringField } from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel, UNKNOWN_GEOMETRY } from '../known-model.ts';
import { ubatchOf } from '../llamacpp/batch-size.ts';
import { bytesPerElement, DEFAULT_BYTES_PER_ELEMENT } from '../llamacpp/kv-cache-type.ts';
import type { DescribedModel } from './models.ts';

/** Ollama's own on less than 23 GiB of GPU memory, 32768 and 262144 on more (docs/context-length.mdx). */
const LEAST_CONTEXT_TOKENS = 4_096;

/** One request at a time, whatever is configured (server/sched.go, load). */
const NEVER_PARALLEL: ReadonlySet<string> = new Set([
  ...['mllama', 'qwen3vl', 'qwen3vlmoe', 'qwen35', 'qwen35moe', 'qwen3next', 'lfm2', 'lfm2moe'],
  ...['nemotron_h', 'nemotron_h_moe', 'nemotron_h_omni'],
]);

const ONE_AT_A_TIME =
  "OLLAMA_NUM_PARALLEL can't be seen, so one request at a time is assumed, which is its default: if it is set, pass --ollama-num-parallel";
const F16 =
  "the KV cache type can't be seen and is taken as f16: if OLLAMA_KV_CACHE_TYPE is set, pass --kv-dtype";

export function factsOf(
  model: DescribedModel,
  hints: EngineHints,
  args: readonly string[] | null,
  server: {
    readonly version: string | null;
    readonly alsoLoaded: readonly string[];
    /** The model's geometry, as its file tells it. */
    readonly spec: ModelSpec | null;
  },
): EngineFacts {
  const { name, shown } = model;
  const info = field(shown, 'model_info');
  const named = knownModel(hints, [name, stringField(info, 'general.basename')]);
  const spec = hints.modelSpec ?? bestKnown(server.spec, named);
  const parallel = slotsOf(model, hints, args);
  const kvType = kvTypeOf(hints, args);
  const contextTokens = model.contextTokens ?? contextUnloaded(shown);
  const layout: SlotsLayout = {
    model: 'slots',
    spec,
    kvBytesPerElement: kvType ?? DEFAULT_BYTES_PER_ELEMENT,
    unified: false,
    slots: parallel ?? 1,
    contextTokens,
    ubatchTokens: ubatchOf(args ?? []) ?? ollamaBatchTokens(contextTokens * (parallel ?? 1)),
  };
  return {
    layout,
    modelId: name,
    version: server.version,
    ranks: 1,
    // However many tokens they take, what is too long for a slot is cut.
    media: { image: contextTokens, audio: contextTokens, video: 'none', file: 'none' },
    warnings: [
      ...(parallel === null ? [ONE_AT_A_TIME] : []),
      ...(kvType === null ? [F16] : []),
      ...(spec === null ? [UNKNOWN_GEOMETRY] : []),
      ...(model.contextTokens === null ? [notLoaded(name, contextTokens)] : []),
      otherModels(name, server.alsoLoaded),
      `it cuts what is longer than ${contextTokens} tokens without a word, oldest messages first`,
    ],
    framing: framingOf(shown),
  };
}

/**
 * The file's word goes before the name, which anybody may give to a model. Where
 * both say the same of KV, the catalogue knows more: Ollama leaves out the vocabulary.
 */
function bestKnown(file: ModelSpec | null, named: ModelSpec | null): ModelSpec | null {
  if (file === null || named === null) return file ?? named;
  return kvText(file) === kvText(named) ? named : file;
}

function kvText({ groups, states }: ModelSpec): string {
  return JSON.stringify([...groups, ...states].map((part) => Object.entries(part).sort()));
}

/** null where nothing tells. The arguments are those of a runner, where it is seen. */
function slotsOf(
  { family }: DescribedModel,
  hints: EngineHints,
  args: readonly string[] | null,
): number | null {
  if (family !== null && NEVER_PARALLEL.has(family)) return 1;
  const told = hints.ollamaNumParallel ?? flagInteger(args ?? [], ['-np', '--parallel']);
  return told === null ? null : Math.max(1, told);
}

function kvTypeOf(hints: EngineHints, args: readonly string[] | null): number | null {
  if (hints.kvBytesPerElement !== null) return hints.kvBytesPerElement;
  const type = flagValue(args ?? [], ['--cache-type-k', '-ctk']);
  return type === null ? null : bytesPerElement(type);
}

/** `num_ctx` of its Modelfile, else the least that Ollama would give; never more than it was trained for. */
function contextUnloaded(shown: unknown): number {
  const written = /^num_ctx\s+(\d{1,9})\s*$/m.exec(stringField(shown, 'parameters') ?? '')?.[1];
  const info = field(shown, 'model_info');
  const arch = stringField(info, 'general.architecture');
  const trained = arch === null ? null : countField(info, `${arch}.context_length`);
  const asked = written === undefined ? LEAST_CONTEXT_TOKENS : Number(written);
  return Math.max(4, Math.min(asked, trained === null || trained === 0 ? asked : trained));
}

/** A Modelfile may begin every chat with a system prompt and messages of its own. */
function framingOf(shown: unknown): Framing {
  const system = stringField(shown, 'system') ?? '';
  const messages = listField(shown, 'messages');
  const chars = system.length + (messages.length > 0 ? JSON.stringify(messages).length : 0);
  // A UTF-16 code unit is three bytes of UTF-8 at most.
  return { ...DEFAULT_FRAMING, baseTokens: DEFAULT_FRAMING.baseTokens + 3 * chars };
}

function notLoaded(name: string, contextTokens: number): string {
  return `no model is loaded; it is taken for ${name} with a context of ${contextTokens} tokens until one is`;
}

function otherModels(name: string, alsoLoaded: readonly string[]): string {
  const loaded = alsoLoaded.length === 0 ? '' : ` (${alsoLoaded.join(', ')} at present)`;
  return `requests for other models${loaded} count as if they were for ${name}: a model that is not loaded is loaded by Ollama, beside it or in its place`;
}
