/**
 * The metadata of a GGUF model file, as far as memory is concerned: what
 * header.ts reads from the file's bytes, and Ollama tells as JSON.
 */

export type GgufType =
  | 'uint8'
  | 'int8'
  | 'uint16'
  | 'int16'
  | 'uint32'
  | 'int32'
  | 'float32'
  | 'bool'
  | 'string'
  | 'array'
  | 'uint64'
  | 'int64'
  | 'float64';

/** What is too long to be kept, such as a vocabulary or a chat template. */
export type GgufSkipped =
  | { readonly kind: 'string'; readonly bytes: number }
  /** `length` is null where it is not told. */
  | {
      readonly kind: 'array';
      readonly elementType: GgufType | null;
      readonly length: number | null;
    };

/** 64-bit integers beyond 2^53 are rounded: none that memory depends on is so large. */
export type GgufValue = number | boolean | string | readonly (number | boolean)[] | GgufSkipped;

/** By key: `llama.block_count`. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Whether it is an array of which nothing is told, not even how long it is. */
export function isUntoldList(value: GgufValue | null): boolean {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  return value.kind === 'array' && value.length === null;
}

/** Elements of an array, whether it was kept or not; null where there is none, or its length is not told. */
export function arrayLength(value: GgufValue | undefined): number | null {
  if (typeof value !== 'object') return null;
  if (!('kind' in value)) return value.length;
  return value.kind === 'array' ? value.length : null;
}
