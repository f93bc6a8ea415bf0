/**
 * Cells of llama.cpp's caches: how it rounds the context it is asked for, and
 * how large the cache of a layer is. Read in llama-context.cpp and
 * llama-kv-cache-iswa.cpp; the same in every build measured.
 */
import type { LayerGroup, ModelSpec } from '../models/model-spec.ts';

/** What a server is started with, as far as its cells follow from it. */
export interface LlamacppContext {
  /** Of all sequences together (`-c`); 0 is the model's own, and must be resolved before. */
  readonly contextTokens: number;
  /** Sequences at a time (`-np`). */
  readonly sequences: number;
  /** One pool for all sequences (`-kvu`, and where `-np` is not given), or one of its own for each. */
  readonly unified: boolean;
  /** Tokens of one logical batch (`-b`); left out: 2048. */
  readonly batchTokens?: number;
  /** Tokens of one physical batch (`-ub`); left out: 512. */
  readonly ubatchTokens?: number;
  /** Sliding layers keep every token (`--swa-full`). */
  readonly swaFull?: boolean;
}

export interface LlamacppCells {
  /** `n_ctx`: of all streams together; the context asked for is rounded up, never down. */
  readonly contextTokens: number;
  /** Pools that are apart: each sequence's own, or the one of all. */
  readonly streams: number;
  /** `n_ctx_seq`: cells of one stream in a layer that does not slide. */
  readonly fullCells: number;
}

/** llama.cpp's own (common.h). */
export const DEFAULT_BATCH_TOKENS = 2048;
export const DEFAULT_UBATCH_TOKENS = 512;

const CELL_ROUNDING = 256;

function padded(cells: number): number {
  return Math.ceil(cells / CELL_ROUNDING) * CELL_ROUNDING;
}

/** The context is rounded once as a whole, and once more for each sequence where they are apart. */
export function llamacppCells({
  contextTokens,
  sequences,
  unified,
}: LlamacppContext): LlamacppCells {
  const context = padded(contextTokens);
  if (unified) return { contextTokens: context, streams: 1, fullCells: context };
  const fullCells = padded(Math.floor(context / sequences));
  return { contextTokens: fullCells * sequences, streams: sequences, fullCells };
}

/**
 * Cells of one stream in a layer. A sliding one has room for the windows of the
 * stream's sequences and the batch that is being worked on.
 *
 * @param windowTokens null for a layer that keeps every token
 */
export function layerCells(context: LlamacppContext, windowTokens: number | null): number {
  const { fullCells } = llamacppCells(context);
  if (windowTokens === null || context.swaFull === true) return fullCells;
  const windows = windowTokens * (context.unified ? context.sequences : 1);
  return padded(Math.min(fullCells, windows + ubatchOf(context)));
}

/** No larger than the logical batch. The context bounds it too, but no rounded count shows that. */
function ubatchOf({ batchTokens, ubatchTokens }: LlamacppContext): number {
  return Math.min(batchTokens ?? DEFAULT_BATCH_TOKENS, ubatchTokens ?? DEFAULT_UBATCH_TOKENS);
}

/** A model whose sliding layers keep every token, as they do with `--swa-full` (llama-kv-cache-iswa.cpp). */
export function withoutWindows(spec: ModelSpec): ModelSpec {
  const groups = spec.groups.map(({ chunked: _, ...group }): LayerGroup => {
    return { ...group, windowTokens: null };
  });
  return { ...spec, groups };
}
