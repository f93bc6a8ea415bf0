/**
 * The settings of an SGLang server that decide memory, out of `/server_info`
 * (older: `/get_server_info`): server_args.py with what the scheduler added
 * (entrypoints/http_server.py, server_info). The answer holds the server's API
 * keys too, so it is picked apart where it is read and never kept or quoted.
 */
import type { EngineIo } from '../adapter.ts';
import { countField, field, listField, stringField, tryGetJson } from '../engine-answer.ts';

export interface ServerInfo {
  readonly modelPath: string | null;
  readonly version: string | null;
  readonly contextTokens: number | null;
  /** Tokens of the KV pool of one rank. */
  readonly poolTokens: number | null;
  readonly pageTokens: number | null;
  /** Tokens of one prefill step; null: not told, or not cut into chunks. */
  readonly chunkTokens: number | null;
  readonly kvCacheDtype: string | null;
  /** GPUs that share the heads of one sequence. */
  readonly attentionTensorParallel: number | null;
  readonly ranks: number;
  /** Tokens guessed in each step; null: it does not speculate. */
  readonly draftTokens: number | null;
  /** Of the pool of sliding layers, where the model has any; null: they have none of their own. */
  readonly slidingShare: number | null;
  readonly keepsHostTier: boolean;
  readonly tellsMetrics: boolean;
  /** A limit of output that holds where a native request names none. */
  readonly preferredNewTokens: number | null;
}

/** null where the server does not tell, or wants a key that kvgate has not. Never throws. */
export async function readServerInfo(
  io: EngineIo,
  signal: AbortSignal,
): Promise<ServerInfo | null> {
  for (const path of ['/server_info', '/get_server_info']) {
    const info = serverInfoOf(await tryGetJson(io, path, signal));
    if (info !== null) return info;
  }
  return null;
}

function serverInfoOf(answer: unknown): ServerInfo | null {
  const modelPath = stringField(answer, 'model_path');
  if (modelPath === null) return null;
  const [state] = listField(answer, 'internal_states');
  const ranks = Math.max(1, countField(answer, 'dp_size') ?? 1);
  const tensorParallel = countField(answer, 'tp_size');
  const dividesHeads = field(answer, 'enable_dp_attention') === true ? ranks : 1;
  const { draftTokens, keepsHostTier } = extrasOf(answer);
  return {
    modelPath,
    version: stringField(answer, 'version'),
    contextTokens: countField(answer, 'context_length'),
    poolTokens:
      countField(answer, 'max_total_num_tokens') ??
      countField(field(state, 'memory_usage'), 'token_capacity'),
    pageTokens: atLeastOne(countField(answer, 'page_size')),
    chunkTokens: atLeastOne(countField(answer, 'chunked_prefill_size')),
    kvCacheDtype: stringField(answer, 'kv_cache_dtype'),
    attentionTensorParallel:
      tensorParallel === null ? null : Math.max(1, Math.floor(tensorParallel / dividesHeads)),
    ranks,
    draftTokens,
    slidingShare: slidingShareOf(answer),
    keepsHostTier,
    tellsMetrics: field(answer, 'enable_metrics') === true,
    preferredNewTokens: preferredOf(field(answer, 'preferred_sampling_params')),
  };
}

function extrasOf(answer: unknown): Pick<ServerInfo, 'draftTokens' | 'keepsHostTier'> {
  const speculates = stringField(answer, 'speculative_algorithm') !== null;
  const most = countField(answer, 'max_speculative_num_draft_tokens');
  const usual = countField(answer, 'speculative_num_draft_tokens');
  return {
    draftTokens: speculates ? Math.max(1, most ?? 0, usual ?? 0) : null,
    keepsHostTier: field(answer, 'enable_hierarchical_cache') === true,
  };
}

/** `swa_full_tokens_ratio`, 0.8 unless it is set; models without sliding layers have one pool anyway. */
function slidingShareOf(answer: unknown): number | null {
  const ratio = field(answer, 'swa_full_tokens_ratio');
  if (field(answer, 'disable_hybrid_swa_memory') === true) return null;
  return typeof ratio === 'number' && ratio > 0 && ratio <= 1 ? ratio : null;
}

/** An object, or, as it was given on the command line, the text of one. */
function preferredOf(preferred: unknown): number | null {
  if (typeof preferred !== 'string') return countField(preferred, 'max_new_tokens');
  const text = /"max_new_tokens"\s*:\s*(\d{1,9})/.exec(preferred)?.[1];
  return text === undefined ? null : Number(text);
}

function atLeastOne(count: number | null): number | null {
  return count === null || count < 1 ? null : count;
}
