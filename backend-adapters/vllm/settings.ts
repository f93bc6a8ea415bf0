/**
 * Settings of a vLLM server that no endpoint tells: from its command line where
 * that can be seen, else vLLM's defaults, with a warning.
 */
import { flagInteger, flagSwitch, flagValue } from '../command-line.ts';
import type { EngineFacts } from '../engine.ts';
import { type HostTierSettings, hostTierSettings } from './host-tier.ts';

export interface VllmSettings {
  /** Sequences that each engine works on at a time. */
  readonly maxSequences: number;
  readonly hostTier: HostTierSettings;
}

/** What later readings need beside the facts. */
export interface VllmFacts extends EngineFacts {
  readonly settings: VllmSettings;
}

const BYTES_OF_GIB = 2 ** 30;

/**
 * Defaults of the API server (vllm/engine/arg_utils.py, get_batch_defaults): on
 * a GPU of 70 GiB that is no A100, and on any other.
 */
const LARGE_GPU_SEQUENCES = 1024;
const OTHER_GPU_SEQUENCES = 256;
/** No A100 has a pool of this size, so it is a large GPU. */
const SURELY_LARGE_BYTES = 80 * BYTES_OF_GIB;
/** 2048 on small GPUs, 8192 on large ones, 16,384 from 160 GiB on since v0.33. */
const DEFAULT_BATCHED_TOKENS = 8192;

export interface ReadSettings extends VllmSettings {
  /** Tokens of prefill that can be in flight. */
  readonly inFlightTokens: number;
  /** Batches in the works at a time. */
  readonly batches: number;
  readonly warnings: readonly string[];
}

/** @param poolBytes of one engine's pool on one GPU; null where the model's geometry is unknown */
export function readSettings(
  flags: readonly string[] | null,
  poolBytes: number | null,
): ReadSettings {
  const args = flags ?? [];
  const doubled = flagValue(args, ['--performance-mode']) === 'throughput' ? 2 : 1;
  const isLarge = poolBytes !== null && poolBytes > SURELY_LARGE_BYTES;
  const asked = atLeastOne(flagInteger(args, ['--max-num-seqs']));
  const active = atLeastOne(flagInteger(args, ['--max-num-active-seqs']));
  const fallback = doubled * (isLarge ? LARGE_GPU_SEQUENCES : OTHER_GPU_SEQUENCES);
  const batched = atLeastOne(flagInteger(args, ['--max-num-batched-tokens']));
  const maxSequences = Math.min(asked ?? fallback, active ?? Number.POSITIVE_INFINITY);
  const batches = batchesAtATime(args);
  return {
    maxSequences,
    inFlightTokens: (batched ?? doubled * DEFAULT_BATCHED_TOKENS) * batches,
    batches,
    hostTier: hostTierSettings(flags),
    warnings:
      asked !== null || active !== null || isLarge ? [] : [sequencesWarning(flags, maxSequences)],
  };
}

/**
 * Batches in the works: one a pipeline stage, and with async scheduling, the
 * default, one that is prepared (vllm/config/vllm.py, max_concurrent_batches: its
 * first model runner prepares none where there are several stages).
 */
function batchesAtATime(args: readonly string[]): number {
  const stages = flagInteger(args, ['--pipeline-parallel-size', '-pp']) ?? 1;
  const async = flagSwitch(args, ['--async-scheduling'], ['--no-async-scheduling']) ?? true;
  return Math.max(1, stages) + (async ? 1 : 0);
}

function atLeastOne(value: number | null): number | null {
  return value !== null && value >= 1 ? value : null;
}

function sequencesWarning(flags: readonly string[] | null, assumed: number): string {
  const why =
    flags === null
      ? "vLLM's command line can't be seen"
      : 'vLLM was started without --max-num-seqs';
  return `${why}: ${assumed} sequences at a time are assumed, its default on smaller GPUs (${LARGE_GPU_SEQUENCES} on those of 70 GiB and more that are no A100); start it with --max-num-seqs where kvgate can see its command line to make it certain`;
}

/** Of facts that this adapter made; of any others, vLLM's defaults. */
export function settingsOf(facts: EngineFacts): VllmSettings {
  return isVllm(facts) ? facts.settings : readSettings(null, null);
}

function isVllm(facts: EngineFacts): facts is VllmFacts {
  return 'settings' in facts;
}
