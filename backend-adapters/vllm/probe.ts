/**
 * What a vLLM server is: its block pools, its context and its model.
 */
import type { PagedLayout } from '../../proxy/memory/kv-layout.ts';
import { unitBytes } from '../../proxy/memory/units.ts';
import type { EngineHints, EngineIo, ProbeResult } from '../adapter.ts';
import {
  countField,
  faultText,
  getJson,
  listField,
  stringField,
  tryGetJson,
} from '../engine-answer.ts';
import { DEFAULT_FRAMING } from '../framing.ts';
import { knownModel } from '../known-model.ts';
import { knownMedia } from '../media.ts';
import { arranged } from './cache-arrangement.ts';
import { vllmFlags } from './flags.ts';
import type { VllmMetrics } from './metrics.ts';
import { readSettings, type VllmFacts } from './settings.ts';
import { speculationOf } from './speculation.ts';
import { fetchMetrics, readingOf } from './state.ts';
import { toldFigures } from './told-figures.ts';
import { freesWhenSettled, rankIsObeyed } from './version.ts';
import { probeWarnings } from './warnings.ts';

/** vLLM's own default on GPUs: `block_size`. */
const DEFAULT_BLOCK_TOKENS = 16;

/** Never throws: whatever goes wrong is `unreachable`, with the reason. */
export async function probeVllm(
  io: EngineIo,
  hints: EngineHints,
  signal: AbortSignal,
): Promise<ProbeResult> {
  try {
    const metrics = await fetchMetrics(io, signal);
    if (metrics.engines.some(({ awake }) => !awake)) {
      return { ok: false, state: 'loading', why: 'it sleeps: POST /wake_up to it' };
    }
    // The served names come before those of LoRA adapters, which have a `parent`.
    const model = listField(await getJson(io, '/v1/models', signal), 'data')[0];
    const contextTokens = countField(model, 'max_model_len');
    if (contextTokens === null || contextTokens === 0) {
      return { ok: false, state: 'unusable', why: '/v1/models tells no max_model_len' };
    }
    const version = stringField(await tryGetJson(io, '/version', signal), 'version');
    const flags = vllmFlags(await io.commandLine());
    const { facts, reading } = described({ metrics, hints, model, contextTokens, version, flags });
    return { ok: true, facts, reading };
  } catch (error) {
    return { ok: false, state: 'unreachable', why: faultText(error) };
  }
}

interface Answers {
  readonly metrics: VllmMetrics;
  readonly hints: EngineHints;
  /** The first entry of `/v1/models`. */
  readonly model: unknown;
  readonly contextTokens: number;
  readonly version: string | null;
  readonly flags: readonly string[] | null;
}

function described({ metrics, hints, model, contextTokens, version, flags }: Answers) {
  const modelId = stringField(model, 'id') ?? 'unknown';
  const speculation = speculationOf(flags, metrics.draftTokens);
  const pool: PagedLayout = {
    model: 'paged',
    spec: knownModel(hints, [stringField(model, 'root'), modelId]),
    kvBytesPerElement: hints.kvBytesPerElement ?? bytesPerElement(metrics.cacheDtype),
    blockTokens: metrics.blockTokens ?? DEFAULT_BLOCK_TOKENS,
    contextTokens,
    inFlightTokens: contextTokens,
    tensorParallel: hints.tensorParallel,
    drafting: speculation.drafting,
  };
  const settings = readSettings(flags, poolBytes(pool, metrics.engines[0].blocks));
  const { maxSequences, hostTier, inFlightTokens, batches } = settings;
  const { cacheDtype, stateMode } = metrics;
  const layout = {
    ...arranged(pool, { cacheDtype, stateMode, flags, batches }),
    inFlightTokens: Math.min(
      contextTokens,
      freesWhenSettled(version) ? inFlightTokens : inFlightTokens / batches,
    ),
  };
  const pinned = rankIsObeyed(version);
  const facts: VllmFacts = {
    layout,
    modelId,
    version,
    ranks: pinned ? metrics.engines.length : 1,
    media: knownMedia(pool.spec, hints),
    warnings: [
      ...probeWarnings(metrics, layout, pinned),
      ...settings.warnings,
      ...speculation.warnings,
    ],
    framing: DEFAULT_FRAMING,
    toldFigures: toldFigures(metrics, contextTokens),
    settings: { maxSequences, hostTier },
  };
  return { facts, reading: readingOf(metrics, settings, pinned) };
}

function poolBytes(layout: PagedLayout, blocks: number | null): number | null {
  const bytes = unitBytes(layout);
  return bytes === null || blocks === null ? null : bytes * blocks;
}

/** `auto` follows the model's own type, 16 bits wide in practice; what is packed tighter is rare. */
function bytesPerElement(cacheDtype: string | null): number {
  return /^(fp8|int8)/.test(cacheDtype ?? '') ? 1 : 2;
}
