/** Writes the GGUF file format, version 3 (ggml/docs/gguf.md), with F32 tensors only. */

type FixedType = keyof typeof FIXED;

export type GgufValue =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: Exclude<FixedType, 'bool'>; readonly value: number }
  | { readonly type: 'string[]'; readonly value: readonly string[] }
  | { readonly type: `${FixedType}[]`; readonly value: readonly (number | boolean)[] };

export interface GgufTensor {
  readonly name: string;
  /** Sizes as ggml names them: the first one runs fastest in `data`. */
  readonly sizes: readonly number[];
  readonly data: Float32Array;
}

const VERSION = 3;
/** The default of `general.alignment`. */
const ALIGNMENT = 32;
const TENSOR_TYPE_F32 = 0;
/** `gguf_metadata_value_type`, and how one is written. */
const FIXED = {
  uint8: { code: 0, bytes: 1, write: (to: Buffer, value: number) => to.writeUInt8(value) },
  int8: { code: 1, bytes: 1, write: (to: Buffer, value: number) => to.writeInt8(value) },
  uint16: { code: 2, bytes: 2, write: (to: Buffer, value: number) => to.writeUInt16LE(value) },
  int16: { code: 3, bytes: 2, write: (to: Buffer, value: number) => to.writeInt16LE(value) },
  uint32: { code: 4, bytes: 4, write: (to: Buffer, value: number) => to.writeUInt32LE(value) },
  int32: { code: 5, bytes: 4, write: (to: Buffer, value: number) => to.writeInt32LE(value) },
  float32: { code: 6, bytes: 4, write: (to: Buffer, value: number) => to.writeFloatLE(value) },
  bool: { code: 7, bytes: 1, write: (to: Buffer, value: number) => to.writeUInt8(value) },
  uint64: {
    code: 10,
    bytes: 8,
    write: (to: Buffer, value: number) => to.writeBigUInt64LE(BigInt(value)),
  },
  int64: {
    code: 11,
    bytes: 8,
    write: (to: Buffer, value: number) => to.writeBigInt64LE(BigInt(value)),
  },
  float64: { code: 12, bytes: 8, write: (to: Buffer, value: number) => to.writeDoubleLE(value) },
} as const;
const STRING_CODE = 8;
const ARRAY_CODE = 9;

/** The bytes of a GGUF file with these metadata and tensors, in the order given. */
export function encodeGguf(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): Uint8Array {
  const header: Buffer[] = [
    Buffer.from('GGUF'),
    uint32(VERSION),
    uint64(tensors.length),
    uint64(metadata.size),
  ];
  for (const [key, value] of metadata) header.push(string(key), ...typedValue(value));

  const data: Buffer[] = [];
  let offset = 0;
  for (const tensor of tensors) {
    header.push(string(tensor.name), uint32(tensor.sizes.length), ...tensor.sizes.map(uint64));
    header.push(uint32(TENSOR_TYPE_F32), uint64(offset));
    const bytes = aligned([Buffer.from(tensor.data.buffer)]);
    data.push(bytes);
    offset += bytes.length;
  }
  return Buffer.concat([aligned(header), ...data]);
}

function typedValue(value: GgufValue): Buffer[] {
  switch (value.type) {
    case 'string':
      return [uint32(STRING_CODE), string(value.value)];
    case 'string[]':
      return [...arrayHead(STRING_CODE, value.value.length), ...value.value.map(string)];
    case 'bool':
      return [uint32(FIXED.bool.code), fixed('bool', value.value)];
    default: {
      if (typeof value.value === 'number') {
        const type = value.type as FixedType;
        return [uint32(FIXED[type].code), fixed(type, value.value)];
      }
      const type = value.type.slice(0, -2) as FixedType;
      const elements = value.value.map((element) => fixed(type, element));
      return [...arrayHead(FIXED[type].code, elements.length), ...elements];
    }
  }
}

function arrayHead(elementCode: number, length: number): Buffer[] {
  return [uint32(ARRAY_CODE), uint32(elementCode), uint64(length)];
}

function fixed(type: FixedType, value: number | boolean): Buffer {
  const { bytes, write } = FIXED[type];
  const buffer = Buffer.alloc(bytes);
  write(buffer, Number(value));
  return buffer;
}

function aligned(parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}

function uint32(value: number): Buffer {
  return fixed('uint32', value);
}

function uint64(value: number): Buffer {
  return fixed('uint64', value);
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}
