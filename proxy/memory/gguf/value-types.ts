/** How values of a GGUF header are encoded: little-endian, one after another. */
import type { GgufType } from './metadata.ts';

/** `gguf_metadata_value_type`, by its code. */
export const VALUE_TYPES: readonly GgufType[] = [
  ...(['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'float32', 'bool'] as const),
  ...(['string', 'array', 'uint64', 'int64', 'float64'] as const),
];

/** Types whose values all have as many bytes. */
type FixedType = Exclude<GgufType, 'string' | 'array'>;

export const FIXED_TYPES: Readonly<
  Record<
    FixedType,
    { readonly bytes: number; readonly read: (view: DataView, at: number) => number | boolean }
  >
> = {
  uint8: { bytes: 1, read: (view, at) => view.getUint8(at) },
  int8: { bytes: 1, read: (view, at) => view.getInt8(at) },
  uint16: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  int16: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  uint32: { bytes: 4, read: (view, at) => view.getUint32(at, true) },
  int32: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  float32: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  bool: { bytes: 1, read: (view, at) => view.getUint8(at) !== 0 },
  uint64: { bytes: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  int64: { bytes: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
  float64: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};
