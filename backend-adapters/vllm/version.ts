/**
 * Whether a request's X-data-parallel-rank header says which engine serves it:
 * since v0.11.1 on chats and completions (vllm/entrypoints/.../serving.py,
 * _get_data_parallel_rank), and later on responses. It counts the engines behind
 * this address, whatever ranks they have in a larger deployment
 * (vllm/v1/engine/input_processor.py). Embeddings, rankings and beam search are
 * spread by vLLM itself.
 */
const SINCE = [0, 11, 1] as const;

/** A version that can't be read, as of builds from source, is taken for a new one. */
export function rankIsObeyed(version: string | null): boolean {
  const found = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version ?? '');
  if (found === null) return true;
  for (const [index, least] of SINCE.entries()) {
    const part = Number(found[index + 1]);
    if (part !== least) return part > least;
  }
  return true;
}
