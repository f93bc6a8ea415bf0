/** Writes tensors as a safetensors file of bfloat16: a length, a JSON header, the values. */

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** All zeros where it is left out. */
  readonly values?: Float32Array;
}

const BYTES_PER_VALUE = 2;

/** The file's bytes. Values are cut to the 16 high bits of their float32, not rounded. */
export function encodeSafetensors(tensors: readonly Tensor[]): Buffer {
  let offset = 0;
  const entries = tensors.map(({ name, shape, values }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    if (values !== undefined && values.length !== count) throw new Error(`${name}: wrong length`);
    const start = offset;
    offset += count * BYTES_PER_VALUE;
    return { name, shape, values, start, end: offset };
  });
  const described = entries.map(({ name, shape, start, end }) => [
    name,
    { dtype: 'BF16', shape, data_offsets: [start, end] },
  ]);
  const json = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(described) });
  // The values begin at a multiple of 8, so that they can be mapped into memory.
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.alloc(offset);
  for (const { values, start } of entries) {
    if (values === undefined) continue;
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
    words.forEach((word, index) => {
      if (word !== 0) data.writeUInt16LE(word >>> 16, start + index * BYTES_PER_VALUE);
    });
  }
  return Buffer.concat([length, header, data]);
}
