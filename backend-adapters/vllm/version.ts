/**
 * Whether a request's X-data-parallel-rank header says which engine serves it:
 * since v0.11.1 on chats and completions (vllm/entrypoints/.../serving.py,
 * _get_data_parallel_rank), and later on responses. It counts the engines behind
 * this address, whatever ranks they have in a larger deployment
 * (vllm/v1/engine/input_processor.py). Embeddings, rankings and beam search are
 * spread by vLLM itself.
 */
const RANK_SINCE = [0, 11, 1] as const;

export function rankIsObeyed(version: string | null): boolean {
  return isSince(version, RANK_SINCE);
}

/**
 * Whether blocks behind a window go back only when no batch in the works reads
 * them any more. Up to v0.22 they went at once, and one batch was counted
 * (vllm/v1/core/kv_cache_manager.py, remove_skipped_blocks).
 */
const SETTLES_SINCE = [0, 23, 0] as const;

export function freesWhenSettled(version: string | null): boolean {
  return isSince(version, SETTLES_SINCE);
}

/** A version that can't be read, as of builds from source, is taken for a new one. */
function isSince(version: string | null, since: readonly number[]): boolean {
  const found = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version ?? '');
  if (found === null) return true;
  for (const [index, least] of since.entries()) {
    const part = Number(found[index + 1]);
    if (part !== least) return part > least;
  }
  return true;
}
