/**
 * What a gpt-oss-hf-server is, by its /health. Its port opens only when its
 * model is loaded, or has failed to load: then it is "healthy" without a model.
 */
import type { DynamicLayout } from '../../proxy/memory/kv-layout.ts';
import { NO_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { EngineFacts, EngineHints, EngineIo, EngineReading, ProbeResult } from '../adapter.ts';
import {
  countField,
  EngineAnswerError,
  faultText,
  field,
  parseJson,
  stringField,
} from '../engine-answer.ts';
import { knownModel } from '../known-model.ts';
import { UNKNOWN_READING } from '../unknown-reading.ts';

/** bf16 or fp16 (server.py, _determine_torch_dtype). */
const KV_BYTES_PER_ELEMENT = 2;
/** A request beyond these is answered 503. */
const MAX_ACTIVE_REQUESTS = 10;

/** Room for the system prompt that the server adds where a chat has none. */
const FRAMING = { baseTokens: 160, perMessageTokens: 16 };

const NO_MODEL = 'its model failed to load: see its log';
const NO_GEOMETRY =
  "its model is not known, so it can't be guarded: pass --model-config with the model's config.json";
const MUTE =
  'it answers nothing, /health neither, while it makes an answer that does not stream: prefer streams';
const OWN_GUARD =
  'its own memory guard may cut max_tokens and set the temperature to 0 without a word, and streams fail then';
const SPREAD =
  'its layers may be spread over several GPUs: each of them is guarded as if it held the KV of all layers';

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeGptOssHf(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const health = await checkHealth(io, signal);
    const modelId = stringField(field(health, 'model'), 'model_id');
    if (modelId === null) return { ok: false, state: 'unusable', why: NO_MODEL };
    const facts = factsOf(health, modelId, hints);
    if (facts === null) return { ok: false, state: 'unusable', why: NO_GEOMETRY };
    return { ok: true, facts, reading: readingOf(health) };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

function factsOf(health: unknown, modelId: string, hints: EngineHints): EngineFacts | null {
  const spec = knownModel(hints, [modelId]);
  if (spec === null) return null;
  const layout: DynamicLayout = {
    model: 'dynamic',
    spec,
    kvBytesPerElement: hints.kvBytesPerElement ?? KV_BYTES_PER_ELEMENT,
    attention: hints.attention,
    // A stream's prefill calls the model, not `generate` (server.py, _stream_generate).
    prefillLogits: 'all',
  };
  const gpuMode = stringField(field(health, 'model'), 'gpu_mode');
  return {
    layout,
    modelId,
    version: stringField(health, 'version'),
    ranks: 1,
    media: NO_MEDIA,
    warnings: [MUTE, OWN_GUARD, ...(gpuMode === 'tensor' || gpuMode === 'auto' ? [SPREAD] : [])],
    framing: FRAMING,
  };
}

/** @throws EngineAnswerError unless it answers as this server does */
export async function checkHealth(io: EngineIo, signal: AbortSignal): Promise<unknown> {
  const reply = await io.get('/health', signal);
  const health = reply.status === 200 ? parseJson(reply.body) : undefined;
  if (!isHealthOfGptOssHf(health)) throw new EngineAnswerError('/health', reply, 'its own health');
  return health;
}

/** The score and the profile beside each other are in nobody else's health. */
export function isHealthOfGptOssHf(health: unknown): boolean {
  return (
    typeof field(health, 'health_score') === 'number' &&
    stringField(health, 'profile') !== null &&
    typeof field(health, 'model') === 'object'
  );
}

export function readingOf(health: unknown): EngineReading {
  return {
    ...UNKNOWN_READING,
    runningSequences: countField(field(health, 'stats'), 'active_requests'),
    maxSequences: MAX_ACTIVE_REQUESTS,
  };
}
