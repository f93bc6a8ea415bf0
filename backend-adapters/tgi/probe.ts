/** What a TGI server is: its limits, its pool of tokens and its model. */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import type { MediaBounds } from '../../proxy/memory/models/media-bounds.ts';
import type { EngineHints, EngineIo, EngineReading, ProbeResult } from '../adapter.ts';
import { flagInteger, flagValue } from '../command-line.ts';
import { countField, faultText, getJson, stringField } from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel, UNKNOWN_GEOMETRY } from '../known-model.ts';
import { readTgi } from './state.ts';

/** Tokens of output for which places are taken ahead (router/src/validation.rs). */
const OUTPUT_CHUNK_TOKENS = 1024;

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeTgi(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    // The order in which a server that is down is noticed with the least said to it.
    const health = await io.get('/health', signal);
    if (health.status === 503) {
      return { ok: false, state: 'unreachable', why: 'its shards do not answer (/health is 503)' };
    }
    const info = await getJson(io, '/info', signal);
    const contextTokens = countField(info, 'max_total_tokens');
    if (contextTokens === null || contextTokens === 0) {
      return { ok: false, state: 'unusable', why: '/info tells no max_total_tokens' };
    }
    const modelId = stringField(info, 'model_id') ?? 'unknown';
    const spec = knownModel(hints, [modelId]);
    const args = (await io.commandLine()) ?? [];
    const speculate = flagInteger(args, ['--speculate']) ?? 0;
    const layout: PagedLayout = {
      model: 'paged',
      spec,
      kvBytesPerElement: hints.kvBytesPerElement ?? bytesPerElement(args),
      blockTokens: 1,
      contextTokens,
      inFlightTokens: contextTokens,
      tensorParallel: flagInteger(args, ['--num-shard']) ?? hints.tensorParallel,
      // queue.rs: input + max_new_tokens + speculate - 1.
      drafting: speculate < 1 ? null : { lookaheadTokens: speculate, layers: 0 },
      tokenPool: {
        blocks: null,
        slidingShare: null,
        slidingSlackTokens: 0,
        outputChunkTokens: OUTPUT_CHUNK_TOKENS,
      },
    };
    const reading = await readTgi(io, layout, signal);
    const facts = {
      layout,
      modelId,
      version: stringField(info, 'version'),
      ranks: 1,
      media: mediaOf(stringField(info, 'model_pipeline_tag'), hints),
      warnings: [
        ...(spec === null ? [UNKNOWN_GEOMETRY] : []),
        ...(spec !== null && spec.groups.length > 1
          ? ['TGI keeps sliding layers as long as the others: KV bytes count every token of them']
          : []),
        ...missing(reading),
      ],
      framing: DEFAULT_FRAMING,
    };
    return { ok: true, facts, reading };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

function bytesPerElement(args: readonly string[]): number {
  return flagValue(args, ['--kv-cache-dtype'])?.startsWith('fp8') === true ? 1 : 2;
}

/** The pipeline tag says whether images are taken; audio and files never are. */
function mediaOf(tag: string | null, hints: EngineHints): MediaBounds {
  const image = tag === 'text-generation' ? 'none' : hints.imageTokens;
  return { image, audio: 'none', video: 'none', file: 'none' };
}

function missing({ capacityUnits, usedUnits, runningSequences }: EngineReading): string[] {
  return [
    capacityUnits === null ? 'tgi_batch_max_total_tokens' : null,
    usedUnits === null ? 'tgi_batch_current_max_tokens' : null,
    runningSequences === null ? 'tgi_batch_current_size' : null,
  ].flatMap((name) => (name === null ? [] : [`/metrics does not tell ${name}`]));
}
