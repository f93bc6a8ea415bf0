/** What an SGLang server is: its pool of pages, its context, its ranks and its model. */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import { type MediaBounds, UNKNOWN_MEDIA } from '../../proxy/memory/models/media-bounds.ts';
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import {
  countField,
  faultText,
  field,
  getJson,
  listField,
  stringField,
  tryGetJson,
} from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel } from '../known-model.ts';
import { packedLatent } from '../packed-latent.ts';
import { readServerInfo, type ServerInfo } from './server-info.ts';
import { readSglang } from './state.ts';
import { warningsOf } from './warnings.ts';

/** `chunked_prefill_size` of the GPUs with the most memory (server_args.py). */
const LARGEST_CHUNK_TOKENS = 16_384;
/** With overlapped scheduling the guesses of two steps have places (managers/schedule_batch.py). */
const STEPS_AHEAD = 2;

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeSglang(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const [card] = listField(await getJson(io, '/v1/models', signal), 'data');
    const info = await readServerInfo(io, signal);
    const modelId = stringField(card, 'id') ?? info?.modelPath ?? 'unknown';
    const contextTokens = countField(card, 'max_model_len') ?? info?.contextTokens ?? 0;
    if (contextTokens === 0) {
      const why = 'neither /v1/models nor /server_info tells the length of the context';
      return { ok: false, state: 'unusable', why };
    }
    // An alias may be anything; the path says more.
    const names = [info?.modelPath ?? null, stringField(card, 'root'), modelId];
    const spec = knownModel(hints, names);
    const layout = layoutOf(spec, info, contextTokens, hints);
    const reading = await readSglang(io, layout, signal);
    const facts = {
      layout,
      modelId,
      version: info?.version ?? null,
      ranks: Math.max(1, info?.ranks ?? 1, reading.ranks.length),
      media: await mediaOf(io, hints, signal),
      warnings: warningsOf({ spec, info, contextTokens, reading }),
      framing: DEFAULT_FRAMING,
    };
    return { ok: true, facts, reading };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

function layoutOf(
  spec: ModelSpec | null,
  info: ServerInfo | null,
  contextTokens: number,
  hints: EngineHints,
): PagedLayout {
  const blockTokens = info?.pageTokens ?? 1;
  const poolTokens = info?.poolTokens ?? null;
  const draftTokens = info?.draftTokens ?? null;
  const windows = spec?.groups.flatMap(({ windowTokens }) => windowTokens ?? []) ?? [];
  return {
    model: 'paged',
    spec: spec === null ? null : packedLatent(spec, info?.kvCacheDtype ?? null),
    kvBytesPerElement: hints.kvBytesPerElement ?? bytesPerElement(info?.kvCacheDtype ?? null),
    blockTokens,
    // max_req_len = min(context_len, max_total_num_tokens) - 1 (managers/tp_worker.py).
    contextTokens: Math.max(1, Math.min(contextTokens, poolTokens ?? contextTokens)),
    inFlightTokens: Math.min(contextTokens, info?.chunkTokens ?? LARGEST_CHUNK_TOKENS),
    tensorParallel: info?.attentionTensorParallel ?? hints.tensorParallel,
    // The draft's own KV is a pool of as many tokens beside this one (model_runner.py), so it
    // takes none of its places.
    drafting:
      draftTokens === null ? null : { lookaheadTokens: STEPS_AHEAD * draftTokens, layers: 0 },
    tokenPool: {
      blocks: poolTokens === null ? null : Math.floor(poolTokens / blockTokens),
      slidingShare: windows.length === 0 ? null : (info?.slidingShare ?? null),
      // Sliding layers are tidied once in a window's length (schedule_batch.py, maybe_evict_swa).
      slidingSlackTokens: Math.max(0, ...windows),
      outputChunkTokens: 1,
    },
  };
}

/** `auto` follows the model's own type, 16 bits wide in practice. */
function bytesPerElement(dtype: string | null): number {
  if (dtype?.startsWith('fp8') === true) return 1;
  return dtype?.startsWith('fp4') === true ? 0.5 : 2;
}

async function mediaOf(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<MediaBounds> {
  const info = (await tryGetJson(io, '/model_info', signal)) ?? {};
  const bound = (key: string, told: number | null) => (field(info, key) === false ? 'none' : told);
  const image = bound('has_image_understanding', hints.imageTokens);
  const audio = bound('has_audio_understanding', hints.audioTokens);
  const video = image === 'none' ? 'none' : null;
  return { ...UNKNOWN_MEDIA, image, audio, video };
}
