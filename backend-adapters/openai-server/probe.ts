/**
 * What a server tells by GET /v1/models, the one route of OpenAI's API that
 * describes it. Contexts are given under the names that servers of that kind
 * use: `max_model_len` (vLLM and its kin), `context_length` (OpenRouter,
 * Together, LM Studio), `context_window` (Groq), `meta.n_ctx` (llama.cpp).
 */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import { withToldTokens } from '../../proxy/memory/models/media-bounds.ts';
import type { EngineFacts, EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import {
  countField,
  EngineAnswerError,
  faultText,
  field,
  listField,
  parseJson,
  stringField,
} from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel } from '../known-model.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';

const BYTES_OF_16_BITS = 2;
/** Longer than that of any model known: nothing is refused for its length. */
const UNKNOWN_CONTEXT_TOKENS = 1_048_576;
const CONTEXT_FIELDS = ['max_model_len', 'context_length', 'context_window', 'max_context_length'];

/** Who lists models under their own name has an adapter, which may only not see its state yet. */
const KNOWN_OWNERS = ['llamacpp', 'vllm', 'sglang', 'library'];

/** Where neither the model's file nor the operator tells: no memory is reserved by them here. */
const ASSUMED_MEDIA = { image: 4_096, audio: 4_096, video: 16_384, file: 16_384 };

const NO_MEMORY =
  'no engine that kvgate knows: its KV memory is not seen and not guarded; bound the requests that run there at a time with --max-concurrency';
const NO_GEOMETRY =
  "the model's geometry is not known, so sessions are not limited there: pass --model-config with its config.json";
const NO_CONTEXT = 'it does not tell its context length, so nothing is refused for its length';

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeOpenAi(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const models = await listModels(io, signal);
    return { ok: true, facts: factsOf(models[0], hints), reading: UNKNOWN_READING };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

/**
 * The models it lists, of which each has an id; the list may be empty.
 * @throws EngineAnswerError on any other answer
 */
export async function listModels(io: EngineIo, signal: AbortSignal): Promise<readonly unknown[]> {
  const reply = await io.get('/v1/models', signal);
  const listing = reply.status === 200 ? parseJson(reply.body) : undefined;
  const models = listField(listing, 'data');
  const isList = Array.isArray(field(listing, 'data'));
  if (!isList || models.some((model) => stringField(model, 'id') === null)) {
    throw new EngineAnswerError('/v1/models', reply, '200 with a list of models');
  }
  return models;
}

export function isOfNoKnownEngine(models: readonly unknown[]): boolean {
  return !models.some((model) => KNOWN_OWNERS.some((owner) => owner === field(model, 'owned_by')));
}

function factsOf(model: unknown, hints: EngineHints): EngineFacts {
  const modelId = stringField(model, 'id');
  const spec = knownModel(hints, [modelId]);
  const told = contextOf(model);
  const contextTokens = told ?? hints.modelSpec?.contextTokens ?? UNKNOWN_CONTEXT_TOKENS;
  // A pool of single tokens, of a size that is not told: that is no limit, and nothing is filled in.
  const layout: PagedLayout = {
    model: 'paged',
    spec,
    kvBytesPerElement: hints.kvBytesPerElement ?? BYTES_OF_16_BITS,
    blockTokens: 1,
    contextTokens,
    inFlightTokens: 1,
    tensorParallel: hints.tensorParallel,
    drafting: null,
  };
  return {
    layout,
    modelId: modelId ?? 'unknown',
    version: null,
    ranks: 1,
    media: withToldTokens(spec?.media ?? ASSUMED_MEDIA, hints),
    warnings: [
      NO_MEMORY,
      ...(spec === null ? [NO_GEOMETRY] : []),
      ...(contextTokens === UNKNOWN_CONTEXT_TOKENS ? [NO_CONTEXT] : []),
    ],
    framing: DEFAULT_FRAMING,
  };
}

/** null where the list does not tell it. */
function contextOf(model: unknown): number | null {
  const counts = [
    ...CONTEXT_FIELDS.map((name) => countField(model, name)),
    countField(field(model, 'meta'), 'n_ctx'),
  ];
  return counts.find((count) => count !== null && count > 0) ?? null;
}
