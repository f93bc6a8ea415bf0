/**
 * What llama-server prints of the memory it allocates (`-lv 4`), in bytes. It
 * prints MiB with two decimals; cells, layers and type give the bytes, and the
 * MiB beside them must agree (llama-kv-cache.cpp, llama-memory-recurrent.cpp).
 */

export interface PrintedCache {
  /** Of one stream. */
  readonly cells: number;
  readonly layers: number;
  readonly streams: number;
  readonly keys: PrintedTensors;
  readonly values: PrintedTensors;
}

export interface PrintedTensors {
  readonly type: string;
  readonly mib: number;
}

export interface PrintedMemory {
  /** `n_ctx` and `n_ctx_seq`. */
  readonly contextTokens: number;
  readonly fullCells: number;
  /** In the order of allocation: full layers before sliding ones. */
  readonly caches: readonly PrintedCache[];
  /** null for a model of attention alone. */
  readonly states: {
    readonly rows: number;
    readonly convMib: number;
    readonly recurrentMib: number;
  } | null;
}

/** `QK` and the size of a block of each type (ggml-common.h). */
const BLOCKS: ReadonlyMap<string, { readonly elements: number; readonly bytes: number }> = new Map([
  ['f32', { elements: 1, bytes: 4 }],
  ['f16', { elements: 1, bytes: 2 }],
  ['bf16', { elements: 1, bytes: 2 }],
  ['q8_0', { elements: 32, bytes: 34 }],
  ['q5_1', { elements: 32, bytes: 24 }],
  ['q5_0', { elements: 32, bytes: 22 }],
  ['q4_1', { elements: 32, bytes: 20 }],
  ['q4_0', { elements: 32, bytes: 18 }],
  ['iq4_nl', { elements: 32, bytes: 18 }],
]);

const CACHE =
  /llama_kv_cache: size = +[\d.]+ MiB \( *(\d+) cells, +(\d+) layers, +\d+\/(\d+) seqs\), K \((\w+)\): +([\d.]+) MiB, V \((\w+)\): +([\d.]+) MiB/g;
const STATES =
  /llama_memory_recurrent: size = .*\( *(\d+) cells, .* +(\d+) rs_seq\), R \(f32\): +([\d.]+) MiB, S \(f32\): +([\d.]+) MiB/;

/** @throws when the log does not tell: another build may print it in other words */
export function printedMemory(log: string): PrintedMemory {
  const caches = [...log.matchAll(CACHE)].map(([, cells, layers, streams, k, kMib, v, vMib]) => ({
    cells: Number(cells),
    layers: Number(layers),
    streams: Number(streams),
    keys: { type: k ?? '', mib: Number(kMib) },
    values: { type: v ?? '', mib: Number(vMib) },
  }));
  const contextTokens = Number(/llama_context: n_ctx += (\d+)/.exec(log)?.[1]);
  const fullCells = Number(/llama_context: n_ctx_seq += (\d+)/.exec(log)?.[1]);
  if (caches.length === 0 || Number.isNaN(contextTokens + fullCells)) {
    throw new Error(`the log tells nothing of KV:\n${log}`);
  }
  return { contextTokens, fullCells, caches, states: printedStates(log) };
}

function printedStates(log: string): PrintedMemory['states'] {
  const [line, cells, rollback, conv, recurrent] = STATES.exec(log) ?? [];
  if (line === undefined) return null;
  const rows = Number(cells) * (1 + Number(rollback));
  return { rows, convMib: Number(conv), recurrentMib: Number(recurrent) };
}

/** Bytes of a row of so many elements, one of a cell in a layer. */
function rowBytes(type: string, elements: number): number {
  const block = BLOCKS.get(type);
  if (block === undefined || elements % block.elements !== 0) {
    throw new Error(`${elements} elements of ${type} are no whole blocks`);
  }
  return (elements / block.elements) * block.bytes;
}

/** Bytes of the keys or values of a cache. @param elements of one cell in one layer */
export function printedBytes(
  { cells, layers, streams }: PrintedCache,
  { type }: PrintedTensors,
  elements: number,
): number {
  return cells * layers * streams * rowBytes(type, elements);
}
