/** What an operator of an SGLang server should know of how kvgate sees it. */
import type { ModelSpec } from '../../proxy/memory/models/model-spec.ts';
import type { EngineReading } from '../adapter.ts';
import { UNKNOWN_GEOMETRY } from '../known-model.ts';
import { DEFAULT_NEW_TOKENS } from './generate-request.ts';
import type { ServerInfo } from './server-info.ts';

export interface Seen {
  readonly spec: ModelSpec | null;
  readonly info: ServerInfo | null;
  readonly contextTokens: number;
  readonly reading: EngineReading;
}

export function warningsOf({ spec, info, contextTokens, reading }: Seen): readonly string[] {
  return [
    ...(spec === null ? [UNKNOWN_GEOMETRY] : []),
    ...(info === null ? [NO_SERVER_INFO] : settingWarnings(info, contextTokens)),
    ...readingWarnings(reading, info),
    ...rankWarnings(Math.max(info?.ranks ?? 1, reading.ranks.length)),
  ];
}

const NO_SERVER_INFO =
  '/server_info can not be read: pages of 1 token, one pool for all layers and no speculation are assumed; a --backend-api-key-file that may read it makes them certain';

function settingWarnings(info: ServerInfo, contextTokens: number): string[] {
  const { poolTokens, pageTokens, preferredNewTokens, version } = info;
  const warnings: string[] = [];
  if (pageTokens === null) {
    warnings.push('/server_info tells no page_size: pages of 1 token are assumed');
  }
  if (poolTokens !== null && poolTokens < contextTokens) {
    warnings.push(
      `the KV pool holds ${poolTokens} tokens, fewer than the context of ${contextTokens}: longer requests never fit; a higher --mem-fraction-static makes room`,
    );
  }
  if (preferredNewTokens !== null && preferredNewTokens > DEFAULT_NEW_TOKENS) {
    warnings.push(
      `--preferred-sampling-params lets /generate go on for ${preferredNewTokens} tokens where a request names no limit; kvgate counts ${DEFAULT_NEW_TOKENS}: name max_new_tokens in the requests`,
    );
  }
  if (version !== null && /^0\.5\.1[6-9](?!\d)/.test(version)) {
    warnings.push(
      `SGLang ${version} goes on with requests whose client has left; their memory stays taken until they end (mended in 0.5.20)`,
    );
  }
  return warnings;
}

function readingWarnings(reading: EngineReading, info: ServerInfo | null): string[] {
  const told = reading.ranks[0] ?? reading;
  const warnings = [
    told.capacityUnits === null ? 'the size of the KV pool' : null,
    told.usedUnits === null ? 'the tokens in use' : null,
    told.waitingSequences === null ? 'waiting requests' : null,
    told.maxSequences === null ? 'max_running_requests' : null,
  ].flatMap((what) => (what === null ? [] : [`the engine does not tell ${what}`]));
  if (reading.preemptions === null) {
    warnings.push('retractions are not told: --enable-metrics makes them visible');
  }
  if (info?.keepsHostTier === true && reading.hostTier === null) {
    warnings.push('KV in host memory is not told: --enable-metrics makes it visible');
  }
  return warnings;
}

function rankWarnings(ranks: number): string[] {
  return ranks === 1
    ? []
    : [
        `${ranks} data-parallel ranks with a KV pool each: requests are pinned by X-Data-Parallel-Rank; older versions do not look at it, or on OpenAI's routes only, and choose the rank themselves`,
      ];
}
