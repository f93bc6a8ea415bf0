/** Writes the GGUF file format, version 3 (ggml/docs/gguf.md), with F32 tensors only. */

export type GgufValue =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'int32[]'; readonly value: readonly number[] }
  | { readonly type: 'string[]'; readonly value: readonly string[] };

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
/** `gguf_metadata_value_type`. */
const TYPE_CODES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

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
    case 'uint32':
      return [uint32(TYPE_CODES.uint32), uint32(value.value)];
    case 'float32':
      return [uint32(TYPE_CODES.float32), float32(value.value)];
    case 'bool':
      return [uint32(TYPE_CODES.bool), Buffer.from([value.value ? 1 : 0])];
    case 'string':
      return [uint32(TYPE_CODES.string), string(value.value)];
    case 'int32[]':
      return [...arrayHead('int32', value.value.length), ...value.value.map(int32)];
    case 'string[]':
      return [...arrayHead('string', value.value.length), ...value.value.map(string)];
  }
}

function arrayHead(elementType: 'int32' | 'string', length: number): Buffer[] {
  return [uint32(TYPE_CODES.array), uint32(TYPE_CODES[elementType]), uint64(length)];
}

function aligned(parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  return Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function string(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([uint64(bytes.length), bytes]);
}
